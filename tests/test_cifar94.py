"""The GPU benchmark of CIFAR-10: what it prints of points and searches, and that it runs on both backends."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def cifar94(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("cifar94")


def event(kind: str, **facts: Any) -> dict[str, Any]:
    return {"event": kind, **facts}


def searched(cifar94: Any) -> Any:
    best = {"trial": 2, "score": 0.95, "mean": 0.942, "n": 2, "origin": "default", "params": 5}
    events = [
        (20.0, event("trial", trial=1, state="complete", score=0.9, seconds=15.0)),
        (30.0, event("trial", trial=3, state="failed", score=None, seconds=None)),
        (45.0, event("trial", trial=2, state="complete", score=0.95, seconds=20.0)),
        (60.0, event("repeat", trial=2, score=0.93, seconds=14.0)),
        (70.0, event("repeat", trial=1, score=0.99, seconds=14.0)),
        (80.0, event("repeat", trial=2, score=0.954, seconds=15.0)),
        (90.0, event("end", best=best)),
    ]
    return cifar94.summary(events, 100.0, 2, 0.94)


def test_a_search_says_when_its_target_was_found_and_confirmed(cifar94: Any) -> None:
    row = searched(cifar94)
    assert (row["found s"], row["confirmed s"], row["first trial s"]) == (45.0, 80.0, 20.0)
    assert (row["trials"], row["failed"], row["training share"]) == (2, 1, 0.39)
    # one new seed confirms nothing, and a mean below the target neither
    assert cifar94.confirmed([(1.0, {"trial": 1, "score": 0.99})], 0.94) is None
    assert cifar94.confirmed([(1.0, {"trial": 1, "score": 0.99}), (2.0, {"trial": 1, "score": 0.8})], 0.94) is None


def test_the_table_says_what_kept_the_gpu_idle(cifar94: Any) -> None:
    seconds = {"loading s": 3.0, "build s": 2.0, "compile s": 20.0, "epoch s": 1.5, "validation s": 0.2, "wall s": 39.0}
    point = {"kind": "point", "name": "default", "epochs": 10, "val": 0.94, "test": 0.935, "views": 0.941, **seconds}
    rows = [point | {"gpu busy %": 40.0}, point | {"test": 0.937, "gpu busy %": 50.0}, searched(cifar94)]
    text = cifar94.table(rows)
    assert "| default | 2 | 0.9400 ± 0.0000 (sd) | 0.9360 ± 0.0014 (sd) | 0.9410 ±" in text and "| 45 % |" in text
    assert "* default: 24.0 of 39.0 s were not epochs of training: 2.0 s building, 20.0 s compiling, 2.0 s val" in text
    assert "found after 45.0 s, confirmed after 80.0 s" in text and "kernels ran for an unknown part of it" in text


def test_lines_of_nvidia_smi_without_numbers_are_left_out(cifar94: Any) -> None:
    watch = importlib.import_module("gpu_watch").Watch()
    assert watch.facts == {}
    watch.read(["[N/A], 300\n", "\n", "10, 300\n", "51, 900\n"])
    assert watch.facts == {"gpu busy %": 30.5, "gpu MiB": 900}


@pytest.mark.slow
@pytest.mark.timeout(1500)  # on a CPU, JAX takes three minutes for each point
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_it_runs_on_a_cpu(backend: str, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    parts = {"x_train": 50_000, "x_test": 10_000}
    images = {name: drawn.integers(0, 256, (count, 32, 32, 3), "uint8") for name, count in parts.items()}
    labels = {name.replace("x", "y"): drawn.integers(0, 10, count) for name, count in parts.items()}
    np.savez(tmp_path / "cifar10.npz", **images, **labels)
    options = ["--share", "0.01", "--epochs", "1", "--seeds", "1", "--minutes", "1", "--out", "found.json"]
    environment = {**os.environ, "CNNSEARCH_DATA": str(tmp_path), "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    line = [sys.executable, str(BENCHMARKS / "gpu.py"), "cifar94", *options]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert [row.get("name", "search") for row in found] == ["default", "airbench94", "search"]
    assert all(0 <= row[key] <= 1 for row in found[:2] for key in ("val", "test", "views"))
    assert "What kept the GPU idle:" in done.stdout
    if backend == "tensorflow":
        # on a CPU, JAX compiles for longer than the minute of the search
        assert found[2]["trials"] >= 1
