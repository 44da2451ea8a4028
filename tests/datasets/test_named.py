"""mnist, fashion_mnist and cifar10: where they are looked for, and what is said about bad files."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PLUGINS = Path(__file__).parents[2] / "plugins" / "datasets"
NAMES = ("mnist", "fashion_mnist", "cifar10")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """CNNSEARCH_DATA and Keras' cache, both empty."""
    data, cache = tmp_path / "data", tmp_path / "keras" / "datasets"
    data.mkdir()
    cache.mkdir(parents=True)
    monkeypatch.setenv("CNNSEARCH_DATA", str(data))
    monkeypatch.setenv("KERAS_HOME", str(cache.parent))
    return data, cache


@pytest.mark.parametrize("name", NAMES)
def test_the_file_in_the_named_folder_is_read(plugin, places, arrays, name):
    np.savez(places[0] / f"{name}.npz", **arrays)
    data = plugin(name)()
    assert data.name == name and len(data.classes) == 10
    assert np.array_equal(data.x[..., 0], arrays["x_train"]) and np.array_equal(data.y_test, arrays["y_test"])


def test_keras_cache_comes_second(plugin, places, arrays, monkeypatch):
    np.savez(places[1] / "mnist.npz", **arrays)
    assert len(plugin("mnist")().x) == 40
    monkeypatch.delenv("CNNSEARCH_DATA")
    assert len(plugin("mnist")().x) == 40
    monkeypatch.setenv("CNNSEARCH_DATA", str(places[0]))
    np.savez(places[0] / "mnist.npz", **{key: array[:10] for key, array in arrays.items()})
    assert len(plugin("mnist")().x) == 10


def test_keras_cache_is_at_home_by_default(plugin, arrays, tmp_path, monkeypatch):
    for name in ("CNNSEARCH_DATA", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras" / "datasets").mkdir(parents=True)
    np.savez(tmp_path / ".keras" / "datasets" / "cifar10.npz", **arrays)
    assert plugin("cifar10")().classes[3] == "cat"


def test_labels_in_a_column_are_taken_as_labels(plugin, places, arrays):
    arrays |= {key: arrays[key][:, None] for key in ("y_train", "y_test")}
    np.savez(places[0] / "cifar10.npz", **arrays)
    assert plugin("cifar10")().y.shape == (40,)


def test_limit_leaves_the_test_set_whole(plugin, places, arrays):
    np.savez(places[0] / "mnist.npz", **arrays)
    data = plugin("mnist")(limit=20)
    assert np.bincount(data.y).tolist() == [2] * 10 and len(data.x_test) == 10


def test_a_folder_that_is_not_there_is_said(plugin, says, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNSEARCH_DATA", str(tmp_path / "dta"))
    assert says(plugin("mnist")) == (
        f"CNNSEARCH_DATA names {tmp_path}/dta, which is not a folder; expected a folder of NAME.npz files. "
        "Set it to one, or unset it."
    )


def test_a_missing_key_is_named(plugin, says, places, arrays):
    del arrays["x_test"], arrays["y_test"]
    np.savez(places[0] / "mnist.npz", **arrays)
    assert says(plugin("mnist")) == (
        f"{places[0]}/mnist.npz: x_test and y_test are missing; expected x_train, y_train, x_test, y_test, "
        "but it holds x_train, y_train."
    )


@pytest.mark.parametrize("name, fault, words", [
    ("x_train", lambda array: array / 255, "x_test is uint8 from 2 to 255, but x is float64 from 0 to 1; expected the"),
    ("x_test", lambda array: array[:, :5], "x_test holds images of (5, 6, 1), x of (6, 6, 1)"),
    ("y_train", lambda array: array[:-1], "y is uint8 of shape (39,) for 40 images"),
    ("y_test", lambda array: array + 1, "y_test has the class '10' (image 9), which is not in y"),
    ("x_test", lambda array: array[:0], "x_test holds no images. Leave it out"),
])  # fmt: skip
def test_arrays_that_do_not_fit_are_named_with_their_file(plugin, says, places, arrays, name, fault, words):
    arrays[name] = fault(arrays[name])
    np.savez(places[0] / "mnist.npz", **arrays)
    assert says(plugin("mnist")).startswith(f"{places[0]}/mnist.npz: {words}")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"\x93NUMPY"])
