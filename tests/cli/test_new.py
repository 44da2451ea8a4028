"""`cnnsearch new` writes plugins and packages whose tests pass as they are written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnsearch.cli import scaffold
from cnnsearch.cli.scaffold import KINDS
from cnnsearch.core.errors import CnnsearchError
from tests.conftest import WITHOUT_UNUSED, Run

NAMES = {
    "dimension": "soft_noise",
    "space": "my_digits",
    "dataset": "my_stripes",
    "trainer": "even",
    "scheduler": "patient",
    "callback": "epochs_log",
    "project": "cnnsearch-haze",
}


def python(folder: Path, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", *arguments]
    # a plugin's folder is imported from by name here, so that nothing is written beside its files
    settings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_that_is_written_is_green(run: Run, tmp_path: Path) -> None:
    assert set(NAMES) == set(KINDS)
    for kind, name in NAMES.items():
        done = run("new", kind, name)
        assert done.returncode == 0, done.stderr
        written = [line.removeprefix("wrote ") for line in done.stdout.splitlines() if line.startswith("wrote ")]
        assert written and all((tmp_path / path).is_file() for path in written)
    install = ("pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", "site")
    python(tmp_path, *install, "./cnnsearch-haze")
    (tmp_path / "site" / "without_unused.py").write_text(WITHOUT_UNUSED)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    options = ("-q", "-p", "without_unused", "-p", "no:cacheprovider", "--import-mode=prepend")
    tests = ("pytest", *options, "mine", "cnnsearch-haze/tests")
    said = python(tmp_path, *tests, PYTHONPATH=path)
    # 2 dimensions of 13 contracts and 2 tests, 2 spaces of 10, a dataset of 6 and a test, a trainer of 6,
    # a scheduler of 4, a callback of 3
    assert "70 passed" in said and "skipped" not in said, said
    listed = run("plugins", "--plugins", "mine", PYTHONPATH=path).stdout
    for name in ("soft_noise", "my_stripes", "even", "haze", "patient", "epochs_log"):
        assert name in listed
    assert "installed cnnsearch-haze" in run("spaces", PYTHONPATH=path).stdout


def test_what_is_there_is_never_written_over(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        done = run("new", "dataset", "cats", "--to", "here")
    assert done.returncode == 2
    file = Path("here") / "cats.py"
    assert done.stderr.strip() == f"Error: {file} exists already; choose another name, or another folder with --to."


@pytest.mark.parametrize("name", ["Big", "two words", "class", "../up", "1st", "with-dash"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CnnsearchError) as refused:
        scaffold.new("dimension", name, tmp_path)
    assert list(tmp_path.iterdir()) == []
    expected = f"'{name}' cannot be the name of a dimension; expected lower-case letters, such as input_noise."
    assert refused.value.message == expected
