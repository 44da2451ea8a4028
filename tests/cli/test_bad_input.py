"""Bad input gets one clear line and exit code 2, and leaves nothing behind."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Run

SPACE = """
dataset = "digits"
dimensions = [{ use = "conv_depth" }, { use = "filters", first = [8] }]
[defaults]
epochs = 1
"""


def refused(done: object, *parts: str) -> None:
    """One line on stderr with all of `parts`, exit code 2, no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr  # type: ignore[attr-defined]
    lines = done.stderr.strip().splitlines()  # type: ignore[attr-defined]
    assert len([line for line in lines if line.startswith("Error:")]) == 1, lines
    assert "Traceback" not in done.stderr  # type: ignore[attr-defined]
    for part in parts:
        assert part in lines[-1], lines[-1]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--space", "digits_cn"), ("no space 'digits_cn'", "Did you mean 'digits_cnn'?", "`cnnsearch spaces`")),
        (("--space", "none.toml"), ("none.toml", "no such file")),
        (("--space", "none.py:build"), ("none.py", "no such file")),
        (("--space", "no_such_module:Build"), ("no_such_module", "does not import")),
        (("--space", "digits_cnn", "--dataset", "digts"), ("no dataset 'digts'", "Did you mean 'digits'?")),
        (("--space", "digits_cnn", "--set", "filtres.first=[8]"), ("'filtres'", "Did you mean 'filters'?")),
        (("--space", "digits_cnn", "--set", "filters.first=big"), ("filters.first is 'big'", "a whole number")),
        (("--space", "digits_cnn", "--set", "filters.first=[0]"), ("filters",)),
        (("--space", "digits_cnn", "--set", "nonsense"), ("expected DIMENSION.OPTION=VALUE",)),
        (("--space", "digits_cnn", "--timeout", "soon"), ("'soon' is not a duration",)),
        (("--space", "digits_cnn", "--prior", "nosuch"), ("--prior nosuch: ", "takes none, auto, a study")),
        (("--space", "digits_cnn", "--jobs", "many"), ("'many' is neither a number of trials, 1 or more, nor 'auto'",)),
        (("--space", "digits_cnn", "--study", "../up"), ("cannot be the name of a study",)),
        (("--space", "digits_cnn", "--plugins", "nowhere"), ("nowhere", "no such folder")),
        (("--space", "digits_cnn", "--dataset", "folder:nowhere"), ("nowhere", "not a folder")),
        (("--space", "digits_cnn", "--storage", "nonsense"), ("--storage cannot be used",)),
        (("--space", "digits_cnn", "--metric", "val_f1"), ("'val_f1'. Did you mean 'val_f1_macro'?",)),
    ],
)
def test_a_wrong_command(run: Run, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    refused(run("run", "--trials", "1", "--epochs", "1", *arguments), *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (SPACE.replace('"digits"', '"digits'), ("mine.toml", "line 2")),
        (SPACE.replace("conv_depth", "conv_deph"), ("mine.toml", "Did you mean 'conv_depth'?", "`cnnsearch plugins`")),
        (SPACE.replace("first = [8]", "frist = [8]"), ("filters has no option 'frist'", "Did you mean 'first'?")),
        (SPACE.replace("first = [8]", 'first = ["8"]'), ("filters.first is '8'", "whole number")),
        (SPACE.replace("[defaults]", "[default]"), ("no key 'default'", "Did you mean 'defaults'?")),
        (SPACE.replace("epochs = 1", 'epochs = "1"'), ("defaults.epochs is '1'",)),
        (SPACE.replace("dimensions", "# dimensions"), ("there are no dimensions",)),
    ],
)
def test_a_wrong_space_file(run: Run, tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    (tmp_path / "mine.toml").write_text(text)
    refused(run("run", "--space", "mine.toml", "--trials", "1"), *parts)
    assert not (tmp_path / "runs").exists(), "nothing is written before all is checked"


def test_a_plugin_that_does_not_import_is_named_when_it_is_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "wobble.py").write_text("import no_such_package\n")
    (tmp_path / "mine.toml").write_text(SPACE.replace('"filters", first = [8]', '"wobble"'))
    refused(run("run", "--space", "mine.toml", "--plugins", "mine"), "wobble", "no_such_package")
    listing = run("plugins", "--plugins", "mine")
    assert listing.returncode == 0 and "broken" in listing.stdout and "no_such_package" in listing.stdout


def test_a_dimension_that_returns_no_plan_stops_the_search_with_its_name(run: Run, tmp_path: Path) -> None:
    code = "from cnnsearch import dimension\n@dimension\ndef lost(hp, plan):\n    '''Forgets to return.'''\n"
    (tmp_path / "lost.py").write_text(code)
    (tmp_path / "mine.toml").write_text(SPACE.replace('"filters", first = [8]', '"lost"'))
    refused(run("run", "--space", "mine.toml", "--plugins", "lost.py"), "'lost' returned NoneType", "return plan")


def test_missing_data_names_all_three_ways(run: Run, tmp_path: Path) -> None:
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    done = run("run", "--space", "mnist_cnn", "--trials", "1", KERAS_HOME=str(tmp_path / "keras"), **nowhere)
    refused(done, "CNNSEARCH_DATA", "mnist.npz", "download", "--space digits_cnn")


def test_labels_that_do_not_match(run: Run, tmp_path: Path) -> None:
    images = np.zeros((30, 8, 8), "uint8")
    np.savez(tmp_path / "odd.npz", x_train=images, y_train=np.zeros(29, "int64"))
    refused(run("run", "--space", "digits_cnn", "--dataset", "npz:odd.npz", "--trials", "1"), "odd.npz", "30")
    np.savez(tmp_path / "one.npz", x_train=images, y_train=np.zeros(30, "int64"))
    refused(run("run", "--space", "digits_cnn", "--dataset", "npz:one.npz", "--trials", "1"), "one class")


def test_pictures_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
    command = ("run", "--space", "digits_cnn", "--dataset", "folder:pets", "--trials", "1")
    refused(run(*command), "no pictures")
    for name, size in (("cat", 8), ("dog", 9)):
        Image.new("L", (size, size)).save(tmp_path / "pets" / "train" / name / "a.png")
    refused(run(*command), "class 'cat' has 1 of 2 images; expected 3 or more")
    (tmp_path / "pets" / "train" / "dog" / "a.png").write_bytes(b"not a picture")
    refused(run(*command), "a.png", "cannot be read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(mode=0o500)
    refused(run("run", "--space", "digits_cnn", "--trials", "1"), "runs", "cannot be written", "--runs DIR")


def test_runs_that_is_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("a file")
    refused(run("run", "--space", "digits_cnn", "--trials", "1", "--runs", "plain/runs"), "cannot be written", "--runs")


def test_no_study_yet(run: Run) -> None:
    for command in ("leaderboard", "export"):
        refused(run(command), "There is no study in runs/ yet", "cnnsearch run")


def test_debug_shows_the_traceback(run: Run) -> None:
    done = run("leaderboard", "--debug")
    assert done.returncode == 2 and "Traceback" in done.stderr