def test_a_file_that_is_no_npz_is_said(plugin, says, places, content):
    (places[0] / "mnist.npz").write_bytes(content)
    assert "mnist.npz: this is not a complete .npz file. Write it again" in says(plugin("mnist"))


def test_a_folder_called_npz_is_no_file(plugin, says, places):
    (places[0] / "mnist.npz").mkdir()
    assert "this is not a complete .npz file" in says(plugin("mnist"))


def test_a_broken_download_is_said(plugin, says, places, arrays):
    file = places[0] / "mnist.npz"
    np.savez(file, **arrays)
    whole = bytearray(file.read_bytes())
    file.write_bytes(whole[: len(whole) // 2])
    assert "this is not a complete .npz file" in says(plugin("mnist"))
    whole[300] ^= 255
    file.write_bytes(whole)
    assert f"{file}: it cannot be read (BadZipFile: Bad CRC-32" in says(plugin("mnist"))


def test_pickled_arrays_are_never_loaded(plugin, says, places, arrays):
    np.savez(places[0] / "mnist.npz", **(arrays | {"y_train": np.array([{}, print] * 20, object)}))
    assert "mnist.npz: y_train holds Python objects, which are not read" in says(plugin("mnist"))


@pytest.fixture(scope="module")
def without_network(tmp_path_factory):
    """What a new process answers where every download meets a closed port."""
    cache = tmp_path_factory.mktemp("keras")
    _write_fashion(cache / "datasets" / "fashion-mnist")
    code = """if True:
        import json, runpy, sys, time
        from cnnsearch.core.errors import DataError
        load = lambda name: runpy.run_path(f"{sys.argv[1]}/{name}.py")[name]
        fashion = load("fashion_mnist")()
        answers, start = {"fashion": [fashion.x.shape, fashion.y.tolist(), fashion.x_test.shape]}, time.time()
        for name in ("mnist", "cifar10"):
            try:
                load(name)()
            except DataError as error:
                answers[name] = error.message
        print(json.dumps(answers | {"seconds": time.time() - start}))
    """
    closed = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    environment = {key: os.environ[key] for key in os.environ if key.lower() not in ("no_proxy", "cnnsearch_data")}
    child = subprocess.run(
        [sys.executable, "-c", code, str(PLUGINS)],
        env=environment | closed | {"KERAS_HOME": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    return cache, json.loads(child.stdout)


def _write_fashion(folder):
    """Four training and two test images in the form in which Keras keeps this dataset."""
    folder.mkdir(parents=True)
    for part, count in (("train", 4), ("t10k", 2)):
        for kind, size, header in (("labels-idx1", 1, 8), ("images-idx3", 784, 16)):
            content = bytes(header) + bytes(index % 2 for index in range(count) for _ in range(size))
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))


def test_keras_own_forms_in_its_cache_are_read(without_network):
    _, answers = without_network
    assert answers["fashion"] == [[4, 28, 28, 1], [0, 1, 0, 1], [2, 28, 28, 1]]


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_with_no_network_one_line_names_every_way_within_seconds(without_network, name):
    cache, answers = without_network
    before, after = answers[name].split(" (Exception: URL fetch failure on https://")
    assert before == f"{name}: there is no {name}.npz in {cache}/datasets, and Keras could not download it"
    assert after.endswith(
        f"). Put {name}.npz into a folder that CNNSEARCH_DATA names, or into {cache}/datasets, or connect "
        "to the network; `--space digits_cnn` needs no file."
    )
    assert "Connection refused" in after and "\n" not in after and answers["seconds"] < 10


def test_the_real_mnist(mnist):
    data = mnist()
    assert data.x.shape == (60000, 28, 28, 1) and data.x_test.shape == (10000, 28, 28, 1)
    assert np.bincount(data.y)[:2].tolist() == [5923, 6742]
    assert np.bincount(mnist(limit=1000).y).tolist() == [99, 112, 99, 102, 97, 90, 99, 105, 98, 99]
