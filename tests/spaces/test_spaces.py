"""Space files, overrides, checks against the plugins, and hypermodels by import string."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cnnsearch.core.errors import CnnsearchError, PluginError, SpaceError
from cnnsearch.spaces import plugins
from cnnsearch.spaces.definition import DEFAULTS
from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.space import Space, Use, check, draw, from_file, hypermodel, load, override, start_plan
from cnnsearch.spaces.space_file import from_toml

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "search_spaces").glob("*.toml"))
BODY = '{ use = "conv_depth", max = 2 }, { use = "filters", first = [8, 16] }'
MODELS = """
from keras_models_of_this_test import nothing_heavy

class Hyper:
    made = 0
    def __init__(self):
        type(self).made += 1
    def build(self, hp):
        return "built by Hyper"

class Demanding:
    def __init__(self, classes):
        pass

class Idle:
    pass

def build(hp):
    return "built"

instance = Hyper()
number = 3
"""

Write = Callable[..., Path]
Plugin = Callable[[str], Catalog]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return plugins.load((), tmp_path_factory.mktemp("empty"))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """`write(text)` makes s.toml in the current folder, an empty one."""
    monkeypatch.chdir(tmp_path)

    def _write(text: str, name: str = "s.toml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), "utf-8")
        return Path(name)

    return _write


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    """`plugin(code)` is the catalog with this code as a local plugin."""
    before = set(sys.modules)

    def _plugin(code: str) -> Catalog:
        path = tmp_path / "own_plugin.py"
        header = "from cnnsearch import CnnsearchError, dataset, dimension, space, trainer\n"
        path.write_text(header + textwrap.dedent(code), "utf-8")
        return plugins.load([path], tmp_path)

    yield _plugin
    for name in set(sys.modules) - before:
        if name.endswith("_own_plugin"):
            del sys.modules[name]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with my_models.py, which imports the module that lies beside it."""
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    (tmp_path / "my_models.py").write_text(MODELS)
    (tmp_path / "keras_models_of_this_test.py").write_text("nothing_heavy = True")
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def refused(path: Path, known: Catalog | None = None) -> str:
    """What is said of a file that cannot be used."""
    with pytest.raises(SpaceError) as caught:
        space = from_file(path)
        check(space, known or plugins.load((), path.parent))
    assert "\n" not in caught.value.message
    return caught.value.message


def space_of(*uses: Use, **fields: Any) -> Space:
    return Space("s", dimensions=uses, **fields)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_space_is_named_and_described(path: Path, known: Catalog) -> None:
    space = check(load(path.stem, known), known)
    assert space.name == path.stem and space.description.endswith(".")
    assert space.dataset and space.dataset.name in known.names("dataset")
    assert check(space, known) == space


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_space_survives_json(path: Path, known: Catalog) -> None:
    space = check(from_file(path), known)
    carried = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert carried == replace(space, where="")
    assert carried.to_dict() == space.to_dict()
    hp = HyperParameters(by_chance(3))
    start = start_plan(space, (28, 28, 1), 10)
    plan = draw(space, known, hp, start)
    assert draw(carried, known, HyperParameters(replay(hp.values)), start) == plan


def test_a_file_is_read_whole(write: Write) -> None:
    path = write(f"""
        description = "Mine."
        trainer = {{ use = "gentle", twice = true }}
        dataset = {{ use = "npz", path = "x.npz" }}
        dimensions = ["head", {BODY}]
        [defaults]
        epochs = 3
        validation = 0.25
        [recipes.small]
        description = "Few filters."
        source = "arXiv:1412.6806"
        reported = {{ accuracy = 0.99 }}
        values = {{ "filters/first" = 8 }}
    """)
    assert from_file(path) == Space(
        "s",
        "Mine.",
        Use("npz", {"path": "x.npz"}),
        (Use("head", {}), Use("conv_depth", {"max": 2}), Use("filters", {"first": [8, 16]})),
        trainer=Use("gentle", {"twice": True}),
        defaults={**DEFAULTS, "epochs": 3, "validation": 0.25},
        recipes={
            "small": {
                "description": "Few filters.",
                "source": "arXiv:1412.6806",
                "reported": {"accuracy": 0.99},
                "values": {"filters/first": 8},
            }
        },
        where="s.toml",
    )


