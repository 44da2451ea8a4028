"""The reference names everything there is, and the code in it works."""

import ast
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from mkdocs_click._docs import make_command_docs

from cnnsearch import Block, Dataset, Head, Plan, testing
from cnnsearch.cli import options as arguments
from cnnsearch.cli import scaffold
from cnnsearch.cli.main import main
from cnnsearch.core import errors
from cnnsearch.results.leaderboard import COLUMNS
from cnnsearch.spaces import decorators, plugin_options, plugins
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.definition import DEFAULTS
from cnnsearch.spaces.hyperparameters import Draw, HyperParameters, by_chance, defaults, replay
from cnnsearch.spaces.sentences import BLOCK_WORDS, HEAD_WORDS, WORDS
from cnnsearch.spaces.space_file import KEYS, RECIPE_KEYS
from cnnsearch.study import confirmation
from cnnsearch.study.trial import FIELDS
from cnnsearch.testing import callbacks, datasets, dimensions, hypermodels, launchers, makers, schedulers, trainers
from cnnsearch.testing import spaces as space_files

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = {path.stem: path.read_text("utf-8") for path in sorted((REFERENCE / "plugins").glob("*.md"))}
AUTHORS = "\n".join(PAGES.values())
"""The pages for authors of plugins, by name and as one text."""

