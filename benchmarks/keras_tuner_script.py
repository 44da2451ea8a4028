"""One script with KerasTuner and after the one changed line: seconds, score on test, and what is left on disk.

Both search the same grid, so that they train the same configurations with the same number of epochs. Each repeat runs
every arm once, in another order, so that other work on the machine meets all arms alike.

    python benchmarks/keras_tuner_script.py run --repeats 3
    python benchmarks/keras_tuner_script.py table

KerasTuner needs TensorBoard (`pip install tensorboard`). A path with it may be given in PYTHONPATH.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "keras_tuner_script.json"

SCRIPT = """
import json, time
began = time.perf_counter()
import keras
IMPORT
from sklearn.datasets import load_digits

digits = load_digits()
x, y = digits.images[..., None] / 16, digits.target


def build_model(hp):
    model = keras.Sequential([keras.Input((8, 8, 1))])
    model.add(keras.layers.Conv2D(hp.Choice("filters", [8, 16, 32]), 3, activation="relu"))
    model.add(keras.layers.Flatten())
    if hp.Boolean("dense"):
        model.add(keras.layers.Dense(32, activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Choice("rate", [1e-2, 1e-3])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


tuner = keras_tuner.GridSearch(build_model, "val_accuracy", project_name="digits", directory="found"MORE)
tuner.search(x[:1200], y[:1200], validation_split=0.2, epochs=10, verbose=0)
best = tuner.get_best_models(1)[0]
score = best.evaluate(x[1200:], y[1200:], verbose=0)[1]
trials = len(tuner.oracle.trials)
print("RESULT", json.dumps({"seconds": time.perf_counter() - began, "test": float(score), "trials": trials}))
"""

OURS = "import cnnsearch.keras_tuner as keras_tuner"

ARMS = {
    "KerasTuner": ("import keras_tuner", ""),
    "cnnsearch, one worker, no pruning": (OURS, ', jobs=1, pruner="none"'),
    "cnnsearch, as it comes": (OURS, ""),
}


def run_arm(name: str) -> dict[str, float]:
    """Run the script of an arm in an empty folder."""
    line, more = ARMS[name]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text(SCRIPT.replace("IMPORT", line).replace("MORE", more))
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        }
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        found: dict[str, float] = json.loads(done.stdout.rpartition("RESULT")[2])
        left = [path for path in Path(folder).rglob("*") if path.is_file() and path != script]
        study = [path for path in left if "found" in path.parts]
        return {
            **found,
            "whole": seconds,
            "bytes": sum(path.stat().st_size for path in study),
            "files": len(study),
            "others": sum(path.stat().st_size for path in left) - sum(path.stat().st_size for path in study),
        }


def run(repeats: int) -> None:
    """Run every arm `repeats` times, interleaved, and store the results."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for repeat in range(repeats):
        order = list(ARMS)
        random.Random(len(known) + repeat).shuffle(order)
        known.append({name: run_arm(name) for name in order})
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        print(json.dumps(known[-1]))


def table() -> None:
    """Print the table of the page: medians, and the ratio of seconds to KerasTuner's in the same repeat."""
    known = json.loads(RESULTS.read_text())
    print("| arm | seconds | ratio | trials | test | study's folder |\n| --- | --- | --- | --- | --- | --- |")
    for name in ARMS:
        every = [repeat[name] for repeat in known]
        ratios = sorted(repeat[name]["whole"] / repeat["KerasTuner"]["whole"] for repeat in known)
        seconds, test, size, files, trials = (
            statistics.median(one[key] for one in every) for key in ("whole", "test", "bytes", "files", "trials")
        )
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(
            f"| {name} | {seconds:.0f} | {ratio} | {trials:.0f} | {test:.4f} | {size / 1e6:.2f} MB, {files:.0f} files |"
        )
    print(f"\nn = {len(known)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    run(given.repeats) if given.what == "run" else table()