def test_little_needs_to_be_said(write: Write) -> None:
    space = from_file(write('dimensions = ["filters"]'))
    assert space == Space("s", dimensions=(Use("filters", {}),), where="s.toml")
    assert space.defaults is not DEFAULTS


def test_dimensions_may_be_an_array_of_tables(write: Write) -> None:
    path = write('[[dimensions]]\nuse = "filters"\nfirst = [8]\n[[dimensions]]\nuse = "head"\n')
    assert from_file(path).dimensions == (Use("filters", {"first": [8]}), Use("head", {}))


def test_a_mark_that_editors_put_in_front_is_read_over(write: Write) -> None:
    assert from_file(write('\ufeffdimensions = ["filters"]')).dimensions == (Use("filters", {}),)


def test_a_name_is_fit_for_a_file() -> None:
    table = {"dimensions": ["filters"]}
    named = {name: from_toml(table, name, "").name for name in ("a b/c", "..up", "-x", "é-1.2_b")}
    assert named == {"a b/c": "a_b_c", "..up": "up", "-x": "x", "é-1.2_b": "é-1.2_b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'dimension = ["filters"]',
            "the space has no key 'dimension'. Did you mean 'dimensions'? It takes description,",
        ),
        ("", "there are no dimensions; expected dimensions = "),
        ("dimensions = []", "there are no dimensions; expected dimensions = "),
        ('dimensions = "filters"', "dimensions is 'filters'; expected an array."),
        ("dimensions = [3]", 'dimensions: expected a name or { use = "NAME", … }, got 3.'),
        ("dimensions = [{ first = [8] }]", "dimensions: expected a name or"),
        ("dimensions = [{ use = 3 }]", "dimensions: expected a name or"),
        (
            'dimensions = ["head", "filters", { use = "head" }]',
            "dimension 'head' is used twice; its hyperparameters would",
        ),
        ('description = 3\ndimensions = ["head"]', "description is 3; expected a text."),
        ('trainer = ["x"]\ndimensions = ["head"]', "trainer: expected a name or"),
        ('model = "m"\ndimensions = ["head"]', "it has both a model and dimensions"),
        ('dataset = ["digits"]\ndimensions = ["head"]', "dataset: expected a name or"),
        ('dataset = { limit = 3 }\ndimensions = ["head"]', "dataset: expected a name or"),
        ('defaults = 3\ndimensions = ["head"]', "defaults is 3; expected a table."),
        ('recipes = []\ndimensions = ["head"]', "recipes is []; expected a table."),
        ('dimensions = ["head"]\n[recipes]\nsmall = 3', "recipes: small is 3; expected a table."),
        ('dimensions = ["head"]\n[recipes.a]\nvalues = 3', "recipe 'a': values is 3; expected a table."),
        ('dimensions = ["head"]\n[recipes.a]\nsource = 3', "recipe 'a': source is 3; expected a text."),
        ('dimensions = ["head"]\n[recipes.a]\nvalue = {}', "recipe 'a' has no key 'value'. Did you mean 'values'?"),
        (
            'dimensions = ["head"]\n[recipes.a]\nreported = { on = 2020-01-02 }',
            'recipes.a.reported.on is the date or time 2020-01-02; expected a text: "2020-01-02".',
        ),
        ('dimensions = [{ use = "head", width = [12:30:00] }]', "dimensions.width is the date or time 12:30:00;"),
    ],
)
def test_a_wrong_key_or_type_is_named(write: Write, text: str, message: str) -> None:
    assert refused(write(text)).startswith(f"s.toml: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epoch = 3", "[defaults] has no key 'epoch'. Did you mean 'epochs'? It takes epochs, batch_size, max_params,"),
        ("epochs = 0", "defaults.epochs is 0; expected a whole number of at least 1."),
        ("epochs = 2.5", "defaults.epochs is 2.5; expected a whole number of at least 1."),
        ("epochs = true", "defaults.epochs is True; expected a whole number of at least 1."),
        ("batch_size = 0", "defaults.batch_size is 0; expected a whole number of at least 1."),
        ("max_params = -1", "defaults.max_params is -1; expected a whole number, or 0 for no limit."),
        ("max_macs = 1e6", "defaults.max_macs is 1000000.0; expected a whole number, or 0 for no limit."),
        ("metric = 3", "defaults.metric is 3; expected the name of a metric such as 'val_accuracy'."),
        ('metric = ""', "defaults.metric is ''; expected the name of a metric such as 'val_accuracy'."),
        ('metric = "val_f1"', "defaults.metric: There is no metric 'val_f1'. Did you mean 'val_f1_macro'?"),
        ("validation = 1.5", "defaults.validation is 1.5; expected a fraction between 0 and 1, such as 0.2."),
        ("validation = 0", "defaults.validation is 0; expected a fraction between 0 and 1, such as 0.2."),
        ("validation = nan", "defaults.validation is nan; expected a fraction between 0 and 1, such as 0.2."),
    ],
)
def test_a_wrong_default_is_named(write: Write, line: str, message: str) -> None:
    assert refused(write(f'dimensions = ["head"]\n[defaults]\n{line}')).startswith(f"s.toml: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('dimensions = [\n"head"', "this is not valid TOML: .*at end of document"),
        ('dimensions = ["head"]\nepochs == 3\n', r"this is not valid TOML: .*\(at line 2, column \d+\)\."),
        ('dimensions = ["head"]\ndimensions = ["head"]\n', r"this is not valid TOML: .*\(at line 2, column \d+\)\."),
        (f"x = {'9' * 5000}", "this is not valid TOML: Exceeds the limit"),
        (f"x = {'[' * 5000}", "this is not valid TOML: ."),
    ],
)
def test_broken_toml_is_told_with_its_line(write: Write, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(SpaceError, match=rf"^s\.toml: {message}"):
        from_file(path)


def test_files_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    (write("", "latin.toml")).write_bytes(b'description = "\xe9"')
    said = {name: refused(Path(name)) for name in ("gone.toml", "folder.toml", "latin.toml")}
    assert said["gone.toml"] == "gone.toml: there is no such file. `cnnsearch spaces` lists the known spaces."
    assert said["folder.toml"] == "folder.toml cannot be read: Is a directory; expected a TOML file."
    assert said["latin.toml"].startswith("latin.toml cannot be read: 'utf-8' codec can't decode byte 0xe9")


def test_a_file_elsewhere_is_named_by_its_whole_path(write: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    write("")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "s.toml"
    elsewhere.write_text("dimension = 3")
    assert refused(elsewhere).startswith(f"{elsewhere}: the space has no key")


# ---------------------------------------------------------------- check


@pytest.mark.parametrize(
    ("uses", "message"),
    [
        (
            '"filtres"',
            "there is no dimension 'filtres'. Did you mean 'filters'? `cnnsearch plugins` lists all ",
        ),
        (
            '{ use = "filters", frist = [8] }',
            "filters has no option 'frist'. Did you mean 'first'? It takes first=(32, 16, 64), growth=(2.0, 1.0) and",
        ),
        (
            '{ use = "filters", first = [] }',
            "filters.first is empty; expected one value or more, such as [32, 16, 64].",
        ),
        ('{ use = "filters", first = ["8"] }', "filters.first is '8'; expected a whole number such as 32."),
        ('{ use = "filters", growth = [inf] }', "filters.growth is inf; expected a finite number such as 2.0."),
        ('{ use = "conv_depth", max = "3" }', "conv_depth.max is '3'; expected a whole number such as 3."),
        (
            '{ use = "filters", first = [0] }',
            "filters: first and most must be numbers of at least 1, got first=(0,) and",
        ),
        (
            '{ use = "norm_dropout", max_rate = 1.5 }',
            "norm_dropout: expected 0 < step <= max_rate < 1, got step=0.05 and max_rate=1.5.",
        ),
        ('{ use = "conv_depth", min = 4, max = 2 }', "conv_depth: expected 0 <= min <= max, got min=4 and max=2."),
        ('{ use = "activation", choices = ["rleu"] }', "activation: choices must be among relu, "),
        ('{ use = "learning_rate", min = 0 }', "learning_rate: expected rates above 0, the smallest first, got 0.0 to"),
    ],
)
def test_a_wrong_use_of_a_dimension_is_named(write: Write, known: Catalog, uses: str, message: str) -> None:
    path = write(f"dimensions = [{uses}]")
    with pytest.raises(CnnsearchError) as caught:
        check(from_file(path), known)
    assert caught.value.message.startswith(f"s.toml: {message}")
    assert "\n" not in caught.value.message and not caught.value.message.endswith("..")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('dataset = "digit"', "there is no dataset 'digit'. Did you mean 'digits'? `cnnsearch datasets` lists all"),
        ('dataset = { use = "digits", limits = 3 }', "dataset digits has no option 'limits'. Did you mean 'limit'?"),
        (
            'dataset = { use = "digits", limit = "3" }',
            "dataset digits.limit is '3'; expected a whole number such as 0.",
        ),
        ('trainer = "gentle"', "there is no trainer 'gentle'. `cnnsearch plugins` lists all"),
        (
            'trainer = { use = "denoise_first", epochs = 3 }',
            "trainer denoise_first has no option 'epochs'. It takes denoiser_epochs=14 and rate=0.002.",
        ),
        (
            'trainer = { use = "denoise_first", denoiser_epochs = "3" }',
            "trainer denoise_first.denoiser_epochs is '3'; expected a whole number such as 14.",
        ),
    ],
)
def test_a_wrong_dataset_or_trainer_is_named(write: Write, known: Catalog, line: str, message: str) -> None:
    path = write(f"{line}\ndimensions = [{BODY}]")
    with pytest.raises(CnnsearchError) as caught:
        check(from_file(path), known)
    assert caught.value.message.startswith(f"s.toml: {message}")


