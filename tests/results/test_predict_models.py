"""predict: folders that are no export, models that do not fit their card or contain code, and other formats."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results import predict
from cnnsearch.results.export import MARK, card_text, snippets
from cnnsearch.spaces import plugins, space
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
from cnnsearch.training import model_io
from cnnsearch.training.candidate import from_hypermodel


@pytest.fixture
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.effect_noise((20, 12), 60).save(file)
    return file


def card(folder: Path, formats: tuple[str, ...], **more: Any) -> Path:
    """The folder of an export for 8x8 grey digits, without its model."""
    facts = {"input_shape": [8, 8, 1], "classes": list("0123456789"), "formats": list(formats), "hyperparameters": {}}
    (folder / "card.json").write_text(json.dumps({**facts, **more}))
    return folder


def line(model: Path, *given: Path) -> str:
    """The one-line message of predict for a model that cannot be used."""
    with pytest.raises(CnnsearchError) as caught:
        list(predict.predict(predict.find(model), given))
    assert caught.value.exit_code == 2 and len(caught.value.message) < 600
    return caught.value.message


def test_a_folder_that_is_no_export_is_refused_in_one_line(picture: Path, tmp_path: Path) -> None:
    assert "there is no such file or folder" in line(tmp_path / "gone", picture)
    assert "it has no card.json" in line(tmp_path, picture)
    (tmp_path / "card.json").write_text("[]")
    assert "this is not a model card" in line(tmp_path, picture)
    (tmp_path / "card.json").write_text(json.dumps({"study": "cost", "formats": ["keras"]}))
    assert "the function of study 'cost' trains for itself, so its card has no classes" in line(tmp_path, picture)
    assert "1 or 3 channels" in line(card(tmp_path, ("keras",), input_shape=[8, 8, 4]), picture)
    assert "this is not a model of the export. It has model.keras" in line(
        card(tmp_path, ("keras",)) / "card.json", picture
    )
    assert "it cannot be opened" in line(tmp_path, picture)
    (tmp_path / "model.keras").write_bytes(b"PK no archive")
    assert "it cannot be opened" in line(tmp_path, picture)


def test_a_model_that_does_not_fit_its_card_is_refused(picture: Path, tmp_path: Path) -> None:
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4, "softmax")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    assert "its output has shape (4,), and there are 10 classes" in line(card(tmp_path, ("keras",)), picture)
    assert "does not fit the card.json" in line(card(tmp_path, ("keras",), input_shape=[9, 9, 1]), picture)


def test_code_in_a_model_is_not_run(picture: Path, tmp_path: Path) -> None:
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Lambda(lambda x: x[:, :10])]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    assert "it cannot be opened (ValueError: " in line(card(tmp_path, ("keras",)), picture)
    (tmp_path / "space.toml").write_text('dataset = "digits"\nmodel = "evil.py:build"\n')
    (tmp_path / "model.npz").touch()
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    assert "code that an export names is not run" in line(card(tmp_path, ("npz",)), picture)


def test_both_formats_of_a_numpy_network_give_the_same_predictions(picture: Path, tmp_path: Path) -> None:
    known = plugins.load()
    hp = HyperParameters(defaults)
    made = space.hypermodel(space.load("numpy_mlp", known), known, (8, 8, 1), 10)
    network = from_hypermodel(made, hp, 32).core
    for suffix in network.formats:
        model_io.save(network, tmp_path / f"model.{suffix}")
    (tmp_path / "space.toml").write_text('dataset = "digits"\nmodel = "numpy_mlp"\n')
    folder = card(tmp_path, network.formats, hyperparameters=hp.values)
    assert predict.find(folder).file.name == "model.onnx"
    answers = [
        next(predict.predict(predict.find(path), [picture], top=10)).top for path in (folder, folder / "model.npz")
    ]
    for (name, p), (other, q) in zip(*answers, strict=True):
        assert name == other and p == pytest.approx(q, abs=1e-5)


def test_pictures_are_scaled_to_the_values_of_training_and_arrays_are_not(tmp_path: Path) -> None:
    """A model whose first class is more probable for brighter images; black is -1 and white is 3."""
    layers = [keras.Input((2, 2, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(layers)
    model.set_weights([np.array([[1.0, 0.0]]), np.zeros(2)])
    model.save(tmp_path / "model.keras")
    data = {"dtype": "float32", "value_range": [-1.0, 3.0]}
    folder = card(tmp_path, ("keras",), input_shape=[2, 2, 1], classes=["bright", "dark"], data=data)
    Image.new("L", (2, 2), 255).save(tmp_path / "white.png")
    raw = np.float64([3, -1]).reshape(2, 1, 1, 1) * np.ones((2, 2, 2, 1))
    np.save(tmp_path / "raw.npy", raw[..., 0])
    np.save(tmp_path / "one.npy", raw[0])
    np.savez(tmp_path / "raw.npz", x_test=raw, y_test=[0, 1])
    files = [tmp_path / name for name in ("white.png", "raw.npy", "one.npy", "raw.npz")]
    answers = list(predict.predict(predict.find(folder), files))
    assert [each.file.name for each in answers] == [
        *("white.png", "raw.npy[0]", "raw.npy[1]", "one.npy", "raw.npz[0]", "raw.npz[1]")
    ]
    bright = dict(answers[0].top)["bright"]
    assert bright == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)
    assert [dict(each.top)["bright"] for each in answers] == pytest.approx(
        [bright, bright, 1 / (1 + np.e), bright, bright, 1 / (1 + np.e)], abs=1e-5
    )
    np.save(tmp_path / "bytes.npy", 50 * raw)
    said = [
        each.problem for each in predict.predict(predict.find(folder), [tmp_path / "bytes.npy", tmp_path / "no.npy"])
    ]
    assert "its values go from -50 to 150, and the model was trained on -1 to 3; expected images of the same" in said[0]
    assert said[1] == f"{tmp_path / 'no.npy'}: there is no such file; expected arrays of images."


def test_dark_pictures_are_used_with_the_values_they_were_trained_with(tmp_path: Path) -> None:
    """Pictures with values from 0 to 3, such as masks: the model was trained with them and scales them itself."""
    layers = [keras.Input((2, 2, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(layers)
    model.set_weights([np.array([[1.0, 0.0]]), np.zeros(2)])
    model.save(tmp_path / "model.keras")
    data = {"dtype": "uint8", "value_range": [0.0, 3.0], "resize": "stretch"}
    folder = card(tmp_path, ("keras",), input_shape=[2, 2, 1], classes=["bright", "dark"], data=data)
    Image.new("L", (2, 2), 2).save(tmp_path / "mask.png")
    answer = next(predict.predict(predict.find(folder), [tmp_path / "mask.png"]))
    assert dict(answer.top)["bright"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
    known = json.loads((folder / MARK).read_text()) | {"use": {"keras": snippets.KERAS}}
    assert "0 to 255; the model scales them" in card_text.programs(
        known
    ) and "scaled to" not in card_text.input_sentence(known)
    del known["data"]["resize"]
    assert "as the training images were" in card_text.programs(
        known
    ) and "scaled to 0 to 3" in card_text.input_sentence(known)


def test_arrays_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    layers = [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    folder = card(tmp_path, ("keras",), input_shape=[2, 2, 1], classes=["bright", "dark"])
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 3)))
    np.save(tmp_path / "b.npy", np.array([[1, 2], [3, np.nan]]))
    np.save(tmp_path / "c.npy", np.array([["a", "b"], ["c", "d"]]))
    np.savez(tmp_path / "d.npz", x_train=np.zeros((2, 2, 2)), x_test=np.zeros((2, 2, 2)))
    (tmp_path / "e.npy").write_bytes(b"")
    answers = list(
        predict.predict(predict.find(folder), [tmp_path / f"{x}.np{y}" for x, y in zip("abcde", "yyyzy", strict=True)])
    )
    words = (
        "shape (2, 3, 3); the model takes (n, 2, 2, 1).",
        "image 1 of images holds NaN",
        "is text",
        "one array of images",
        "",
    )
    for answer, said in zip(answers, words, strict=True):
        assert answer.problem.startswith(str(tmp_path)) and said in answer.problem and "\n" not in answer.problem
