"""Another backend, with no TensorFlow there: search, MLflow's model and export."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY, surroundings

pytest.importorskip("jax")

ON_JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""The environment of a process on JAX. Compiling takes most of its time, and its programs may be slow."""

EQUAL = """
import keras, numpy as np
from cnnsearch.training import compiled
from cnnsearch.core import metrics
from cnnsearch.training.training_data import TrainingData
from cnnsearch.training.epoch_callback import Measurer
from cnnsearch.training.candidate import from_plan
from cnnsearch.spaces.plan import Block, Plan
drawn = np.random.default_rng(1)
x, y = drawn.integers(0, 256, (70, 8, 8, 1), "uint8"), np.eye(10, dtype="float32")[drawn.integers(0, 10, 70)]
def drawn_plan(rate, noise, smoothing, decay, schedule):
    return Plan(
        (8, 8, 1),
        10,
        (Block("conv norm act pool drop", filters=4, rate=rate, bias=False),),
        augment=(("GaussianNoise", {"stddev": noise}),),
        loss=("CategoricalCrossentropy", {"label_smoothing": smoothing}),
        optimizer=("AdamW", {"learning_rate": decay, "weight_decay": decay}),
        schedule=schedule,
        batch_size=32,
        epochs=2,
    )


plan = drawn_plan(0.3, 0.05, 0.1, 0.01, (0.1, 1.0, 0.1))
again = np.resize(np.arange(70), 96)
compiled.order = lambda seed, epoch, count: np.arange(count)
measures = metrics.measures("val_auc", y[:40].argmax(1))
for weights in (None, drawn.random(70).astype("float32")):
    curves = []
    for by_epochs in (True, False):
        keras.utils.set_random_seed(3)
        model, told = from_plan(plan, 96).model, keras.callbacks.History()
        data = TrainingData(x, y, x[:40], y[:40], 32, weights=weights)
        if by_epochs:
            compiled.fit(model, data, epochs=2, callbacks=[told], measures=measures)
        else:
            weighted = {} if weights is None else {"sample_weight": weights[again]}
            callbacks = [Measurer(model, data.x_val, measures), told]
            given = {"validation_data": (x[:40], y[:40]), "callbacks": callbacks, **weighted}
            model.fit(x[again], y[again], 32, 2, verbose=0, shuffle=False, **given)
        curves.append(told.history)
    assert set(curves[0]) == set(curves[1]) and len(curves[0]["val_loss"]) == len(curves[0]["val_auc"]) == 2
    for name, values in curves[0].items():
        np.testing.assert_allclose(values, curves[1][name], rtol=2e-4, atol=1e-5, err_msg=name)

from cnnsearch.training.compiled.jax import Program
from cnnsearch.training.compiled.programs import CompiledCandidates
traced, plain = [], Program._trained
Program._trained = lambda *given: traced.append(1) or plain(*given)
other, curves, shared = drawn_plan(0.5, 0.2, 0.02, 0.002, (1.0, 0.5, 0.0)), [], CompiledCandidates()
for kept in (CompiledCandidates(), shared, shared):
    keras.utils.set_random_seed(3)
    one, told = (plan if kept is shared and not kept._kept else other), keras.callbacks.History()
    compiled.fit(kept.reuse(one, from_plan(one, 70)).model, data, epochs=2, callbacks=[told])
    curves.append(told.history)
assert len(traced) == 2, "the third has the program of the second"
assert curves[0] != curves[1]
for name, values in curves[0].items():
    np.testing.assert_allclose(values, curves[2][name], rtol=1e-6, err_msg=name)
"""


KEPT = """
import sys
from pathlib import Path
import jax
from cnnsearch.training.compiled import jax as compiled
folder = Path(sys.argv[1])
folder.mkdir()
(folder / "old").write_bytes(b"x" * 600)
compiled.COMPILED = 500
compiled.keep_compiled(folder)
jax.jit(lambda x: x + 1)(1.0)
"""


OPTIONS = """
import os
from cnnsearch.training.compiled import jax as compiled
assert compiled.compiler_options() == {}, "they are for a GPU"
compiled.jax.default_backend = lambda: "gpu"
compiled.compiler_options.cache_clear()
compiled.OPTIONS["xla_of_another_version"] = True
known = compiled.compiler_options()
assert "xla_of_another_version" not in known and known["xla_gpu_exclude_nondeterministic_ops"], known
os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=4"
compiled.compiler_options.cache_clear()
assert "xla_gpu_autotune_level" not in compiled.compiler_options(), "what a user says stands"
compiled.compiler_options = lambda: {"xla_that_fails": True}
twice = compiled.compiled(lambda x: 2 * x, donate_argnums=0)
assert twice(compiled.jnp.ones(2)).tolist() == [2, 2] and twice(compiled.jnp.ones(3)).tolist() == [2, 2, 2]
"""


def test_what_is_compiled_is_kept_losses_are_those_of_fit_and_xla_is_told_only_what_it_knows(tmp_path: Path) -> None:
    """In one process: what is compiled is kept, and the oldest is deleted. Weights count as in `fit`, also in a last
    batch that was filled up. XLA gets only options that it knows, and works without those that fail.
    """
    kept = f"import sys\nsys.argv = ['', {str(tmp_path / 'kept')!r}]\n{KEPT}"
    environment = {**ON_JAX, "JAX_COMPILATION_CACHE_DIR": ""}
    # a function for each: they must not share names
    code = "\n".join(f"exec({part!r}, {{}})" for part in (kept, EQUAL, OPTIONS))
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [path.name for path in (tmp_path / "kept").iterdir()]
    assert names and "old" not in names


WORDS = """
from tests.training import equal_training
for name in ("own weights", "networks", "pictures"):
    # its last batch is filled up, so that here all batches are whole
    equal_training.check(name, 64)
"""


def test_the_words_of_plans_have_the_losses_of_fit() -> None:
    line, here = [sys.executable, "-c", WORDS], Path(__file__).parents[2]
    done = subprocess.run(line, cwd=here, env={**os.environ, **ON_JAX}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


STEPS = """
import sys
from cnnsearch.cli.main import main

for arguments in {lines!r}:
    try:
        main(arguments)
    except SystemExit as ended:
        print("CODE", ended.code)
"""


def test_search_and_export_on_jax_without_tensorflow(tmp_path: Path, store: str) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "tensorflow.py").write_text("raise ImportError('there is no tensorflow here')\n")
    # compiling takes most of the time
    small = ("--set", "conv_depth.max=1", "--set", "conv_depth.convs=1")
    lines = (
        ["run", "--space", "digits_cnn", "--trials", "2", "--jobs", "1", *TINY, *small],
        ["export", "--best"],
        ["export", "--format", "litert", "-o", "lite"],
    )
    path = os.pathsep.join([str(absent), os.environ.get("PYTHONPATH", "")])
    environment = {**ON_JAX, "PYTHONPATH": path, "MLFLOW_TRACKING_URI": store}
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(lines=lines)],
        cwd=tmp_path,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    codes = [line for line in done.stdout.splitlines() if line.startswith("CODE")]
    assert codes == ["CODE 0", "CODE 0", "CODE 2"], done
    assert "MLflow:" not in done.stdout, "the best model is logged on JAX too"
    card = json.loads((tmp_path / "exports" / "digits_cnn" / "card.json").read_text())
    assert card["versions"]["backend"] == "jax"
    model = tmp_path / "exports" / "digits_cnn" / "model.keras"
    assert model.stat().st_size > 0
    assert "KERAS_BACKEND=tensorflow" in done.stderr, done.stderr