def test_check_gives_options_the_types_of_their_defaults(known: Catalog) -> None:
    given = space_of(Use("filters", {"first": [8], "growth": [2]}), dataset=Use("digits", {"limit": 5}))
    checked = check(given, known)
    assert repr(checked.dimensions[0].options) == "{'first': (8,), 'growth': (2.0,)}"
    assert checked.dataset == Use("digits", {"limit": 5})


def test_a_space_made_for_large_images_is_not_refused(known: Catalog) -> None:
    check(space_of(Use("conv_depth", {"min": 6, "max": 8})), known)


def test_a_space_without_a_file_is_named_by_its_name(known: Catalog) -> None:
    with pytest.raises(SpaceError, match=r"^s: filters has no option 'x'\."):
        check(space_of(Use("filters", {"x": 1})), known)


def test_a_default_point_that_is_refused_shows_at_once(plugin: Plugin) -> None:
    found = plugin("""
        @dimension
        def seldom(hp, plan, *, bad=1):
            if hp.Choice("x", (1, 2, 3)) == bad:
                raise ValueError("bad is bad.")
            return plan
    """)
    with pytest.raises(SpaceError, match=r"^s: seldom: bad is bad\.$"):
        check(space_of(Use("seldom", {})), found)
    check(space_of(Use("seldom", {"bad": 4})), found)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise TypeError('one\\ntwo')", r"s: culprit: TypeError: one\."),
        ("raise ValueError", r"s: culprit: no reason given\."),
        ("raise CnnsearchError('my own words')", "my own words"),
        ("hp.Choice('x', (1, 2))", r"dimension 'culprit' returned NoneType; expected the edited Plan: end it with"),
        (
            "return hp.Int('x', 3, 1)",
            r"s: culprit: culprit/x has the range 3 to 1; expected the smaller number first\.",
        ),
    ],
)
def test_a_failing_dimension_is_named_even_behind_a_decorator(plugin: Plugin, body: str, message: str) -> None:
    found = plugin(f"""
        def plain(function):
            def wrapper(hp, plan, *, size=1):
                return function(hp, plan)
            wrapper.__name__ = function.__name__
            return wrapper

        @dimension
        @plain
        def culprit(hp, plan):
            {body}
    """)
    with pytest.raises(CnnsearchError, match=f"^{message}"):
        check(space_of(Use("filters", {}), Use("culprit", {})), found)


