"""`run --weights FILE`: the file is checked before the search, kept by the study, and not needed by the export."""

import hashlib
import inspect
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import convnext, efficientnet_v2
from keras.src.legacy.saving import legacy_h5_format

from cnnsearch.cli.weights_option import difference
from cnnsearch.spaces.pretrained import NETWORKS
from tests.cli.test_bad_input import refused
from tests.conftest import Run

SPACE = """
dataset = { use = "digits", limit = 100 }
input_shape = [8, 8, 1]
dimensions = [
  { use = "backbone", names = ["VGG16"] },
  { use = "head", reduce = ["average"], depth = [0] },
]
[defaults]
epochs = 1
"""
PLAIN = """
dataset = "digits"
dimensions = [{ use = "conv_depth" }, { use = "gates" }]
"""
GATES = """
from cnnsearch import dimension


@dimension
def gates(hp, plan, *, weights=(1.0, 2.0)):
    return plan
"""


def as_keras_distributes(model: keras.Model, path: Path) -> Path:
    """Weights in the format of the files that `keras.applications` downloads."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def vgg16(last: int = 512, top: int = 0) -> keras.Model:
    """Layers with the shapes of VGG16's, of which the last have `last` filters, and a top with so many classes."""
    layers: list[keras.Layer] = [keras.Input((32, 32, 3))]
    for convs, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, last)):
        layers += [keras.layers.Conv2D(filters, 3, padding="same") for _ in range(convs)] + [
            keras.layers.MaxPooling2D()
        ]
    if top:
        layers += [keras.layers.Flatten(), keras.layers.Dense(top)]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the same shapes as Keras' own, with other values."""
    keras.utils.set_random_seed(7)
    return as_keras_distributes(vgg16(), tmp_path_factory.mktemp("weights") / "vgg16_notop.h5")


def test_the_hashes_are_those_that_keras_checks() -> None:
    assert NETWORKS["EfficientNetV2B0"].file_hash == efficientnet_v2.WEIGHTS_HASHES["b0"][1]
    assert NETWORKS["ConvNeXtTiny"].file_hash == convnext.WEIGHTS_HASHES["convnext_tiny"][1]
    source = inspect.getsource(keras.applications.VGG16)
    assert f'file_hash="{NETWORKS["VGG16"].file_hash}"' in source.partition("WEIGHTS_PATH_NO_TOP")[2]
    assert "file_hash" not in inspect.getsource(keras.applications.MobileNetV2) + NETWORKS["MobileNetV2"].file_hash


def test_only_another_file_than_keras_own_is_told(tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    path.write_bytes(b"weights")
    md5, sha256 = hashlib.md5(b"weights").hexdigest(), hashlib.sha256(b"weights").hexdigest()
    assert difference("VGG16", md5, path) == difference("ConvNeXtTiny", sha256, path) == ""
    assert f"its MD5 is {md5}, not {'0' * 32}" in difference("VGG16", "0" * 32, path)
    assert f"its SHA256 is {sha256}, not {'0' * 64}" in difference("ConvNeXtTiny", "0" * 64, path)
    assert "publishes no hash for MobileNetV2" in difference("MobileNetV2", "", path)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("text", "wrong.h5 does not hold its weights without the top (OSError: "),
        ("narrow", "Weight expects shape (3, 3, 512, 512). Received saved weight with shape (3, 3, 512, 500)"),
        ("top", "Model expected 13 layers, found 14 saved layers."),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_the_search(
    content: str, part: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.h5"
    if content == "text":
        path.write_text("no weights")
    else:
        as_keras_distributes(vgg16(500) if content == "narrow" else vgg16(top=10), path)
    (tmp_path / "vgg.toml").write_text(SPACE)
    refused(run("run", "--space", "vgg.toml", "--weights", "wrong.h5"), "backbone VGG16: ", part)
    assert not (tmp_path / "runs").exists()


def test_a_file_without_a_network_for_it_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "vgg.toml").write_text(SPACE)
    (tmp_path / "four.toml").write_text(SPACE.replace(', names = ["VGG16"]', ""))
    (tmp_path / "plain.toml").write_text(PLAIN)
    (tmp_path / "gates.py").write_text(GATES)
    (tmp_path / "some.h5").write_bytes(b"")
    for space, file, parts in (
        ("vgg.toml", "gone.h5", ("--weights 'gone.h5': there is no such file.",)),
        ("vgg.toml", "", ("--weights '': there is no such file.",)),
        (
            "plain.toml",
            "some.h5",
            ("--weights some.h5: no dimension of plain has an option weights", "such as mnist_vgg16"),
        ),
        ("four.toml", "some.h5", ("of one network; say which with --set backbone.names=NAME, one of MobileNetV2, ",)),
    ):
        refused(run("run", "--space", space, "--weights", file, "--plugins", "gates.py"), *parts)
    assert not (tmp_path / "runs").exists()


def test_the_study_keeps_the_path_and_the_export_the_weights(run: Run, tmp_path: Path, weights: Path) -> None:
    (tmp_path / "vgg.toml").write_text(SPACE)
    (tmp_path / "mine.h5").write_bytes(weights.read_bytes())
    md5 = hashlib.md5(weights.read_bytes()).hexdigest()
    search = ("run", "--space", "vgg.toml", "--weights", "mine.h5", "--trials")
    done = run(*search, "1")
    assert done.returncode == 0, done.stderr
    warning = f"Warning: {tmp_path / 'mine.h5'}: this is not Keras' own file of VGG16: its MD5 is {md5}, not 6d6bbae1"
    assert done.stderr.count("Warning: ") == 1 and warning in done.stderr
    for resumed in (run(*search, "2"), run("run", "--space", "vgg.toml", "--space-from-study", "--trials", "3")):
        assert resumed.returncode == 0 and "Resuming study 'vgg'" in resumed.stdout + resumed.stderr, resumed.stderr
    refused(run(*search, "4", "--space-from-study"), "--weights with --space-from-study: ", "Leave out --weights.")
    refused(run("run", "--space", "vgg.toml", "--trials", "4"), "was started with backbone.weights = ", "mine.h5")
    (tmp_path / "mine.h5").unlink()
    exported = run("export", "-o", "out")
    assert exported.returncode == 0, exported.stderr
    model = keras.saving.load_model(tmp_path / "out" / "model.keras", safe_mode=True)
    original = vgg16()
    with h5py.File(weights) as file:
        legacy_h5_format.load_weights_from_hdf5_group(file, original)
    for found, expected in zip(model.layers[1].get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
