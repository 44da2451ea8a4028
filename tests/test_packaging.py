"""The wheel, used from another folder: shipped plugins and spaces are found there too."""

import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import WITHOUT_UNUSED

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_holds_what_is_shipped_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("plugins/dimensions", "plugins/datasets", "plugins/spaces", "plugins/trainers", "search_spaces"):
        for path in (ROOT / kind).iterdir():
            if path.suffix in (".py", ".toml"):
                assert f"cnnsearch/_shipped/{kind}/{path.name}" in names
    report = (
        "report.html",
        "report.css",
        "report.js",
        "chart_base.js",
        "chart_options.js",
        "vendor/echarts.min.js",
        "vendor/LICENSE-echarts",
    )
    assert {*(f"cnnsearch/results/report/{name}" for name in report), "cnnsearch/py.typed"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not any(part in name for name in names for part in ("__pycache__", "tests/", ".npz"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where the wheel and a package of somebody else's plugins are installed, and nothing of this checkout."""
    site = tmp_path_factory.mktemp("installed") / "site"
    extras = tmp_path_factory.mktemp("extras") / "cnnsearch-extras"
    shutil.copytree(ROOT / "tests" / "packages" / "cnnsearch-extras", extras)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(site), str(wheel), str(extras)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return site


def python(folder: Path, site: Path, *arguments: str) -> str:
    """What `python ARGUMENTS` says in `folder`, with `site` before all else."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    environment = {**clean, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    place = python(tmp_path, installed, "-c", "import cnnsearch; print(cnnsearch.__file__)")
    assert str(installed) in place, "the wheel is used, not the checkout"
    said = python(tmp_path, installed, "-m", "cnnsearch", "plugins")
    assert "conv_depth" in said
    for name in ("best_first", "checkers", "epochs_csv", "excitation", "mixup"):
        assert re.search(rf"{name} .*installed cnnsearch-extras", said), said
    assert "digits_cnn" in python(tmp_path, installed, "-m", "cnnsearch", "spaces")
    python(tmp_path, installed, "-m", "cnnsearch", "new", "dimension", "mine")


COMMANDS = """
import sys
from cnnsearch.cli.main import main

for arguments in {lines!r}:
    try:
        main(arguments)
    except SystemExit as ended:
        if ended.code:
            raise
"""
"""Commands in one process: their imports take longer than the rest."""


def test_anothers_package_is_searched_and_exported_and_its_scheduler_and_callback_are_used(
    installed: Path, tmp_path: Path
) -> None:
    theirs = ("--scheduler", "best_first", "--callback", "epochs_csv")
    small = ("--no-default", "--set", "dataset.limit=300", "--set", "filters.first=[8,4]")
    run = ("run", "--epochs", "2", "--confirm", "0")
    lines = (
        # two workers: both searches fork theirs from one process
        [*run, "--space", "checkers_cnn", "--trials", "2", "--jobs", "2"],
        ["export", "--best", "checkers_cnn"],
        [*run, "--space", "digits_cnn", "--trials", "3", "--jobs", "1", *small, *theirs],
    )
    said = python(tmp_path, installed, "-c", COMMANDS.format(lines=lines))
    assert "[2/2] trial " in said and "Exported trial" in said
    model = tmp_path / "exports" / "checkers_cnn" / "model.keras"
    # the gates are Keras' own layers, so that the export needs neither package
    code = "import sys, keras; sys.modules['cnnsearch'] = None; keras.saving.load_model(sys.argv[1])"
    python(tmp_path, installed, "-c", f"{WITHOUT_UNUSED}{code}", str(model))

    assert "Each trial pauses after its first epoch." in said and "Every epoch is in epochs.csv." in said
    with (tmp_path / "runs" / "digits_cnn" / "epochs.csv").open() as file:
        epochs = [(int(row[0]), int(row[1])) for row in csv.reader(file)]
    # all first epochs come before any second epoch
    assert sorted(epochs[:3]) == [(0, 1), (1, 1), (2, 1)] and sorted(epochs[3:]) == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.slow
def test_the_contracts_hold_for_a_package_of_someone_else(installed: Path, tmp_path: Path) -> None:
    tests = ROOT / "tests" / "packages" / "cnnsearch-extras" / "tests"
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", str(tests), "-c", os.devnull)
    said = python(tmp_path, installed, "-m", "pytest", *options, str(tests))
    assert "passed" in said and "skipped" not in said, said
