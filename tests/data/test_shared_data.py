"""Data for all workers: loaded once, mapped by each, never changed by one for another, and gone at the end."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import psutil
import pytest

from cnnsearch.core import host
from cnnsearch.data import image_cache, shared_memory
from cnnsearch.data.splits import Split
from cnnsearch.spaces.plan import Block, Plan
from cnnsearch.study.config import WORKERS, worker_environment
from cnnsearch.training import compiled, training_data
from cnnsearch.training.candidate import from_plan
from cnnsearch.training.compiled.tensorflow import _held
from tests.conftest import Run

COUNTED = """
import os
from pathlib import Path

from cnnsearch import dataset
from sklearn.datasets import load_digits

from cnnsearch.data.dataset import Dataset


@dataset
def counted(*, note="loads.txt"):
    \"\"\"Digits that write down who loads them.\"\"\"
    with Path(note).open("a") as file:
        file.write(f"{os.getpid()}\\n")
    data = load_digits()
    return Dataset("counted", data.images.astype("uint8") * 15, data.target, tuple("0123456789"))
"""


def drawn() -> shared_memory.Loaded:
    made = np.random.default_rng(0)
    x, y = made.integers(0, 256, (90, 8, 8, 1), "uint8"), made.integers(0, 10, 90)
    return Split(x[:50], y[:50], x[50:70], y[50:70], x[70:], y[70:], x_clean=x[:50] // 2), {"name": "drawn"}


def refused() -> shared_memory.Loaded:
    raise AssertionError("they are there already")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / f"{shared_memory.PREFIX}x").mkdir()
    return tmp_path / f"{shared_memory.PREFIX}x"


def same(found: shared_memory.Loaded, wanted: shared_memory.Loaded) -> None:
    assert found[1] == wanted[1]
    for part in vars(wanted[0]):
        got, expected = getattr(found[0], part), getattr(wanted[0], part)
        assert (got is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(got, expected)
            assert got.dtype == expected.dtype and type(got) is np.ndarray


def test_who_comes_first_loads_and_the_others_take(folder: Path) -> None:
    same(shared_memory.taken(folder, drawn), drawn())
    same(shared_memory.taken(folder, refused), drawn())


def test_what_one_writes_no_other_sees(folder: Path) -> None:
    mine, _ = shared_memory.taken(folder, drawn)
    mine.x[:] = 0
    same(shared_memory.taken(folder, refused), drawn())


@pytest.mark.parametrize("full", ["save", "write_text"])
def test_a_full_disk_is_left_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    def half(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np if full == "save" else Path, full, half)
        for _ in range(2):
            same(shared_memory.taken(folder, drawn), drawn())
            assert not list(folder.glob("*.npy"))
    same(shared_memory.taken(folder, drawn), drawn())
    same(shared_memory.taken(folder, refused), drawn())


def test_where_they_would_not_fit_nothing_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    same(shared_memory.taken(folder, drawn), drawn())
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_what_somebody_took_away_is_loaded_again(folder: Path) -> None:
    shared_memory.taken(folder, drawn)
    (folder / "y.npy").unlink()
    same(shared_memory.taken(folder, drawn), drawn())
    same(shared_memory.taken(folder, refused), drawn())


def test_what_was_left_is_swept_and_nothing_else(folder: Path) -> None:
    shared_memory.taken(folder, drawn)
    (folder.parent / "data").mkdir()
    (folder.parent / "data" / "mine.png").write_text("a user's")
    shared_memory.sweep(folder.parent)
    assert [path.name for path in folder.parent.iterdir()] == ["data"] and (folder.parent / "data/mine.png").exists()


def test_who_is_killed_while_it_loads_keeps_nobody_waiting(folder: Path) -> None:
    code = f"""