def test_an_option_without_a_default_is_the_plugins_fault(plugin: Plugin) -> None:
    found = plugin("""
        @dimension
        def bare(hp, plan, *, size):
            return plan
    """)
    with pytest.raises(PluginError, match=r"^s: bare: its option 'size' has no default"):
        check(space_of(Use("bare", {})), found)


def test_a_broken_plugin_is_fatal_only_for_the_space_that_uses_it(plugin: Plugin, known: Catalog) -> None:
    found = plugin("import sys; sys.exit('no')")
    assert check(space_of(Use("filters", {})), found)
    with pytest.raises(PluginError, match=r"^s: plugin 'own_plugin' \(local .*SystemExit: no$"):
        check(space_of(Use("own_plugin", {})), found)


def test_what_a_space_names_twice_defined_is_refused(plugin: Plugin) -> None:
    found = plugin("""
        @dimension
        def filters(hp, plan):
            return plan
    """)
    with pytest.raises(PluginError, match=r"^s: dimension 'filters' .* defined twice, by shipped .* and by local"):
        check(space_of(Use("filters", {})), found)


def test_draws_are_scoped_and_in_order(known: Catalog) -> None:
    space = space_of(Use("conv_depth", {"max": 2}), Use("filters", {"first": [8, 16]}))
    hp = HyperParameters(replay({"conv_depth/blocks": 2, "filters/first": 16, "filters/growth": 2.0}))
    plan = draw(space, known, hp, start_plan(space, (28, 28, 1), 10))
    assert [block.filters for block in plan.blocks] == [16, 32]
    assert next(iter(hp.values)) == "conv_depth/blocks"


