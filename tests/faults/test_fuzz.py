"""Whatever a space file, a plan, a recipe or a command line says: it works, or one line says what is wrong."""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnsearch.cli import cluster_checks, describe, doctor, search_config
from cnnsearch.cli.main import main
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import definition, plugin_options, plugins, pretrained, recipes, space_file
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance, defaults
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.study import opening
from cnnsearch.study.config import SearchConfig
from cnnsearch.tuning import run

KNOWN = plugins.load(here=Path(__file__).parent)
SPACES = {
    name: spaces.check(spaces.load(name, KNOWN), KNOWN)
    for name in ("digits_cnn", "mnist_cnn", "mnist_denoise", "cifar10_transfer")
}
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["", " ", "a\nb", "a\u2028b", "\x1b[2J", "\x00", "../x", "/", "é😀", "none", "nan", "digits", "val_accuracy"]
)
INTEGERS = st.sampled_from([-(2**63), -1, 0, 1, 2, 3, 7, 32, 500, 10**6, 2**63 - 1, 2**63, 10**400])
FLOATS = st.sampled_from([-1.0, -0.0, 5e-324, 1e-300, 0.05, 0.1, 0.5, 0.99, 1.0, 2.0, 1e9, 1e300, math.nan, math.inf])
TIMES = st.dates() | st.times() | st.datetimes()
ODD = st.recursive(
    st.one_of(INTEGERS, FLOATS, NAMES, st.booleans(), TIMES, st.integers(), st.floats()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
JSON = st.recursive(
    st.one_of(st.none(), INTEGERS, FLOATS, NAMES, st.booleans()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def fuzz(examples: int) -> Any:
    """The same examples every time."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder, an empty one; what a command changes in the environment is taken back."""
    path, before = tmp_path_factory.mktemp("fuzz"), dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for name in before:
            if name.startswith(("CNNSEARCH_", "MLFLOW_")):
                patch.delenv(name)
        yield path
    os.environ.clear()
    os.environ.update(before)


def is_one_line(message: str) -> bool:
    return bool(message.strip()) and len(message.splitlines()) == 1


# ---------------------------------------------------------------- space files


def like(example: Any) -> st.SearchStrategy[Any]:
    """Values of the type of `example`, so that they come past the check of types."""
    if isinstance(example, tuple):
        item = like(example[0])
        return st.lists(item, max_size=3) | item
    same: dict[type, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: INTEGERS,
        float: FLOATS | INTEGERS,
        str: st.just(example) | NAMES,
    }
    return same[type(example)]


def uses(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """A plugin of this kind with odd options of the right types, or of any."""

    def of(name: str) -> st.SearchStrategy[dict[str, Any]]:
        function = KNOWN.get(kind, name).function
        assert function is not None
        known = {k: v for k, v in plugin_options.options(function).items() if k not in spaces.GIVEN_TO_TRAINERS}
        values = {k: like(v) for k, v in known.items()}
        right = st.fixed_dictionaries({"use": st.just(name)}, optional=values)
        wrong = st.tuples(right, st.dictionaries(NAMES | st.sampled_from([*known, name]), ODD, max_size=1))
        return right | wrong.map(lambda both: {**both[1], **both[0]})

    return st.sampled_from(KNOWN.names(kind)).flatmap(of)


def tables(recipe: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Space files that are nearly right."""
    shapes = st.sampled_from([[8, 8, 1], [28, 28, 1], [1, 1, 1], [32, 32, 3], [5, 7, 2], [2**31, 2**31, 3]])
    return st.fixed_dictionaries(
        {"dimensions": st.lists(uses("dimension"), min_size=1, max_size=4, unique_by=lambda use: use["use"])},
        optional={
            "description": NAMES,
            "dataset": uses("dataset"),
            "trainer": uses("trainer"),
            "input_shape": shapes,
            "defaults": st.fixed_dictionaries({}, optional={k: like(v) for k, v in definition.DEFAULTS.items()}),
            "recipes": st.dictionaries(NAMES, recipe, max_size=2),
        },
    )


RECIPES = st.fixed_dictionaries(
    {}, optional={"description": NAMES, "reported": st.dictionaries(NAMES, ODD, max_size=2), "values": st.just({})}
)


def use_file(table: dict[str, Any]) -> bool:
    """Read, check and draw a space; whether it could be used."""
    Path("s.toml").write_text(tomli_w.dumps(table), "utf-8")
    try:
        space = spaces.check(spaces.from_file(Path("s.toml")), KNOWN)
        start = spaces.start_plan(space, space.input_shape or (28, 28, 1), 10)
        for draw in (defaults, *(by_chance(seed) for seed in range(5))):
            spaces.draw(space, KNOWN, HyperParameters(draw), start, as_space_error=(Exception,))
    except CnnsearchError as error:
        assert is_one_line(error.message), error.message
        return False
    assert spaces.Space.from_dict(json.loads(json.dumps(space.to_dict()))).to_dict() == space.to_dict()
    return True


@fuzz(100)
@given(st.dictionaries(NAMES | st.sampled_from(space_file.KEYS), ODD, max_size=4))
def test_any_table_is_a_space_or_is_refused(table: dict[str, Any]) -> None:
    use_file(table)


@fuzz(150)
@given(tables(RECIPES))
def test_odd_options_are_drawn_or_refused(table: dict[str, Any]) -> None:
    use_file(table)


@fuzz(50)
@given(tables(RECIPES))
def test_an_odd_space_is_shown_or_refused(table: dict[str, Any]) -> None:
    Path("s.toml").write_text(tomli_w.dumps(table), "utf-8")
    try:
        assert describe.space("s.toml", KNOWN)
        assert len(describe.recipes("s.toml", KNOWN)) == len(table.get("recipes", {}))
    except CnnsearchError as error:
        assert is_one_line(error.message), error.message


@pytest.mark.parametrize("depth", [30, 1000])
@pytest.mark.parametrize("where", ["recipes.a.reported", "recipes.a.values", "dataset"])
def test_tables_in_tables_in_tables_are_refused(where: str, depth: int) -> None:
    text = f'dimensions = ["filters"]\n[{where}]\nuse = "npz"\nx{".x" * depth} = 1'
    Path("deep.toml").write_text(text)
    with pytest.raises(CnnsearchError, match=r"^deep\.toml: \w+\..* is nested too deep; expected at most") as caught:
        spaces.from_file(Path("deep.toml"))
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "0x" + "f" * 5000])
def test_whole_numbers_of_more_than_64_bits_are_refused(number: str) -> None:
    Path("large.toml").write_text(f'dimensions = [{{ use = "filters", first = [{number}] }}]')
    with pytest.raises(CnnsearchError, match=r"^large\.toml: dimensions\.first is a whole number of more than 64 bits"):
        spaces.from_file(Path("large.toml"))


def test_a_default_point_that_overflows_is_told_before_anything_is_trained() -> None:
    space = spaces.Space("s", dimensions=(spaces.Use("head", {"step": 5e-324}),))
    with pytest.raises(CnnsearchError, match=r"^s: head: OverflowError: "):
        spaces.check(space, KNOWN)


# ---------------------------------------------------------------- recipes


@st.composite
def points(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A space and values for some of its hyperparameters, most of them from a random point."""
    name = draw(st.sampled_from(sorted(SPACES)))
    space = SPACES[name]
    hp = HyperParameters(by_chance(draw(st.integers(0, 10))))
    spaces.draw(space, KNOWN, hp, spaces.start_plan(space, space.input_shape, 10))
    right = st.sampled_from(sorted(hp.values.items(), key=lambda item: item[0]))
    wrong = st.tuples(st.sampled_from(sorted(hp.values)) | NAMES, ODD | st.integers(-2, 6) | st.floats(0, 4))
    return name, dict(draw(st.lists(right | right | wrong, max_size=4)))


@fuzz(150)
@given(points())
def test_a_recipe_is_a_point_or_is_refused(drawn: tuple[str, dict[str, Any]]) -> None:
    name, values = drawn
    space = replace(SPACES[name], recipes={"odd": {"values": values}})
    try:
        point, plan = recipes.point(space, KNOWN, "odd")
        assert cost(plan).params > 0
        assert len(recipes.listing(space, KNOWN)) == 1
    except CnnsearchError as error:
        assert is_one_line(error.message), error.message
        return
    assert {key: point[key] for key in values} == values
    again = HyperParameters(lambda key, distribution: point[key])
    assert spaces.draw(space, KNOWN, again, spaces.start_plan(space, space.input_shape, 10)) == plan


def test_a_whole_number_may_be_written_with_a_point() -> None:
    space = replace(SPACES["digits_cnn"], recipes={"odd": {"values": {"conv_depth/blocks": 2.0}}})
    point, plan = recipes.point(space, KNOWN, "odd")
    assert type(point["conv_depth/blocks"]) is int and len(plan.blocks) >= 2


# ---------------------------------------------------------------- plans

PLANS = (
    Plan(
        (28, 28, 1),
        10,
        (Block("conv norm act pool drop", 16, rate=0.1), Block(("conv", ("GaussianNoise", {"stddev": 0.1}), "down"))),
        Head("average", (8,), "dense norm act drop", 0.2),
        augment=(("RandomFlip", {"mode": "horizontal"}),),
        schedule=(1.0, 0.5),
        callbacks=(("EarlyStopping", {"patience": 3}),),
    ),
    Plan((32, 32, 3), 10, stem=(Block((pretrained.spec("VGG16", (32, 32, 3)),)),), stem_rate=0.1),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid plan as JSON with one or two places changed, removed or added to."""
    plan = json.loads(draw(st.sampled_from(PLANS)).to_json())
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from(list(places(plan))))
        change = draw(st.sampled_from(("set", "set", "set", "remove", "add")))
        if change == "set":
            holder[key] = draw(JSON)
        elif change == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(NAMES)] = draw(JSON)
        else:
            holder.insert(0, draw(JSON))
    return json.dumps(plan)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in nested plain data."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        yield value, key
        yield from places(item)


@fuzz(300)
@given(mutated() | JSON.map(json.dumps) | NAMES)
def test_any_text_is_a_plan_with_a_cost_or_is_refused(text: str) -> None:
    try:
        plan = Plan.from_json(text)
        assert Plan.from_json(plan.to_json()) == plan
        price = cost(plan)
    except ValueError as error:
        assert is_one_line(str(error)), error
    else:
        assert all(type(value) is int and value >= 0 for value in (price.params, price.macs, price.activations))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"blocks":' * 100_000, "1" * 5000, '{"head": {"a\\nb": 1}}', '{"input_shape": [Infinity]}']
)
def test_text_that_python_itself_refuses_is_no_plan(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Plan.from_json(text)
    assert is_one_line(str(caught.value))


# ---------------------------------------------------------------- command lines

FILES = {
    "runs.txt": "a file",
    "mlflow.db": "",
    "empty.toml": "",
    "right.toml": 'dataset = "digits"\ndimensions = ["filters"]\n[recipes.a.values]\n"filters/first" = 16',
    "broken.py": "1 /",
    "odd.py": "from cnnsearch import dataset\n@dataset\ndef odd(*, x):\n    pass\n",
}
WORDS = st.one_of(
    # NUL can be in no argument
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00/.~{}"), max_size=8),
    st.sampled_from(["", "a\nb", "\udcff", "é😀", "-1", "0", "1e400", "nan", "inf", "9" * 30, "--", "-h"]),
)
"""Nothing that names a folder elsewhere: --plugins runs the code that it finds."""

SUITABLE = {
    "--space": [
        *"digits_cnn mnist_denoise mnist_numpy_mlp right.toml empty.toml gone.toml loop.toml".split(),
        *"gone.py:build broken.py:build no_such:Build : a: :b x.toml:y".split(),
        *("a\nb.toml", "x" * 300, "x" * 300 + ".py:f"),
    ],
    "--dataset": ["digits", "npz:gone.npz", "npz:", "folder:gone", ":", "digts", "folder:\udcff"],
    "--set": [
        *"filters.first=[8] filters.first= filters.frist=1 filters.first=[[]] filters.first=1979-05-27".split(),
        *("dataset.limit=9", "=", "a\nb.c=1", "filters.first=" + "[" * 5000),
    ],
    "--plugins": ["gone", "plain", "broken.py", "odd.py", "runs.txt", "right.toml", "x" * 300],
    "--runs": ["runs", "gone", "runs.txt", "plain", "loop.toml"],
    "--out": ["out", "runs.txt"],
    "--storage": [
        *"nonsense sqlite:// sqlite:///gone/x.db sqlite:///runs.txt :// http://[ a://b".split(),
        *("postgresql://user:word@127.0.0.1:1/x", "mysql://127.0.0.1:1/x"),
    ],
    "--timeout": ["10", "2h", "m", "-5m", "1e999h"],
    "--memory": ["2g", "g", "-5m", "1e999g"],
    "--study": ["digits_cnn", "../up", "-x"],
    "--metric": ["val_loss", "val_accuracy", "val_f1"],
    "--recipe": ["a", "plain"],
    "--host": ["", "..", "no such host", "999.9.9.9", "x" * 300, "\udcff"],
    "--port": ["0", "1", "65536"],
}
"""For each option some values that come further than chance would; and the arguments are named as options."""


def arguments(name: str) -> st.SearchStrategy[list[str]]:
    """A command with some of its options and arguments."""
    parts = []
    for parameter in main.commands[name].params:
        flag = parameter.opts[-1] if isinstance(parameter, click.Option) else f"--{parameter.name}"
        flag = {"--name": "--space", "--trial-timeout": "--timeout"}.get(flag, flag)
        choices = list(getattr(parameter.type, "choices", ()))
        right = st.sampled_from(choices or SUITABLE.get(flag, ["1", "7"]))
        value = st.one_of(right, right, right, WORDS)
        if isinstance(parameter, click.Argument):
            parts.append(value.map(lambda text: [text]))
        elif parameter.is_flag and parameter.name != "debug":
            parts.append(st.just(parameter.opts[:1]))
        elif not parameter.is_flag:
            parts.append(st.tuples(st.just(parameter.opts[-1]), value).map(list))
    needed = st.sampled_from(SUITABLE["--space"]).map(lambda text: ["--space", text] if name == "run" else [])
    some = st.lists(st.one_of(*parts), max_size=3)
    return st.tuples(needed, some).map(lambda found: [name, *found[0], *(word for words in found[1] for word in words)])


@pytest.fixture(scope="module")
def cli(folder: Path) -> Iterator[CliRunner]:
    """Runs commands up to where a search, a server or another process would begin."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "plain").mkdir()
    space = SPACES["digits_cnn"]
    opening.begin(
        SearchConfig.of(
            space=space,
            dataset=spaces.Use("digits", {}),
            name=space.name,
            trials=5,
            epochs=10,
            metric="val_accuracy",
            runs=Path("runs"),
        )
    )
    (folder / "loop.toml").symlink_to("loop.toml")

    @contextlib.contextmanager
    def checked_here(space: spaces.Space, *_: Any) -> Iterator[None]:
        yield
        spaces.check_default(space, KNOWN)

    def begins(*_: Any) -> None:
        raise CnnsearchError("it would begin")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run", begins)
        # not in a process of its own for each command
        patch.setattr(search_config, "points_checked", checked_here)
        patch.setattr(os, "execv", begins)
        # what the server of the live page does first
        patch.setattr(os, "nice", begins)
        patch.setattr(doctor, "_backend", lambda runs: [doctor.Check(True, "keras backend", "not asked")])
        # it may start Ray
        patch.setattr(cluster_checks, "examine", lambda *_: [])
        yield CliRunner()


@fuzz(200)
@given(words=st.sampled_from([*sorted(main.commands), "run", "run"]).flatmap(arguments))
def test_any_command_line_works_or_is_refused(cli: CliRunner, words: list[str]) -> None:
    works_or_is_refused(cli, words)


@fuzz(30)
@given(words=st.lists(WORDS | st.sampled_from(sorted(main.commands)), max_size=3))
def test_any_words_are_a_command_line_or_are_refused(cli: CliRunner, words: list[str]) -> None:
    works_or_is_refused(cli, words)


def works_or_is_refused(cli: CliRunner, words: list[str]) -> None:
    done = cli.invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert done.exit_code in ((0, 1, 2) if words[:1] == ["doctor"] else (0, 2)), (words, done.output)
    assert "bug in cnnsearch" not in done.output and "Traceback" not in done.output, (words, done.output)
    if done.exit_code == 2 and words:
        # click shows the usage before an error of its own, and words as they were given
        said = done.stderr[done.stderr.index("Error: ") :] if "Usage: " in done.stderr else done.stderr
        assert said.startswith("Error: ") and (said != done.stderr or is_one_line(said)), (words, done.stderr)
