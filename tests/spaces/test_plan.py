"""Plans are plain data: they survive JSON, compare by content and refuse nonsense."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.spaces.sentences import BLOCK_WORDS, HEAD_WORDS, REDUCTIONS, each_item, paths, sentence, spec

OLD = Path(__file__).parents[1] / "old_runs" / "0.1.0" / "cnnsearch.db"
PLAN = Plan((28, 28, 1), 10, (Block("conv norm act pool", 16), Block("conv act drop", 32, rate=0.2)))
KEYS = st.text(max_size=5).filter(lambda key: key != "paths")  # "paths" are for forks alone
CONFIGS = st.dictionaries(KEYS, st.floats(allow_nan=False) | st.integers() | st.booleans())
SPECS = st.tuples(st.text(min_size=1, max_size=8), CONFIGS)
RATES = st.floats(0, 0.9)
BLOCKS = st.builds(
    Block,
    layers=st.lists(st.sampled_from(BLOCK_WORDS) | SPECS, max_size=5).map(tuple),
    filters=st.integers(1, 512),
    kernel=st.integers(1, 7),
    padding=st.sampled_from(("same", "valid")),
    rate=RATES,
)
HEADS = st.builds(
    Head,
    reduce=st.sampled_from(REDUCTIONS),
    widths=st.lists(st.integers(1, 512), max_size=3).map(tuple),
    layers=st.lists(st.sampled_from(HEAD_WORDS) | SPECS, max_size=4).map(tuple),
    rate=RATES,
)
PLANS = st.builds(
    Plan,
    input_shape=st.tuples(*[st.integers(1, 64)] * 3),
    classes=st.integers(2, 100),
    blocks=st.lists(BLOCKS, max_size=3).map(tuple),
    head=HEADS,
    augment=st.lists(SPECS, max_size=2).map(tuple),
    schedule=st.lists(st.floats(0, 1), max_size=3).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(PLANS)
def test_a_plan_survives_json(plan: Plan) -> None:
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.key == plan.key and hash(again) == hash(plan)
    assert again.blocks == plan.blocks and again.head == plan.head


@settings(max_examples=30, deadline=None)
@given(PLANS, PLANS)
def test_plans_are_equal_where_their_keys_are(one: Plan, other: Plan) -> None:
    assert (one == other) == (one.key == other.key)


def test_the_same_plan_written_in_other_types_is_the_same_plan() -> None:
    written: Any = ["conv", ["GaussianNoise", {"stddev": 0.1}]]
    one = Plan((8, 8, 1), 2, (Block(("conv", ("GaussianNoise", {"stddev": 0.1})), rate=0),))
    other = Plan((8, 8, 1), 2, (Block(written, rate=0.0),))
    assert one == other and len({one, other}) == 1
    assert PLAN != one and PLAN != "a plan"


def test_json_is_one_line_of_plain_data() -> None:
    assert "\n" not in PLAN.to_json()
    assert json.loads(PLAN.to_json())["blocks"][1]["rate"] == 0.2


def test_changes_make_new_plans() -> None:
    assert PLAN.replace(epochs=3).epochs == 3
    assert [block.kernel for block in PLAN.each_block(kernel=5).blocks] == [5, 5]
    assert PLAN.configure("loss", label_smoothing=0.1).loss[1] == {"label_smoothing": 0.1}
    assert PLAN.configure("optimizer", beta_1=0.8).optimizer == (
        "Adam",
        {"learning_rate": 0.001, "beta_1": 0.8},
    )
    assert Head().replace(widths=[4]).widths == (4,)
    assert PLAN.epochs == 10 and PLAN.blocks[0].kernel == 3


@pytest.mark.parametrize(
    ("old", "new", "written"),
    [
        ("norm", "", "conv act conv act pool"),
        ("norm act", "act norm", "conv act norm conv act norm pool"),
        ("pool", "down", "conv norm act conv norm act down"),
        ("conv norm act conv norm act", "conv act", "conv act pool"),
        ("drop", "act", "conv norm act conv norm act pool"),
        ("", "act", "conv norm act conv norm act pool"),
    ],
)
def test_rewrite_replaces_each_run_of_words(old: str, new: str, written: str) -> None:
    block = Block("conv norm act conv norm act pool")
    assert block.rewrite(old, new).layers == sentence(written)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Block("conf act"), "no layer word 'conf'; the words are conv, "),
        (lambda: Block("conv dense"), "a block has no word 'dense'"),
        (lambda: Head(layers="dense pool"), "a head has no word 'pool'"),
        (lambda: Block("conv", filters=0), "filters must be at least 1, got 0"),
        (lambda: Block("conv", kernel=0), "kernel must be at least 1"),
        (lambda: Block("pool", pool=0), "pool must be at least 1"),
        (lambda: Block("conv", padding="full"), "'same' or 'valid', got 'full'"),
        (lambda: Block("drop", rate=1.0), r"must be in \[0, 1\), got 1.0"),
        (lambda: Head(reduce="mean"), "one of flatten, average, max, got 'mean'"),
        (lambda: Head(widths=(8, 0)), "widths must be at least 1"),
        (lambda: Head(rate=-0.1), r"must be in \[0, 1\)"),
        (lambda: PLAN.replace(epochs=0), "epochs must be at least 1"),
        (lambda: PLAN.replace(batch_size=0), "batch_size must be at least 1"),
        (lambda: PLAN.replace(sizes=(0.5, 1.5)), r"sizes must be above 0 and at most 1, got \(0.5, 1.5\)"),
        (lambda: spec("Dense"), "expected a pair"),
    ],
)
def test_nonsense_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


FORK = ("Add", {"paths": ["", "conv act conv act"]})


def test_a_fork_is_the_same_however_it_is_written() -> None:
    written: Any = ["conv", ["Add", {"paths": [[], ["conv", "act", "conv", "act"]]}]]
    assert Plan((8, 8, 1), 2, (Block(("conv", FORK)),)) == Plan((8, 8, 1), 2, (Block(written),))


def test_rewriting_reaches_into_forks_and_takes_layers() -> None:
    block = Block(("conv", "act", FORK, "pool"))
    assert list(each_item(block.rewrite("conv act", "conv norm act").layers)).count("norm") == 3
    depthwise = ("DepthwiseConv2D", {"kernel_size": "=kernel"})
    assert list(each_item(block.rewrite("conv", (depthwise,)).layers)).count(depthwise) == 3


@pytest.mark.parametrize(
    ("words", "expected"), [("conv act pool", 2), ("conv act down act", 2), ("conv act", 2), ("pool conv pool drop", 2)]
)
def test_what_stands_before_the_pooling(words: str, expected: int) -> None:
    assert Block(words).before_pooling((FORK,)).layers[expected] == spec(FORK)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("Add", {"paths": ["dense"]}), "no word 'dense'"),
        (("Conv2D", {"paths": [""]}), "only Add, .* have paths, got 'Conv2D'"),
        (("Conv2D", {"filters": "=filtres"}), "no field for '=filtres'"),
    ],
)
def test_a_wrong_fork_or_reference_is_refused(item: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Block(("conv", item))


def test_a_configuration_must_be_plain_data() -> None:
    with pytest.raises(TypeError):
        spec(("Dense", {"units": object()}))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"blocks": [], "head": {}, "colour": 1}', '{"blocks": 1}'])
def test_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Plan.from_json(text)


def test_a_pair_alone_is_a_sentence_of_one_layer() -> None:
    layer = ("SpatialDropout2D", {"rate": 0.1})
    assert sentence(layer) == sentence((layer,)) == (layer,)
    block = Block("conv act drop pool")
    assert block.rewrite("drop", layer).layers == ("conv", "act", layer, "pool")
    assert block.before_pooling(layer).layers == ("conv", "act", "drop", layer, "pool")
    fork = Block((("Add", {"paths": [layer, ""]}),)).layers[0]
    assert paths(fork) == ((layer,), ())


def test_plans_of_version_0_1_0_keep_their_keys():
    """The key of a trial tells duplicates and the checkpoints of paused trials."""
    with contextlib.closing(sqlite3.connect(OLD)) as stored:
        rows = stored.execute("SELECT value_json FROM trial_user_attributes WHERE key = 'cnnsearch'").fetchall()
    kept = [json.loads(text) for (text,) in rows]
    old = [(record["plan"], record["key"]) for record in kept if record.get("plan")]
    assert len(old) >= 5
    for text, key in old:
        plan = Plan.from_json(text)
        assert (plan.key, json.loads(plan.to_json())) == (key, json.loads(text))


def test_the_range_of_values_is_part_of_the_key_where_it_is_not_that_of_8_bits():
    other = PLAN.replace(value_range=(-1024, 3071))
    assert "value_range" not in PLAN.to_json() and Plan.from_json(PLAN.to_json()).value_range == (0.0, 255.0)
    assert other.key != PLAN.key and Plan.from_json(other.to_json()).value_range == (-1024.0, 3071.0)
    for wrong in [(1, 1), (2, 1), (0, float("nan")), (0, float("inf")), (0, 1, 2)]:
        with pytest.raises(ValueError, match="value_range must be a low and a higher number"):
            PLAN.replace(value_range=wrong)


def test_weights_of_classes_are_part_of_the_key_where_there_are_any():
    other = PLAN.replace(class_weight="balanced")
    assert "class_weight" not in PLAN.to_json() and Plan.from_json(PLAN.to_json()).class_weight == "none"
    assert other.key != PLAN.key and Plan.from_json(other.to_json()) == other
    with pytest.raises(ValueError, match="class_weight must be one of none, balanced, got 'auto'"):
        PLAN.replace(class_weight="auto")
