"""Scripts of KerasTuner's users run after one changed line, the import."""

import re
import runpy
import warnings
from pathlib import Path

import pytest

from tests.conftest import working_in

SCRIPTS = Path(__file__).parent / "scripts"

QUICK = ("readme",)
"""The others are longer; `make documents` runs them."""


def with_changed_import(text: str) -> str:
    """The script with the one changed line."""
    changed, count = re.subn(
        r"(?m)^import keras_tuner( as (\w+))?$",
        lambda found: f"import cnnsearch.keras_tuner as {found[2] or 'keras_tuner'}",
        text,
    )
    assert count == 1
    return changed


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=() if path.stem in QUICK else pytest.mark.documents)
        for path in sorted(SCRIPTS.glob("*.py"))
    ],
)
def test_a_script_runs_after_one_changed_line(name: str, tmp_path: Path, store: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(with_changed_import((SCRIPTS / f"{name}.py").read_text()))
    with working_in(tmp_path, MLFLOW_TRACKING_URI=store), warnings.catch_warnings():
        # Keras' own, as in a script
        warnings.simplefilter("default")
        runpy.run_path(str(script), run_name="__main__")
