"""predict: what is no export, models that are not what their card says or hold code, and other formats."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest
from PIL import Image

from cnnsearch import catalog, models, predict, spaces, training
from cnnsearch.errors import CnnsearchError
from cnnsearch.hyperparameters import HyperParameters, defaults


@pytest.fixture
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.effect_noise((20, 12), 60).save(file)
    return file


def card(folder: Path, formats: tuple[str, ...], **more: Any) -> Path:
    """An export's folder of 8x8 grey digits, but for its model."""
    facts = {"input_shape": [8, 8, 1], "classes": list("0123456789"), "formats": list(formats), "hyperparameters": {}}
    (folder / "card.json").write_text(json.dumps({**facts, **more}))
    return folder


def line(model: Path, *given: Path) -> str:
    """The one line that predict says of a model that cannot be used."""
    with pytest.raises(CnnsearchError) as caught:
        list(predict.predict(predict.find(model), given))
    assert caught.value.exit_code == 2 and len(caught.value.message) < 600
    return caught.value.message


def test_what_is_no_export_is_one_line(picture: Path, tmp_path: Path) -> None:
    assert "there is no such file or folder" in line(tmp_path / "gone", picture)
    assert "there is no card.json with it" in line(tmp_path, picture)
    (tmp_path / "card.json").write_text("[]")
    assert "this is no card" in line(tmp_path, picture)
    assert "1 or 3 channels" in line(card(tmp_path, ("keras",), input_shape=[8, 8, 4]), picture)
    assert "this is no model of the export; it has model.keras" in line(
        card(tmp_path, ("keras",)) / "card.json", picture
    )
    assert "it cannot be opened" in line(tmp_path, picture)
    (tmp_path / "model.keras").write_bytes(b"PK no archive")
    assert "it cannot be opened" in line(tmp_path, picture)


def test_a_model_that_is_not_what_its_card_says(picture: Path, tmp_path: Path) -> None:
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4, "softmax")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    assert "it answers (4,), and there are 10 classes" in line(card(tmp_path, ("keras",)), picture)
    assert "does not fit the card.json" in line(card(tmp_path, ("keras",), input_shape=[9, 9, 1]), picture)


def test_code_in_a_model_is_not_run(picture: Path, tmp_path: Path) -> None:
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Lambda(lambda x: x[:, :10])]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    assert "it cannot be opened (ValueError: " in line(card(tmp_path, ("keras",)), picture)
    (tmp_path / "space.toml").write_text('dataset = "digits"\nmodel = "evil.py:build"\n')
    (tmp_path / "model.npz").touch()
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    assert "code that an export names is not run" in line(card(tmp_path, ("npz",)), picture)


def test_a_network_in_numpy_is_answered_in_both_of_its_formats(picture: Path, tmp_path: Path) -> None:
    known = catalog.load()
    hp = HyperParameters(defaults)
    made = spaces.hypermodel(spaces.load("numpy_mlp", known), known, (8, 8, 1), 10)
    network = training.from_hypermodel(made, hp, 32).core
    for suffix in network.formats:
        models.save(network, tmp_path / f"model.{suffix}")
    (tmp_path / "space.toml").write_text('dataset = "digits"\nmodel = "numpy_mlp"\n')
    folder = card(tmp_path, network.formats, hyperparameters=hp.values)
    assert predict.find(folder).file.name == "model.onnx"
    answers = [
        next(predict.predict(predict.find(path), [picture], top=10)).top for path in (folder, folder / "model.npz")
    ]
    for (name, p), (other, q) in zip(*answers, strict=True):
        assert name == other and p == pytest.approx(q, abs=1e-5)
