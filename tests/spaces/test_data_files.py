"""Data inside pickled objects: large arrays are files, generators start anew, locks are made anew."""

import itertools
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from cnnsearch.spaces.data_files import DataFiles, remove_unused, within


def restored(value: Any, folder: Path) -> tuple[Any, list[str]]:
    files = DataFiles()
    content = files.dumps(value)
    files.write(folder)
    with within(folder):
        return pickle.loads(content), files.names


def test_large_arrays_are_files_that_equal_data_share(tmp_path: Path) -> None:
    large, small = np.arange(20000, dtype="float32").reshape(100, 200)[:, ::2], np.arange(3)
    found, names = restored({"x": large, "again": (large.copy(), small), "words": np.array(["a", None])}, tmp_path)
    assert len(names) == 0
    large = np.arange(20000, dtype="float64").reshape(100, 200)[:, ::2]
    found, names = restored({"x": large, "again": (large.copy(), small)}, tmp_path)
    assert len(names) == 1 and (tmp_path / names[0]).stat().st_size < large.nbytes + 200
    assert np.array_equal(found["x"], large) and np.array_equal(found["again"][0], large)
    # a change stays in the process
    found["x"][:] = 0
    assert np.array_equal(found["again"][0], large) and type(found["x"]) is np.ndarray
    (tmp_path / "input-0000.npy").touch()
    remove_unused(tmp_path, names)
    assert [path.name for path in tmp_path.iterdir()] == names


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2"])
def test_a_large_array_keeps_a_type_that_numpy_does_not_have(name: str, tmp_path: Path) -> None:
    large = (np.arange(1 << 17) % 8).reshape(2, -1).astype(getattr(ml_dtypes, name))
    found, names = restored(large, tmp_path)
    assert len(names) == 1 and found.dtype == large.dtype and found.shape == large.shape
    assert np.array_equal(found.astype("float32"), large.astype("float32"))


def test_a_generator_starts_anew(tmp_path: Path) -> None:
    offset = 5

    def numbers(first: int, *others: int, step: int = 1, **more: int) -> Iterator[int]:
        yield first + offset
        yield from (each * step for each in others)
        yield from more.values()

    generator = numbers(1, 2, 3, step=10, last=7)
    files = DataFiles()
    content = files.dumps(generator)
    for _ in range(2):
        assert list(pickle.loads(content)) == [6, 20, 30, 7]
    assert list(itertools.islice(generator, 1)) == [6]
    with pytest.raises(TypeError, match="numbers was started already"):
        files.dumps(generator)


def test_locks_are_new_ones(tmp_path: Path) -> None:
    lock = threading.Lock()
    lock.acquire()
    found, _ = restored([lock, threading.RLock()], tmp_path)
    assert found[0].acquire(blocking=False) and found[1].acquire(blocking=False)