HOW_TO = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs" / "how-to").glob("*.md")))
SPACES = (REFERENCE / "space-files.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
SHIPPED = plugins.Catalog(entry for entry in plugins.load(here=ROOT / "docs").entries if entry.origin == "shipped")


def section(text: str, heading: str) -> str:
    """What stands under `heading`, up to the next heading of its level or above."""
    level, rest = len(heading.partition(" ")[0]), text.partition(f"\n{heading}\n")[2]
    # a comment in a block of code is no heading
    bare = re.sub(r"(?ms)^```.*?^```$", lambda block: block[0].replace("#", "."), rest)
    end = re.search(rf"(?m)^#{{1,{level}}} ", bare)
    return rest[: end.start() if end else None]


def row(text: str, name: str) -> str:
    """The row of a table that is about `name`."""
    (found,) = re.findall(rf"(?m)^\| `{re.escape(name)}`.*\|$", text)
    return str(found)


def named(text: str, name: str) -> bool:
    """Whether a row of a table in `text` is about `name`, alone or with others."""
    return any(f"`{name}`" in line.split(" | ")[0] for line in text.splitlines() if line.startswith("| "))


# -- everything there is ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", decorators.KINDS)
def test_each_marker_stands_with_its_exact_signature(kind: str) -> None:
    signature = re.search("`(.+?)`", inspect.getdoc(getattr(decorators, kind)) or "")
    assert signature and f"\n{signature[1]}\n" in PAGES.get(kind, PAGES["sampler-pruner-launcher"])


@pytest.mark.parametrize("name", SHIPPED.names("dimension"))
def test_each_dimension_stands_with_what_it_draws_and_its_options(name: str) -> None:
    line = row(PAGES["shipped-dimensions"], name)
    function = SHIPPED.get("dimension", name).function
    assert function is not None
    for option, default in plugin_options.options(function).items():
        assert f"`{option} = {json.dumps(default)}`" in line
    assert len(re.findall(r"`\w+ = ", line)) == len(plugin_options.options(function))
    for drawn in names_drawn(name):
        assert f"`{re.sub('[0-9]+$', '1', drawn)}`" in line.split(" | ")[1]


@pytest.mark.parametrize("name", SHIPPED.names("dimension"))
def test_the_order_of_each_dimension_is_told(name: str) -> None:
    assert f"`{name}`" in section(SPACES, "## The order of dimensions")


@pytest.mark.parametrize("name", SHIPPED.names("dataset"))
def test_each_dataset_is_named(name: str) -> None:
    assert f"`{name}`" in section(PAGES["dataset"], "## The shipped datasets")


def test_each_key_of_a_space_file_is_explained_with_its_default() -> None:
    for key in KEYS:
        assert named(section(SPACES, "## Keys"), key), key
    for key, default in DEFAULTS.items():
        shown = f"{default:.4g}" if isinstance(default, float) else json.dumps(default)
        assert f"| `{key}` | `{shown}` |" in section(SPACES, "### `[defaults]`")
    for key in RECIPE_KEYS:
        assert named(section(SPACES, "### `[recipes.NAME]`"), key), key


def test_each_word_of_a_sentence_stands_with_its_meaning_and_place() -> None:
    for word, meaning in WORDS.items():
        where = ["block"] * (word in BLOCK_WORDS) + ["head"] * (word in HEAD_WORDS)
        assert f"| `{word}` | {meaning} | {', '.join(where)} |" in AUTHORS
    assert f"of the words {', '.join(f'`{word}`' for word in ('dense', 'norm', 'act', 'drop'))} |" in AUTHORS


@pytest.mark.parametrize("owner", [Plan, Block, Head, Dataset])
def test_each_field_stands_with_its_default(owner: type) -> None:
    page = PAGES["dataset" if owner is Dataset else "plan"]
    table = page.partition(f"| field of `{owner.__name__}` |")[2].partition("\n\n")[0]
    for name, parameter in inspect.signature(owner).parameters.items():
        default = "" if parameter.default is parameter.empty else f"`{in_source(parameter.default)}`"
        (line,) = [line for line in table.splitlines() if f"`{name}`" in line.split(" | ")[0]]
        assert line.split("|")[2].strip() == default


@pytest.mark.parametrize("owner", [Plan, Block, Head])
def test_each_method_of_a_plan_is_named(owner: type) -> None:
    for name in public(owner):
        if name not in inspect.signature(owner).parameters:
            assert re.search(rf"\b{owner.__name__}\.{name}\b", AUTHORS, re.IGNORECASE), name


def test_each_method_of_hp_stands_with_its_exact_signature() -> None:
    hp = HyperParameters(defaults)
    table = PAGES["hp"]
    for name in public(HyperParameters):
        parameters = list(inspect.signature(getattr(hp, name)).parameters.values())
        shown = (p.name + ("" if p.default is p.empty else f"={in_source(p.default)}") for p in parameters)
        assert f"| `hp.{name}({', '.join(shown)})` |" in table
    for name in (*public(type(hp.trial)), "hp.values", "hp.space"):
        assert f"`{name}`" in table


CONTRACTED = {
    "a dimension": dimensions.CONTRACTS,
    "a space file": space_files.CONTRACTS,
    "a space written in Python": hypermodels.CONTRACTS,
    "a dataset": datasets.CONTRACTS,
    "a trainer": trainers.CONTRACTS,
    "a scheduler": schedulers.CONTRACTS,
    "a callback": callbacks.CONTRACTS,
    "a sampler": makers.SAMPLER_CONTRACTS,
    "a pruner": makers.PRUNER_CONTRACTS,
    "a launcher": launchers.CONTRACTS,
}


@pytest.mark.parametrize("kind", CONTRACTED)
def test_each_contract_stands_as_it_is_checked(kind: str) -> None:
    told = re.findall(r"(?m)^\* (.+)$", section(PAGES["contracts"], f"## {kind[0].upper()}{kind[1:]}"))
    assert told == [contract.text for contract in CONTRACTED[kind]]


def test_each_suite_stands_with_what_can_be_set() -> None:
    suites = [name for name in testing.__all__ if name.endswith("Suite")]
    # samplers and pruners have contracts and no suite
    assert len(suites) == len(CONTRACTED) - 2
    for name in suites:
        line = row(PAGES["contracts"], name)
        for attribute in inspect.get_annotations(getattr(testing, name)):
            assert f"`{attribute}`" in line


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_each_kind_that_new_writes_is_named(kind: str) -> None:
    assert f"cnnsearch new {kind} " in AUTHORS


def names_drawn(dimension: str) -> set[str]:
    """The names that 100 random points of a shipped dimension draw."""
    uses = dict.fromkeys(["conv_depth", dimension])
    space = spaces.from_toml({"dimensions": list(uses)}, "one", "one")
    found: set[str] = set()
    for seed in range(100):
        hp, _ = drawn(space, SHIPPED, by_chance(seed))
        found.update(name for name in hp.values if name.startswith(f"{dimension}/"))
    return {name.partition("/")[2] for name in found}


def public(owner: type) -> list[str]:
    return [name for name in vars(owner) if not name.startswith("_")]


def in_source(value: Any) -> str:
    """`value` as one would write it, a dataclass by its name."""
    if isinstance(value, Head):
        return "Head()"
    return repr(value).replace("'", '"')


# -- the commands ----------------------------------------------------------------------------------


def test_the_page_of_commands_has_every_command_and_option_with_its_meaning() -> None:
    page = (REFERENCE / "commands.md").read_text("utf-8")
    block = dict(re.findall(r"(?m)^    :(\w+): (.+)$", page.partition("::: mkdocs-click")[2]))
    command = getattr(importlib.import_module(block["module"]), block["command"])
    assert command is main
    made = make_command_docs(block["prog_name"], command, depth=int(block["depth"]), style=block["style"])
    # lines may be broken behind a hyphen
    shown = " ".join("\n".join(made).split()).replace("- ", "-")
    for name, each in main.commands.items():
        assert f"# {name} " in shown and " ".join((each.help or "").replace("\b", "").split()) in shown, name
        for option in each.params:
            if isinstance(option, arguments.Option):
                assert " ".join(option.meaning().split()) in shown, option.opts


def test_the_page_of_commands_has_the_variables_of_all_commands() -> None:
    page = (REFERENCE / "commands.md").read_text("utf-8")
    options = [option for command in main.commands.values() for option in command.params]
    shared = {str(option.envvar) for option in options if option.name in ("runs", "storage", "plugins")}
    assert len(shared) == 3
    for variable in shared:
        assert f"| `{variable}` |" in page


def test_the_help_of_run_has_groups_with_the_six_most_used_first_and_every_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(main, ["run", "--help"]).output
    assert max(map(len, shown.splitlines())) <= 80
    headings = re.findall(r"(?m)^(\S.*):$", shown)
    assert headings == [each for each in arguments.GROUPS if each in headings] and len(headings) >= 7
    first = shown.partition(f"{headings[1]}:")[0]
    assert re.findall(r"(?m)^  (--[\w-]+)", first) == [
        "--space",
        "--dataset",
        "--trials",
        "--epochs",
        "--timeout",
        "--jobs",
    ]
    for option in re.split(r"(?m)^  (?=-)", shown)[1:-1]:
        assert "[required]" in option or re.search(r"\[default:\s+\S", option), option
    assert "[default: 50]" in shown and "[default: tpe]" in shown


def test_commands_and_options_in_the_guides_exist() -> None:
    """Each `cnnsearch COMMAND --option` of a shell block is one that the tool takes."""
    for text in (AUTHORS, SPACES, HOW_TO):
        lines = "\n".join(re.findall(r"(?ms)^```sh\n(.*?)^```$", text)).splitlines()
        for words in (line.partition("#")[0].split() for line in lines if line.startswith("cnnsearch ")):
            known = {name for option in main.commands[words[1]].params for name in option.opts}
            assert {word for word in words if word.startswith("-")} <= known, words


def test_the_files_for_clusters_use_options_that_exist() -> None:
    folder = ROOT / "examples" / "cluster"
    job = yaml.safe_load((folder / "kuberay.yaml").read_text("utf-8"))
    script = (folder / "slurm.sh").read_text("utf-8").replace("\\\n", " ")
    known = {name for option in main.commands["run"].params for name in option.opts}
    for text in (job["spec"]["entrypoint"], script.partition(" -- ")[2]):
        words = text.split()
        assert words[:2] == ["cnnsearch", "run"] and {word for word in words if word.startswith("-")} <= known, words


def test_the_glossary_is_sorted_and_each_name_in_it_is_a_class() -> None:
    words, names = (ROOT / "docs" / "glossary.md").read_text("utf-8").split("## Names in the code")
    listed = re.findall(r"(?m)^\| ([^|]+?) \| [A-Z0-9].*\. \|$", words)
    assert len(listed) == words.count("\n| ") - 2 > 60 and listed == sorted(listed, key=str.lower)
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    for name in first_column(names):
        assert re.search(rf"(?m)^class {name}\b", source), name


# -- formats ---------------------------------------------------------------------------------------


def first_column(text: str) -> list[str]:
    """The names in the first column of the tables of a text."""
    rows = re.findall(r"(?m)^\| (`.+?) \| ", text)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_each_failure_type_and_exception_stands_on_its_page() -> None:
    page = (REFERENCE / "failure-types.md").read_text("utf-8")
    assert first_column(page.partition("\n## ")[0]) == list(errors.FAILURES)
    raised = [name for name, value in vars(errors).items() if inspect.isclass(value)]
    listed = first_column(section(page, "## Errors that stop a command"))
    assert sorted(listed) == sorted(name for name in raised if name.endswith(("Error", "Failure")))


def test_each_column_of_the_leaderboard_stands_in_its_order() -> None:
    page = (REFERENCE / "stored-formats.md").read_text("utf-8")
    assert first_column(section(page, "## Leaderboard columns")) == list(COLUMNS)


def test_each_stored_field_of_a_trial_stands_on_the_page() -> None:
    page = section((REFERENCE / "stored-formats.md").read_text("utf-8"), "## Optuna's storage")
    table = first_column(page.partition("The dict `cnnsearch` of a trial:")[2])
    own = {"number", "origin", "params", "choices"}
    assert sorted(table) == sorted(FIELDS - own)


def test_each_key_of_the_json_events_stands_on_its_page() -> None:
    page = (REFERENCE / "json-events.md").read_text("utf-8")
    source = "".join(
        inspect.getsource(importlib.import_module(f"cnnsearch.cli.{name}")) for name in ("plain_display", "summary")
    )
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if "event" in keys:
                event = node.values[keys.index("event")]
                assert isinstance(event, ast.Constant)
                found[str(event.value)] = {str(key) for key in keys} - {"event"}
    assert set(found) == {"trial", "repeat", "end"}
    found["repeat"] |= {*confirmation.Repeat._fields, "ended", "trainings"} - {"right"}
    for event, keys in found.items():
        (heading,) = re.findall(rf"(?m)^## {event}: .+$", page)
        assert set(first_column(section(page, heading))) == keys, event


# -- the code in the guides ------------------------------------------------------------------------


def files(text: str) -> dict[str, str]:
    """The Python and TOML blocks that begin with a comment which is a path, by that path."""
    blocks = re.findall(r"(?ms)^```(?:python|toml)\n(.*?)^```$", text)
    found = {block.partition("\n")[0].removeprefix("# "): block for block in blocks}
    assert len(found) == len(blocks) and all(path.endswith((".py", ".toml")) for path in found), found
    return found


def drawn(space: spaces.Space, known: plugins.Catalog, draw: Draw) -> tuple[HyperParameters, Plan]:
    hp = HyperParameters(draw)
    return hp, spaces.draw(space, known, hp, spaces.start_plan(space, space.input_shape or (28, 28, 1), 10))


def assert_draws(space: spaces.Space, known: plugins.Catalog) -> None:
    """The default point and 20 random ones are plans."""
    for draw in (defaults, *map(by_chance, range(20))):
        _, plan = drawn(space, known, draw)
        assert Plan.from_json(plan.to_json()) == plan


def entry_of(known: plugins.Catalog, kind: str, name: str, origin: str) -> Callable[..., Any]:
    entry = known.get(kind, name)
    assert entry.origin == origin and entry.summary and entry.function
    return entry.function


def test_each_plugin_of_the_pages_is_found(tmp_path: Path) -> None:
    for path, content in files(AUTHORS).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    found = [each for each in plugins.load([tmp_path / "mine"]).entries if each.origin.startswith("local")]
    assert not [each.problem for each in found if each.problem]
    assert {"dimension", "space", "dataset", "trainer"} <= {each.kind for each in found}


def test_the_package_of_the_guide_is_found_when_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = files(AUTHORS)
    project = tmp_path / "cnnsearch-noise"
    table = tomllib.loads(written["cnnsearch-noise/pyproject.toml"])
    ((name, module),) = table["project"]["entry-points"][plugins.GROUP].items()
    package = project / module.partition(".")[0]
    (package / "search_spaces").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "input_noise.py").write_text(written["mine/input_noise.py"])
    noisy = 'dataset = "digits"\ndimensions = ["conv_depth", { use = "input_noise", max_stddev = 0.4 }]\n'
    (package / "search_spaces" / "noisy_digits.toml").write_text(noisy)
    tree = AUTHORS.partition("```text\ncnnsearch-noise/")[2].partition("```")[0]
    assert all(str(path.relative_to(package)) in tree for path in package.rglob("*") if path.is_file())
    info = project / "cnnsearch_noise-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {table['project']['name']}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {module}\n")
    monkeypatch.syspath_prepend(project)
    known = plugins.load()
    entry_of(known, "dimension", "input_noise", "installed cnnsearch-noise")
    assert known.get("space", "noisy_digits").origin == "installed cnnsearch-noise"
    assert_draws(spaces.check(spaces.load("noisy_digits", known), known), known)


def test_the_example_of_a_space_file_can_be_drawn(tmp_path: Path) -> None:
    ((path, content),) = files(SPACES).items()
    (tmp_path / Path(path).parent).mkdir()
    (tmp_path / path).write_text(content)
    known = plugins.load(here=tmp_path)
    space = spaces.check(spaces.load(Path(path).stem, known), known)
    assert set(tomllib.loads(content)) == {*KEYS} - {"trainer", "model"}
    assert_draws(space, known)
    for recipe in space.recipes.values():
        assert set(recipe) == {*RECIPE_KEYS}
        hp, _ = drawn(space, known, replay(recipe["values"]))
        assert all(hp.space[name].contains(value) for name, value in recipe["values"].items())


@pytest.mark.parametrize("guide", ["plugins/README.md", "search_spaces/README.md"])
def test_links_lead_somewhere(guide: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / guide).read_text("utf-8")):
        path, _, anchor = target.partition("#")
        found = ((ROOT / guide).parent / path).resolve() if path else ROOT / guide
        assert found.is_file(), target
        headings = re.findall(r"(?m)^#+ (.+)$", found.read_text("utf-8"))
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]
