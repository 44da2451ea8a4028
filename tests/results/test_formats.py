"""Formats: each file is verified in its own runtime, wrong files are refused, sizes and latencies are stored."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results.export import formats, snippets, verification
from cnnsearch.spaces.plan import Block, Plan
from cnnsearch.study import listing
from cnnsearch.training import build
from tests.conftest import Run, cnnsearch, invoke

PLAN = Plan(
    input_shape=(8, 8, 1),
    classes=3,
    blocks=(Block(layers="conv norm act drop pool", filters=4, rate=0.2),),
    augment=(("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.3}),),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1)).astype("uint8")
LABELS = np.arange(70) % 3


def format_named(name: str) -> formats.Format:
    """The format, where its runtime is installed."""
    for module in formats.KNOWN[name].needs:
        pytest.importorskip(module)
    return formats.KNOWN[name]


@pytest.fixture
def core() -> keras.Model:
    """A network whose outputs depend on its images."""
    keras.utils.set_random_seed(1)
    model = build.core(PLAN)
    model.set_weights([np.random.default_rng(2).normal(abs(w), 0.3).astype("float32") for w in model.get_weights()])
    return model


@pytest.mark.parametrize("name", formats.KNOWN)
def test_a_written_file_predicts_as_keras_does_and_is_timed_and_measured(
    name: str, core: keras.Model, tmp_path: Path
) -> None:
    form = format_named(name)
    path = formats.write(form, core, tmp_path, IMAGES)
    assert [found.name for found in tmp_path.iterdir()] == [form.file]
    found = verification.verify(form, path, core, IMAGES, LABELS)
    assert found["images"] == 70
    if name == "litert_int8":
        assert found["equal"] >= 63 and found["difference"] < 0.1
        assert abs(found["accuracy"] - found["accuracy_before"]) <= 0.1 and found["n"] == 70
    else:
        assert found["equal"] == 70 and found["difference"] < 1e-5
    assert found["bytes"] == sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file()) > 1000
    for count in (1, 64):
        low, high = found[f"quartiles_{count}"]
        assert 0 < low <= found[f"latency_{count}"] <= high < 5 and found[f"repeats_{count}"] >= 7


@pytest.mark.parametrize("name", ["saved_model", "onnx", "openvino"])
def test_augmentation_inside_the_model_is_refused(name: str, core: keras.Model, tmp_path: Path) -> None:
    """The training model has augmentation around the same layers. If it were exported, it would change its images."""
    form, spoiled = format_named(name), build.training_model(PLAN, core)
    with pytest.raises(CnnsearchError, match=r"^The (written|model)") as caught:
        verification.verify(form, formats.write(form, spoiled, tmp_path, IMAGES), spoiled, IMAGES, LABELS)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["keras", "litert", "litert_int8"])
def test_the_file_of_another_model_is_refused(name: str, core: keras.Model, tmp_path: Path) -> None:
    form = format_named(name)
    path = formats.write(form, core, tmp_path, IMAGES)
    other = build.core(PLAN)
    other.set_weights([-weight for weight in core.get_weights()])
    with pytest.raises(
        CnnsearchError, match=r"differs from the trained model by|predicts the same class as the trained model on"
    ):
        verification.verify(form, path, other, IMAGES, LABELS)


def test_a_file_that_returns_nan_is_refused(core: keras.Model, tmp_path: Path) -> None:
    form, broken = formats.KNOWN["keras"], build.core(PLAN)
    broken.set_weights([weight * np.float32("nan") for weight in core.get_weights()])
    with pytest.raises(CnnsearchError, match="differs from the trained model by nan"):
        verification.verify(form, formats.write(form, broken, tmp_path, IMAGES), core, IMAGES, LABELS)


def test_every_format_of_a_study_in_one_folder(searched: Path) -> None:
    names = [name for name in ("keras", "saved_model", "onnx", "litert") if format_named(name)]
    done = invoke(searched, "export", "--format", "keras,saved_model", "--format", "onnx,litert", "-o", "f")
    assert done.returncode == 0, done.stderr
    assert "40 of 40" in done.stdout and " ms (" in done.stdout
    out = searched / "f"
    card = json.loads((out / "card.json").read_text())
    assert card["formats"] == names and {facts["file"] for facts in card["measured"].values()} < {*_names(out)}
    text = (out / "card.md").read_text()
    assert text.count("```python") == len(names) and "| litert | model.tflite |" in text and " cores" in text
    for use in card["use"].values():
        for shape, values in (((8, 8, 1), (0, 255)), ((8, 8, 3), (-1.5, 2)), ((8, 8, 2), (0, 1))):
            compile(snippets.program(use, shape, values), "card.md", "exec")
    known = listing.load(None, searched / "runs").fact(f"measured:{card['trial']}")
    assert set(names) <= set(known) and set(known["onnx"]) == {"bytes", "latency_1", "latency_64"}

    # an earlier export is replaced with all its files and folders; a folder with another file is not replaced
    again = invoke(searched, "export", "-o", "f")
    assert again.returncode == 0 and "model.onnx" not in _names(out) and "saved_model" not in _names(out)
    assert set(known) == set(listing.load(None, searched / "runs").fact(f"measured:{card['trial']}"))
    (out / "model.onnx").write_text("mine")
    refused = invoke(searched, "export", "-o", "f")
    assert refused.returncode == 2 and "holds other files too (model.onnx)" in refused.stderr


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


SPOILED = """
import keras

