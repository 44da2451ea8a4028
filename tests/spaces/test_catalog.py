"""Three doors, one sorted list; data is found, code is named; what is broken is told when it is used."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cnnsearch.core.errors import CnnsearchError, PluginError
from cnnsearch.spaces import plugins
from cnnsearch.spaces.decorators import WORKER_KINDS, dataset, dimension, space, trainer
from cnnsearch.spaces.plugins import Catalog, Entry

ROOT = Path(__file__).parents[2]
DIMENSION = """
from cnnsearch import dimension

@dimension
def {name}(hp, plan, *, choices=(1, 2)):
    '''What {name} is.

    And more.
    '''
    return plan
"""
LEAVES_A_MARK = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"

Load = Callable[..., Catalog]
Install = Callable[..., Path]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def names(found: Catalog, origin: str) -> list[tuple[str, str]]:
    return [(entry.kind, entry.name) for entry in found.entries if entry.origin.startswith(origin)]


@pytest.fixture(autouse=True)
def forgets(tmp_path: Path) -> Iterator[None]:
    """What a test imported from its folder is forgotten again."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(folder, …)` from an empty current folder."""
    here = tmp_path / "here"
    here.mkdir()
    return lambda *folders, at=here: plugins.load(folders, at)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install("extras", {"name": "module"})` is what pip leaves of a package with these entry points."""

    def _install(name: str, points: dict[str, str]) -> Path:
        site = tmp_path / f"site_{name}"
        info = site / f"{name}-1.0.dist-info"
        write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{key} = {value}\n" for key, value in points.items())
        write(info / "entry_points.txt", f"[cnnsearch]\n{lines}")
        monkeypatch.syspath_prepend(site)
        return site

    return _install


def test_marks_only_mark() -> None:
    def function() -> str:
        return "untouched"

    for mark, kind in zip((dimension, space, dataset, trainer), WORKER_KINDS, strict=True):
        assert mark(function) is function and function() == "untouched"
        assert vars(function) == {"__cnnsearch_kind__": kind}


def test_everything_shipped_is_found_and_whole(load: Load) -> None:
    found = load()
    assert found.names("dimension") == sorted(path.stem for path in (ROOT / "plugins" / "dimensions").glob("*.py"))
    assert found.names("dataset") == sorted(path.stem for path in (ROOT / "plugins" / "datasets").glob("*.py"))
    assert set(found.names("space")) >= {path.stem for path in (ROOT / "search_spaces").glob("*.toml")}
    assert not [entry for entry in found.entries if entry.problem]
    assert found.get("dimension", "filters").origin == found.get("space", "digits_cnn").origin == "shipped"
    assert all(entry.summary for entry in found.entries if entry.function)


def test_entries_are_sorted_and_the_same_each_time(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "mine" / "zz.py", DIMENSION.format(name="aa_first"))
    found = load(tmp_path / "mine")
    assert list(found.entries) == sorted(found.entries, key=lambda entry: entry[:3])
    assert found.entries == load(tmp_path / "mine").entries
    assert found.names("dimension")[0] == "aa_first"


def test_an_installed_wheel_brings_its_plugins_inside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "site" / "cnnsearch"
    shutil.copytree(ROOT / "src" / "cnnsearch", package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("plugins", "search_spaces"):
        shutil.copytree(ROOT / folder, package / "_shipped" / folder)
    code = "from cnnsearch.spaces import plugins as catalog; print(catalog.__file__, len(catalog.load().entries))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(package / "spaces" / "plugins.py"), str(len(plugins.load((), tmp_path).entries))]


def test_a_named_folder_brings_plugins_and_spaces(load: Load, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write(folder / "width.py", DIMENSION.format(name="width"))
    write(folder / "deeper" / "more.py", DIMENSION.format(name="more"))
    write(folder / "beside.toml", "")
    write(folder / "search_spaces" / "own.toml", "")
    found = load(folder)
    assert names(found, "local") == [
        ("dimension", "more"),
        ("dimension", "width"),
        ("space", "beside"),
        ("space", "own"),
    ]
    entry = found.get("dimension", "width")
    assert entry.origin == f"local {folder}" and entry.path == folder / "width.py"
    assert entry.summary == "What width is."


def test_a_single_file_can_be_named(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "width.py", DIMENSION.format(name="width"))
    write(tmp_path / "other.py", LEAVES_A_MARK)
    assert names(load(path), "local") == [("dimension", "width")]
    assert not (tmp_path / "ran").exists()


def test_helpers_tests_and_hidden_files_are_no_plugins(load: Load, tmp_path: Path) -> None:
    for name in ("_helper.py", ".hidden.py", "test_width.py", "conftest.py", ".git/hook.py", "notes.txt"):
        write(tmp_path / "mine" / name, LEAVES_A_MARK + "raise RuntimeError")
    assert not names(load(tmp_path / "mine"), "local")
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("place", [".", "plugins", "plugins/dimensions", "search_spaces"])
def test_code_of_the_current_folder_is_not_run(place: str, tmp_path: Path) -> None:
    write(tmp_path / place / "evil.py", LEAVES_A_MARK + DIMENSION.format(name="evil"))
    write(tmp_path / "search_spaces" / "mine.toml", "")
    found = plugins.load((), tmp_path)
    assert names(found, "local") == [("space", "mine")]
    assert not list(tmp_path.rglob("ran"))
    assert names(plugins.load([tmp_path / place], tmp_path), f"local {tmp_path}")[0] == ("dimension", "evil")
    assert list(tmp_path.rglob("ran"))


def test_the_current_folder_is_where_the_tool_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "search_spaces" / "mine.toml", "")
    monkeypatch.chdir(tmp_path)
    assert plugins.load().get("space", "mine").origin == "local ./search_spaces"


def test_a_folder_that_is_not_there_is_an_error(load: Load, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"--plugins .*/nowhere: there is no such folder or file\."):
        load(tmp_path / "nowhere")


def test_an_installed_module_joins_in_with_its_spaces(load: Load, install: Install) -> None:
    site = install("extras", {"extras": "extras.plugins"})
    write(site / "extras" / "__init__.py", "")
    write(site / "extras" / "plugins.py", DIMENSION.format(name="width"))
    write(site / "extras" / "search_spaces" / "wide.toml", "")
    assert names(load(), "installed extras") == [("dimension", "width"), ("space", "wide")]


def test_a_package_may_gather_its_plugins_from_modules_inside(load: Load, install: Install) -> None:
    site = install("gathered", {"gathered": "gathered"})
    write(site / "gathered" / "__init__.py", "from gathered.inner import width")
    write(site / "gathered" / "inner.py", DIMENSION.format(name="width"))
    assert names(load(), "installed gathered") == [("dimension", "width")]


def test_what_a_plugin_only_imports_is_not_its_own(load: Load, install: Install, tmp_path: Path) -> None:
    site = install("library", {})
    write(site / "library.py", DIMENSION.format(name="theirs"))
    write(tmp_path / "mine.py", "from library import theirs\n" + DIMENSION.format(name="own"))
    assert names(load(tmp_path / "mine.py"), "local") == [("dimension", "own")]


@pytest.mark.parametrize(
    ("value", "content", "problem"),
    [
        ("absent_module", None, "ModuleNotFoundError: No module named 'absent_module'"),
        ("leaving", "import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("failing", "1 / 0", "ZeroDivisionError: division by zero"),
        ("attribute:thing", "thing = 3", "its value is not a module; expected a name such as my_package.plugins."),
        ("my module!", None, "its value is not a module; expected a name such as my_package.plugins."),
    ],
)
def test_a_broken_entry_point_breaks_nothing_else(
    load: Load, install: Install, value: str, content: str | None, problem: str
) -> None:
    site = install("extras", {"point": value})
    if content:
        write(site / f"{value.partition(':')[0]}.py", content)
    (entry,) = load().of("plugin")
    assert (entry.name, entry.origin) == ("point", "installed extras")
    assert entry.problem == f"entry point point = {value} does not import: {problem}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("def broken(:\n", "SyntaxError: "),
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("raise SystemExit", "SystemExit: no reason given"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_reason(load: Load, tmp_path: Path, content: str, problem: str) -> None:
    path = write(tmp_path / "mine" / "bad.py", content)
    write(tmp_path / "mine" / "good.py", DIMENSION.format(name="good"))
    found = load(tmp_path / "mine")
    (entry,) = found.of("plugin")
    assert entry.summary.startswith(f"broken: {path} does not import: {problem}")
    assert "\n" not in entry.summary
    assert found.get("dimension", "good").function and found.get("dimension", "filters").function
    with pytest.raises(PluginError, match=r"s\.toml: plugin 'bad' \(local .*\) is broken: .*") as caught:
        found.get("dimension", "bad", "s.toml: ")
    assert caught.value.message.endswith(entry.problem)


def test_an_unknown_name_may_be_in_a_broken_plugin(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "bad.py", "1 / 0")
    with pytest.raises(
        CnnsearchError, match=r"no dimension 'wide'.*The plugins in bad are broken, so they are not listed\.$"
    ):
        load(tmp_path / "bad.py").get("dimension", "wide")


def test_ctrl_c_in_a_plugin_is_a_ctrl_c(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "slow.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path / "slow.py")


def test_a_broken_file_is_read_anew_and_a_good_one_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "plugin.py", "1 / 0")
    with pytest.raises(PluginError, match=r"plugin\.py does not import: ZeroDivisionError"):
        plugins.import_file(path)
    write(path, DIMENSION.format(name="mended"))
    os.utime(path, (0, 0))
    module = plugins.import_file(path)
    assert plugins.import_file(tmp_path / ".." / tmp_path.name / "plugin.py") is module


def test_files_of_the_same_name_are_different_modules(tmp_path: Path) -> None:
    paths = [write(tmp_path / side / "plugin.py", f"SIDE = '{side}'") for side in ("left", "right")]
    assert [plugins.import_file(path).SIDE for path in paths] == ["left", "right"]


def test_what_is_no_python_file(load: Load, tmp_path: Path) -> None:
    (entry,) = load(write(tmp_path / "space.toml", "")).of("plugin")
    assert entry.problem == f"{tmp_path / 'space.toml'}: this is not a Python file."


def test_objects_that_answer_every_question_are_left_alone(load: Load, tmp_path: Path) -> None:
    proxy = """
    class Lazy:
        def __getattr__(self, name):
            raise RuntimeError("not yet")

    lazy = Lazy()
    """
    path = write(tmp_path / "lazy.py", textwrap.dedent(proxy) + DIMENSION.format(name="width"))
    assert names(load(path), "local") == [("dimension", "width")]


def test_the_same_name_twice_names_both_origins(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", DIMENSION.format(name="filters"))
    found = load(path)
    shipped = ROOT / "plugins" / "dimensions" / "filters.py"
    assert found.names("dimension").count("filters") == 1
    with pytest.raises(PluginError) as caught:
        found.get("dimension", "filters", "s.toml: ")
    assert caught.value.message == (
        "s.toml: dimension 'filters' (shipped) is broken: it is defined twice, "
        f"by shipped ({shipped}) and by local {path} ({path}); rename one."
    )
    assert found.get("dimension", "head").function


def test_an_installed_name_may_not_hide_a_shipped_one(load: Load, install: Install) -> None:
    site = install("extras", {"extras": "extras_filters"})
    write(site / "extras_filters.py", DIMENSION.format(name="filters"))
    with pytest.raises(PluginError, match=r"twice, by shipped \(.*filters\.py\) and by installed extras; rename one\."):
        load().get("dimension", "filters")


def test_three_of_a_name_are_all_named(load: Load, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{side}.py", DIMENSION.format(name="width")) for side in "abc"]
    (entry,) = [entry for entry in load(*paths).of("dimension") if entry.name == "width"]
    assert "defined 3 times" in entry.problem and all(str(path) in entry.problem for path in paths)


def test_a_dimension_and_a_dataset_may_share_a_name(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "mine.py", DIMENSION.format(name="digits"))
    found = load(tmp_path / "mine.py")
    assert found.get("dimension", "digits").path != found.get("dataset", "digits").path


def test_a_folder_named_twice_counts_once(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "mine" / "width.py", DIMENSION.format(name="width"))
    write(tmp_path / "mine" / "bad.py", "1 / 0")
    found = load(tmp_path / "mine", tmp_path / "mine" / ".." / "mine", tmp_path / "mine" / "width.py")
    assert found.get("dimension", "width").function
    assert found.names("plugin") == ["bad"]


def test_broken_plugins_of_one_name_keep_their_reasons(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "a" / "bad.py", "1 / 0")
    write(tmp_path / "b" / "bad.py", "import sys; sys.exit('no')")
    problems = [entry.problem for entry in load(tmp_path / "a", tmp_path / "b").of("plugin")]
    assert [problem.rpartition(": ")[2] for problem in problems] == ["division by zero", "no"]


def test_a_copy_of_a_space_is_the_same_space_and_another_is_not(load: Load, tmp_path: Path) -> None:
    copied, other = tmp_path / "copied" / "search_spaces", tmp_path / "other" / "search_spaces"
    copied.mkdir(parents=True)
    shutil.copy(ROOT / "search_spaces" / "digits_cnn.toml", copied)
    write(other / "digits_cnn.toml", "description = 'mine'")
    assert load(at=copied.parent).get("space", "digits_cnn").origin == "shipped"
    with pytest.raises(PluginError, match=r"by shipped \(.*\) and by local \./search_spaces \(.*\); rename one\."):
        load(at=other.parent).get("space", "digits_cnn")


def test_a_space_that_cannot_be_read_breaks_no_listing(load: Load, tmp_path: Path) -> None:
    folder = tmp_path / "here" / "search_spaces"
    folder.mkdir()
    (folder / "digits_cnn.toml").symlink_to(tmp_path / "gone.toml")
    (folder / "folder.toml").mkdir()
    assert "folder" in load().names("space")


def test_an_unknown_name_is_answered_with_the_nearest(load: Load) -> None:
    found = load()
    with pytest.raises(CnnsearchError) as caught:
        found.get("dimension", "filtres", "search_spaces/mnist_cnn.toml: ")
    assert caught.value.message == (
        "search_spaces/mnist_cnn.toml: there is no dimension 'filtres'. Did you mean 'filters'? "
        f"`cnnsearch plugins` lists all {len(found.of('dimension'))}."
    )


@pytest.mark.parametrize(
    ("kind", "command"),
    [("space", "spaces"), ("dataset", "datasets"), ("dimension", "plugins")],
)
def test_an_unknown_name_says_where_the_known_are_listed(load: Load, kind: str, command: str) -> None:
    with pytest.raises(CnnsearchError, match=rf"there is no {kind} 'qqq'\. `cnnsearch {command}` lists all \d+\."):
        load().get(kind, "qqq")


def test_a_kind_of_which_there_is_nothing_is_told_so() -> None:
    with pytest.raises(CnnsearchError, match=r"there is no trainer 'qqq'\. There is no trainer at all yet\."):
        Catalog([]).get("trainer", "qqq")


def test_a_summary_is_the_first_line_or_the_problem() -> None:
    assert Entry("space", "s", "shipped").summary == ""
    assert Entry("dimension", "d", "shipped", lambda: None).summary == ""
    assert Entry("plugin", "p", "local", problem="gone").summary == "broken: gone"


def test_a_named_module_finds_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "deep" / "models.py", "import beside_models\nfrom beside_models import VALUE")
    write(tmp_path / "deep" / "beside_models.py", "VALUE = 7")
    write(tmp_path / "click.py", "raise RuntimeError('a file here hides nothing installed')")
    write(tmp_path / "here_models.py", "import click\nVALUE = 8")
    monkeypatch.chdir(tmp_path)
    assert plugins.import_named("deep/models.py").VALUE == 7
    assert plugins.import_named("here_models").VALUE == 8


def test_a_named_module_that_leaves_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "leaving_models.py", "import sys; sys.exit(1)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PluginError, match="module leaving_models does not import: SystemExit: 1"):
        plugins.import_named("leaving_models")
