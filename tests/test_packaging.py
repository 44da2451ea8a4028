"""The wheel, used from another folder: shipped plugins and spaces are found there too."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
    assert "cnnsearch/templates/report.html" in names
    assert not any(part in name for name in names for part in ("__pycache__", "tests/", ".npz"))


def test_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cnnsearch.cli", *arguments],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import cnnsearch; print(cnnsearch.__file__)"
    place = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, env=environment, capture_output=True, check=True
    )
    assert str(site) in place.stdout.decode(), "the wheel is used, not the checkout"
    assert "digits_cnn" in run("spaces") and "conv_depth" in run("plugins")
    said = run("run", "--space", "digits_cnn", "--trials", "1", "--epochs", "1", "--jobs", "1")
    assert "[1/1] trial 0 complete" in said