def build(hp):
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.RandomTranslation(0.4, 0.4),
        keras.layers.Flatten(),
        keras.layers.Dense(10, "softmax"),
    ])
    adam = keras.optimizers.Adam(hp.Choice("rate", [0.01, 0.02]))
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.mark.slow
def test_a_refused_hypermodel_with_augmentation_inside_leaves_no_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SPOILED)
    line = ("--dataset", "digits", "--trials", "1", "--epochs", "1", "--jobs", "1", "--quiet")
    assert run("run", "--space", "mine.py:build", *line).returncode == 0
    done = run("export", "--format", "keras,saved_model", "-o", "out")
    assert done.returncode == 2 and "saved_model differs from the trained model" in done.stderr, done.stderr
    assert "augmentation inside" in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert {"out", ".out.partial"}.isdisjoint(_names(tmp_path))
    assert listing.load(None, tmp_path / "runs").test_results() == [], (
        "a model that is not exported is not evaluated on the test set"
    )
    assert run("export", "-o", "out").returncode == 0


@pytest.mark.slow
def test_a_format_that_cannot_be_written_is_refused_in_one_line(searched: Path, tmp_path: Path) -> None:
    (tmp_path / "tf2onnx.py").write_text("raise ImportError('there is none')\n")
    for form, said in (
        ("onnx", "onnx needs tf2onnx, which is not installed: pip install 'cnnsearch[formats]'"),
        ("onxx", "cannot be written as 'onxx'. Did you mean 'onnx'? It can be written as keras, saved_model, onnx,"),
    ):
        done = cnnsearch(searched, "export", "--format", form, "-o", "no", PYTHONPATH=_first(tmp_path))
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (searched / "no").exists()


def test_format_names_are_separated_by_commas_or_given_one_by_one() -> None:
    assert formats.parse_names(("keras,onnx", " litert", "keras")) == ("keras", "onnx", "litert")
    assert formats.parse_names(()) == ()
    with pytest.raises(CnnsearchError, match="--format has an empty name"):
        formats.parse_names(("keras,",))


def _first(folder: Path) -> str:
    import os

    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def test_a_mean_of_models_is_not_written_as_weights_alone(core: keras.Model) -> None:
    class Own(keras.layers.Layer):
        """Not registered with Keras."""

    whole = formats.usable_formats((), core, lambda: core)
    formats.check_whole(whole)
    own = keras.Sequential([core, Own()])
    forms = formats.usable_formats((), own, lambda: own)
    assert [form.name for form in (*whole, *forms)] == ["keras", "weights.h5"]
    with pytest.raises(CnnsearchError, match="Name other formats, such as --format saved_model,onnx"):
        formats.check_whole(forms)