def test_the_start_plan_has_the_spaces_defaults() -> None:
    space = Space("s", defaults={**DEFAULTS, "epochs": 4, "batch_size": 32})
    assert start_plan(space, (28, 20, 3), 7) == Plan((28, 20, 3), 7, epochs=4, batch_size=32)
    assert start_plan(space, (28, 20, 3), 7, epochs=9).epochs == 9


# ---------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("setting", "option", "value"),
    [
        ("filters.first=[16,32]", "first", [16, 32]),
        (" filters . first = [ 16 , 32 ] ", "first", [16, 32]),
        ("filters.first=8", "first", 8),
        ("filters.growth=1.5", "growth", 1.5),
        ("filters.mode=same", "mode", "same"),
        ('filters.mode="same"', "mode", "same"),
        ("filters.flip=true", "flip", True),
        ("filters.path=a=b.c", "path", "a=b.c"),
        (r"filters.path=C:\new", "path", r"C:\new"),
        ("filters.path=", "path", ""),
        ("filters.day=2024-01-02", "day", "2024-01-02"),
        ("filters.broken=[1,", "broken", "[1,"),
    ],
)
def test_an_option_is_set(setting: str, option: str, value: Any) -> None:
    before = space_of(Use("head", {}), Use("filters", {"most": [64]}))
    after = override(before, (setting,))
    assert after.dimensions == (Use("head", {}), Use("filters", {"most": [64], option: value}))
    assert before.dimensions[1].options == {"most": [64]}


def test_settings_come_one_after_the_other() -> None:
    before = space_of(Use("filters", {"first": [1]}), dataset=Use("npz", {"limit": 3}))
    after = override(before, ("filters.first=2", "filters.first=3", "dataset.path=x.npz", "dataset.limit=4"))
    assert after.dimensions == (Use("filters", {"first": 3}),)
    assert after.dataset == Use("npz", {"path": "x.npz", "limit": 4})
    assert override(before, ()) == before


@pytest.mark.parametrize("setting", ["filters", "filters.first", "filters=3", "=3", ".first=3", "filters.=3", ""])
def test_a_setting_of_another_form_is_refused(setting: str) -> None:
    with pytest.raises(SpaceError) as caught:
        override(space_of(Use("filters", {})), (setting,))
    assert caught.value.message == (f"--set {setting}: expected DIMENSION.OPTION=VALUE, such as filters.first=[16,32].")


