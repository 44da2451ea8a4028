"""Another backend, with no TensorFlow there: search, MLflow's model and export."""

import json
from pathlib import Path

import pytest

from tests.conftest import TINY, Run

pytest.importorskip("jax")


def test_search_and_export_on_jax_without_tensorflow(run: Run, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "tensorflow.py").write_text("raise ImportError('there is no tensorflow here')\n")
    environment = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(absent), "JAX_PLATFORMS": "cpu"}
    done = run("run", "--space", "digits_cnn", "--trials", "2", "--jobs", "1", *TINY, **environment)
    assert done.returncode == 0, done.stderr
    assert "MLflow:" not in done.stdout, "the best model is logged on JAX too"
    exported = run("export", "--best", **environment)
    assert exported.returncode == 0, exported.stderr
    card = json.loads((tmp_path / "exports" / "digits_cnn" / "card.json").read_text())
    assert card["versions"]["backend"] == "jax"
    model = tmp_path / "exports" / "digits_cnn" / "model.keras"
    assert model.stat().st_size > 0
    refused = run("export", "--format", "litert", "-o", "lite", **environment)
    assert refused.returncode == 2 and "KERAS_BACKEND=tensorflow" in refused.stderr, refused.stderr