import os, pathlib, signal
from cnnsearch.data import shared_memory as shared_data
shared_data.taken(pathlib.Path({str(folder)!r}), lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == -signal.SIGKILL
    same(shared_memory.taken(folder, drawn), drawn())


def test_images_that_are_mapped_are_trained_on_in_place(folder: Path) -> None:
    own, (mapped, _) = drawn()[0], shared_memory.taken(folder, drawn)
    assert np.shares_memory(memoryview(_held(mapped.x)), mapped.x)
    losses = []
    for parts in (own, mapped):
        keras.utils.set_random_seed(2)
        made = from_plan(Plan((8, 8, 1), 10, (Block("conv act pool", filters=4),)), len(parts.x))
        data = training_data.for_candidate(made, parts, 10)
        told = keras.callbacks.History()
        compiled.fit(made.model, data, epochs=2, callbacks=[told])
        losses.append(told.history["val_loss"])
    assert losses[0] == losses[1]
    # nor are they changed by it
    same((mapped, {"name": "drawn"}), drawn())


def test_mapped_pages_are_not_held_against_a_worker(tmp_path: Path) -> None:
    side, before = 1 << 12, host.rss()
    (tmp_path / "x.bin").write_bytes(bytes(10 * side * side))
    images = image_cache.mapped(tmp_path / "x.bin", (10, side, side, 1))
    assert not images.max() and host.rss() - before < 60 << 20
    assert psutil.Process().memory_info().rss > host.held_by(os.getpid()) + (150 << 20)
    # what is written to them is the process's own
    images[:] = 1
    assert host.rss() - before > 150 << 20


def test_what_is_joined_for_a_refit_is_mapped_again(tmp_path: Path) -> None:
    x = drawn()[0].x
    image_cache.copied(x, np.arange(50), tmp_path / "x.bin")
    images = image_cache.mapped(tmp_path / "x.bin", x.shape)
    both = image_cache.joined(images[:30], images[5:], tmp_path)
    np.testing.assert_array_equal(both, np.concatenate([x[:30], x[5:]]))
    assert (
        image_cache.is_mapped(both)
        and not image_cache.is_mapped(image_cache.joined(x, x))
        and [*tmp_path.iterdir()] == [tmp_path / "x.bin"]
    )


def test_where_images_cannot_be_whole_epochs_are_not_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = drawn()[0].x
    image_cache.copied(x, np.arange(50), tmp_path / "x.bin")
    images = image_cache.mapped(tmp_path / "x.bin", x.shape)
    # a worker's share of the memory, whatever is free at the moment
    monkeypatch.setattr(compiled, "memory_allowed", lambda jobs: 6 * x.nbytes / jobs)
    assert compiled.holds(SimpleNamespace(x=x, x_val=x))
    monkeypatch.setenv(WORKERS, worker_environment(1, None, jobs=4)[WORKERS])
    # where they are mapped TensorFlow computes with them in place
    for some, fits in ((x[:10], True), (x, False), (images, True)):
        assert compiled.holds(SimpleNamespace(x=some, x_val=some)) == fits
    monkeypatch.setattr(compiled, "on_gpu", lambda: True)
    for memory, fits in ((0, True), (5 * x.nbytes, True), (3 * x.nbytes, False)):
        monkeypatch.setattr(compiled, "_gpu_memory", lambda memory=memory: memory)
        assert compiled.holds(SimpleNamespace(x=images, x_val=images)) == fits


def test_two_workers_load_once_and_leave_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "counted.py").write_text(COUNTED)
    asked = ("run", "--space", "digits_cnn", "--dataset", "counted", "--plugins", "mine", "--epochs", "1")
    done = run(*asked, "--trials", "2", "--jobs", "2", "--set", "filters.first=[4]", "--study", "shared")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "loads.txt").read_text().split()) == 1
    assert {path.name for path in (tmp_path / "runs" / "shared").iterdir()} >= {"logs", "checkpoints"}
    assert not list(tmp_path.rglob(f"{shared_memory.PREFIX}*"))