def test_a_setting_names_a_dimension_of_the_space() -> None:
    space = space_of(Use("filters", {}), Use("head", {}))
    with pytest.raises(SpaceError) as caught:
        override(space, ("filtres.first=3",))
    assert caught.value.message == (
        "--set filtres.first: s has no dimension 'filtres'. Did you mean 'filters'? It has filters, head."
    )
    with pytest.raises(SpaceError, match=r"It has filters, head, dataset\."):
        override(replace(space, dataset=Use("digits", {})), ("qqq.first=3",))
    with pytest.raises(SpaceError, match=r"--set dataset\.path: s has no dataset. Name one with --dataset\."):
        override(space, ("dataset.path=3",))
    with pytest.raises(SpaceError, match=r"build has no dimension 'x'\. It has none\."):
        override(Space("build", model="m.py:build"), ("x.y=3",))


def test_what_was_set_is_checked(known: Catalog) -> None:
    with pytest.raises(SpaceError, match=r"s: filters has no option 'frist'\. Did you mean 'first'\?"):
        check(override(space_of(Use("filters", {})), ("filters.frist=3",)), known)
    checked = check(override(space_of(Use("filters", {})), ("filters.first=3",)), known)
    assert checked.dimensions == (Use("filters", {"first": (3,)}),)


# ---------------------------------------------------------------- plain data


def test_plain_data_goes_through_json_and_toml() -> None:
    space = Space(
        "s",
        "Mine.",
        Use("npz", {"path": "x.npz"}),
        (Use("filters", {"first": (8, 16)}), Use("head", {})),
        trainer=Use("gentle", {"sizes": (1, 2)}),
        recipes={"a": {"values": {"filters/first": 8}}},
        where="s.toml",
    )
    fields = space.to_dict()
    assert fields["where"] == "" and space.where == "s.toml"
    assert Space.from_dict(fields) == Space.from_dict(json.loads(json.dumps(fields))) == replace(space, where="")
    # as studies of before have it
    assert Space.from_dict({**fields, "trainer": "gentle"}).trainer == Use("gentle", {})
    assert Space.from_dict({**fields, "trainer": ""}).trainer is None
    assert tomli_w.dumps(fields["recipes"])


def test_a_space_without_dataset_goes_through_json() -> None:
    space = Space("build", model="m.py:build")
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space


def test_to_dict_shares_nothing_with_the_space() -> None:
    space = space_of(Use("filters", {"first": [8]}))
    space.to_dict()["dimensions"][0][1]["first"].append(9)
    assert space.dimensions[0].options == {"first": [8]}


# ---------------------------------------------------------------- load, and hypermodels


def test_a_space_is_loaded_by_name_path_or_import_string(write: Write, known: Catalog, models: Path) -> None:
    path = write('dimensions = ["head"]')
    assert load("digits_cnn", known).name == "digits_cnn"
    assert load(str(path), known).dimensions == (Use("head", {}),)
    assert load("my_models.py:build", known) == Space(
        "my_models", model="my_models.py:build", where="my_models.py:build"
    )


def test_an_unknown_space_is_answered_with_the_nearest(known: Catalog) -> None:
    with pytest.raises(CnnsearchError, match=r"no space 'mnist_cn'\. Did you mean 'mnist_cnn'\? `cnnsearch spaces` "):
        load("mnist_cn", known)


@pytest.mark.parametrize("reference", ["my_models.py", ":build", "my_models.py:", ":"])
def test_an_import_string_has_two_parts(known: Catalog, models: Path, reference: str) -> None:
    with pytest.raises(SpaceError) as caught:
        load(reference, known)
    assert caught.value.message == (
        f"--space {reference}: expected FILE.py:NAME or MODULE:NAME, such as my_models.py:build."
    )


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("my_model.py:build", "--space my_model.py:build: there is no such file."),
        ("my_model:build", "--space my_model:build: my_model does not import: there is no such module."),
        ("my-model:build", "--space my-model:build: my-model does not import: there is no such module."),
        (".models:build", "--space .models:build: .models does not import: there is no such module."),
    ],
)
def test_what_is_not_there_is_told_before_anything_runs(
    known: Catalog, models: Path, reference: str, message: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        load(reference, known)
    assert caught.value.message == message


def test_an_installed_module_needs_no_file_here(known: Catalog, models: Path) -> None:
    assert load("keras_tuner.applications:HyperResNet", known).name == "HyperResNet"


@pytest.mark.parametrize("module", ["my_models.py", "my_models"])
def test_hypermodels_by_import_string(known: Catalog, models: Path, module: str) -> None:
    def made(name: str) -> Any:
        space = check(load(f"{module}:{name}", known), known)
        return hypermodel(space, known, (8, 8, 1), 10)

    assert made("build")(None) == "built"
    assert made("Hyper").build(None) == "built by Hyper"
    assert made("instance") is made("instance")
    assert made("Hyper") is not made("Hyper")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Demanding", r"^my_models\.py:Demanding cannot be made: TypeError: .*missing 1 required .*'classes'"),
        ("Idle", r"^my_models\.py:Idle returns Idle; expected a HyperModel or a function build\(hp\)\.$"),
        ("number", r"^my_models\.py:number returns int; expected a HyperModel or a function build\(hp\)\.$"),
    ],
)
def test_what_is_no_hypermodel_is_refused(known: Catalog, models: Path, name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        hypermodel(load(f"my_models.py:{name}", known), known, (8, 8, 1), 10)


def test_a_misspelt_function_is_told_before_anything_runs(known: Catalog, models: Path) -> None:
    for module in ("my_models.py", "my_models"):
        with pytest.raises(SpaceError, match=r"my_models\.py has no 'biuld'\. Did you mean 'build'\? It has Hyper, "):
            load(f"{module}:biuld", known)
    (models / "loud.py").write_text("import os\nraise SystemExit\ndef build(hp): ...\n_hidden = os")
    with pytest.raises(SpaceError, match=r"^--space loud.py:qqq: loud.py has no 'qqq'\. It has build\.$"):
        load("loud.py:qqq", known)
    (models / "unclear.py").write_text("from os import *\n")
    for reference in ("loud.py:build", "loud.py:_hidden", "unclear.py:qqq"):
        assert load(reference, known).model == reference


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("no_such_module_here:build", "^module no_such_module_here does not import: ModuleNotFoundError"),
        ("gone.py:build", r"^gone\.py does not import: FileNotFoundError"),
        ("leaving.py:build", r"^leaving\.py does not import: SystemExit: 1$"),
        ("leaving:build", r"^module leaving does not import: SystemExit: 1$"),
    ],
)
def test_a_module_that_does_not_import_is_told(known: Catalog, models: Path, model: str, message: str) -> None:
    (models / "leaving.py").write_text("import sys; sys.exit(1)")
    with pytest.raises(PluginError, match=message):
        hypermodel(Space("s", model=model), known, (8, 8, 1), 10)


def test_loading_an_import_string_runs_nothing(known: Catalog, models: Path) -> None:
    (models / "eager.py").write_text("from pathlib import Path; Path('ran').touch()\ndef build(hp): ...")
    for reference in ("eager.py:build", "eager:build", "eager.deeper:build"):
        check(load(reference, known), known)
    assert not (models / "ran").exists()


def test_a_space_written_in_python(plugin: Plugin) -> None:
    found = plugin("""
        @space
        def mine(input_shape, num_classes):
            '''My own networks.'''
            return lambda hp: (input_shape, num_classes)
    """)
    space = check(load("mine", found), found)
    assert space == Space("mine", "My own networks.", model="mine", where="mine")
    assert hypermodel(space, found, (8, 8, 1), 10)(None) == ((8, 8, 1), 10)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('too small')", r"^space 'mine' cannot be made: ValueError: too small$"),
        ("raise CnnsearchError('my own words')", r"^my own words$"),
        ("pass", r"^space 'mine' returns NoneType; expected a HyperModel or a function build\(hp\)\.$"),
    ],
)
def test_a_space_in_python_that_fails_is_named(plugin: Plugin, body: str, message: str) -> None:
    found = plugin(f"""
        @space
        def mine(input_shape, num_classes):
            {body}
    """)
    with pytest.raises(CnnsearchError, match=message):
        hypermodel(load("mine", found), found, (8, 8, 1), 10)


# ---------------------------------------------------------------- the module


def test_each_module_can_be_imported_first_and_brings_nothing_heavy(tmp_path: Path) -> None:
    for name in ("space_file", "space", "plugin_options", "plugins"):
        code = f"import cnnsearch.spaces.{name}, sys; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert not {"tensorflow", "keras", "keras_tuner", "mlflow", "optuna"} & set(done.stdout.split())
