"""How labels are given to a model and its answers are read follows from its loss and its output, in every form."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, losses, ops
from sklearn.datasets import load_digits

from cnnsearch.core.errors import CnnsearchError, TrialFailure
from cnnsearch.data.splits import Split
from cnnsearch.results.export import exported_model
from cnnsearch.spaces import space
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
from cnnsearch.training import fitting, heads, label_forms, model_io, training_data
from cnnsearch.training.candidate import from_hypermodel
from tests.cases.models import Net, named_output, subclassed

SHAPE = (8, 8, 1)


def model(units: int, activation: Any, loss: Any, shape: tuple[int, ...] = SHAPE) -> Any:
    made = keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(units, activation=activation)])
    made.compile("adam", loss, metrics=["accuracy"])
    return made


def own_sparse(y: Any, p: Any) -> Any:
    return ops.mean(losses.sparse_categorical_crossentropy(y, p))


def own_categorical(y: Any, p: Any) -> Any:
    return -ops.mean(ops.sum(y * ops.log(p + 1e-7), -1))


def own_logits(y: Any, p: Any) -> Any:
    return losses.sparse_categorical_crossentropy(y, p, from_logits=True)


def own_square(y: Any, p: Any) -> Any:
    return ops.mean(ops.square(y - p), -1)


def own_hinge(y: Any, p: Any) -> Any:
    return ops.mean(ops.maximum(0.0, 1 - y * p))


def own_binary(y: Any, p: Any) -> Any:
    return losses.binary_crossentropy(y, p)


class Own(losses.Loss):  # type: ignore[misc]
    def call(self, y: Any, p: Any) -> Any:
        return losses.sparse_categorical_crossentropy(y, p)


INTEGER = ("integer", "softmax")
ONEHOT = ("onehot", "softmax")
BINARY = ("binary", "sigmoid")
LOGITS = functools.partial(losses.sparse_categorical_crossentropy, from_logits=True)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "expected"),
    [
        (10, "softmax", "sparse_categorical_crossentropy", INTEGER),
        (10, "softmax", "SparseCategoricalCrossentropy", INTEGER),
        (10, "softmax", ["sparse_categorical_crossentropy"], INTEGER),
        (10, "softmax", {"digit": losses.SparseCategoricalCrossentropy()}, INTEGER),
        (10, "softmax", losses.SparseCategoricalCrossentropy, INTEGER),
        (10, "softmax", losses.sparse_categorical_crossentropy, INTEGER),
        (10, None, LOGITS, ("integer", "softmax logits")),
        (10, "softmax", "crossentropy", INTEGER),
        (10, "softmax", "kld", ONEHOT),
        (10, "softmax", {"class_name": "CategoricalCrossentropy", "config": {}}, ONEHOT),
        (10, "softmax", losses.CategoricalFocalCrossentropy(), ONEHOT),
        (10, "sigmoid", "binary_crossentropy", ("onehot", "sigmoid")),
        (10, "softmax", own_sparse, INTEGER),
        (10, "softmax", Own(), INTEGER),
        (10, None, own_logits, ("integer", "softmax logits")),
        (10, "softmax", own_categorical, ONEHOT),
        # integer labels would broadcast without an error
        (10, "softmax", own_square, ONEHOT),
        (2, "softmax", own_sparse, INTEGER),
        (2, "softmax", own_square, ONEHOT),
        (1, "sigmoid", "binary_crossentropy", BINARY),
        (1, "sigmoid", "bce", BINARY),
        (1, "sigmoid", losses.BinaryFocalCrossentropy(), BINARY),
        (1, None, losses.BinaryCrossentropy(from_logits=True), ("binary", "sigmoid logits")),
        (1, "tanh", "squared_hinge", ("binary", "sign")),
        (1, "tanh", own_hinge, ("sign", "sign")),
        (1, "sigmoid", own_binary, BINARY),
        # without bounds, -7 and -1 must not be read alike
        (10, None, "categorical_hinge", ("onehot", "softmax logits")),
        (10, "tanh", "categorical_hinge", ("onehot", "sign")),
    ],
)
def test_the_form_of_labels_and_answers_follows_from_the_loss(
    units: int, activation: Any, loss: Any, expected: tuple[str, str]
) -> None:
    found = heads.head(model(units, activation, loss), SHAPE, max(2, units))
    assert (found.labels, found.reads) == expected and found.units == units


@pytest.mark.parametrize(
    ("units", "activation", "loss", "expected"),
    [
        (10, "softmax", "sparse_categorical_crossentropy", INTEGER),
        (10, "softmax", own_sparse, INTEGER),
        (10, None, own_logits, ("integer", "softmax logits")),
        (1, "sigmoid", own_binary, BINARY),
        (1, "tanh", own_hinge, ("sign", "sign")),
    ],
)
def test_of_a_subclassed_model_too(units: int, activation: Any, loss: Any, expected: tuple[str, str]) -> None:
    made = Net(8, units, activation)
    made.compile("adam", loss)
    found = heads.head(made, SHAPE, max(2, units))
    assert (found.labels, found.reads) == expected


def no_way(y: Any, p: Any) -> Any:
    raise RuntimeError("no way")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: model(10, "softmax", "mse", (28, 28, 1)), "takes inputs of 28x28x1, and the images are of 8x8x1"),
        (lambda: model(10, "softmax", "mse", (64,)), "and a Flatten layer"),
        (lambda: model(4, "softmax", "mse"), "4 outputs, and the data has 10 classes; end it with Dense\\(10"),
        (lambda: model(1, "sigmoid", "bce"), "one output, which is enough for 2 classes, and the data has 10"),
        (lambda: model(10, "softmax", no_way), "the loss no_way .*RuntimeError: no way.*set `labels`"),
        (lambda: model(10, "softmax", ["mse", "mae"]), "compiled with 2 losses"),
    ],
)
def test_what_does_not_fit_the_data_is_told_before_it_is_trained(made: Any, said: str) -> None:
    with pytest.raises(TrialFailure, match=said):
        heads.head(made(), SHAPE, 10)


def test_several_outputs_are_named() -> None:
    images = layers.Input(SHAPE)
    flat = layers.Flatten()(images)
    made = keras.Model(images, [layers.Dense(10, name="a")(flat), layers.Dense(2, name="b")(flat)])
    made.compile("adam", "mse")
    with pytest.raises(TrialFailure, match=r"2 outputs \(a, b\)"):
        heads.head(made, SHAPE, 10)


def test_an_author_may_name_the_form() -> None:
    def build(hp: HyperParameters) -> Any:
        return model(10, "softmax", no_way)

    build.labels = "onehot"  # type: ignore[attr-defined]
    assert from_hypermodel(build, HyperParameters(defaults), 32, SHAPE, 10).labels == "onehot"
    build.labels = "words"  # type: ignore[attr-defined]
    with pytest.raises(TrialFailure, match="labels = 'words': expected one of integer, onehot"):
        from_hypermodel(build, HyperParameters(defaults), 32, SHAPE, 10)


def test_a_function_of_an_optuna_trial_may_name_the_form_too() -> None:
    def build(trial: Any) -> Any:
        return model(10, "softmax", no_way)

    build.labels = "onehot"  # type: ignore[attr-defined]
    made = from_hypermodel(space._for_hp(build), HyperParameters(defaults), 32, SHAPE, 10)
    assert made.labels == "onehot"


def test_the_accuracy_of_several_outputs_counts_the_largest_also_with_signs() -> None:
    def build(hp: HyperParameters) -> Any:
        made = model(2, "tanh", own_hinge)
        made.compile("adam", own_hinge, metrics=["acc", "Precision"])
        return made

    build.labels = "sign"  # type: ignore[attr-defined]
    made, parts = from_hypermodel(build, HyperParameters(defaults), 32, SHAPE, 2), digits(two=True)
    data = training_data.for_candidate(made, parts, 2)
    told = made.model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    numbers = model_io.answers(made.core, parts.x_val)
    assert told["acc"] == pytest.approx((numbers.argmax(1) == parts.y_val).mean(), abs=1e-6)
    assert told["Precision"] == pytest.approx(np.eye(2)[parts.y_val][numbers > 0.5].mean(), abs=1e-6)


def test_answers_without_bounds_keep_their_order() -> None:
    reads = heads.head(model(3, None, "categorical_hinge"), SHAPE, 3).reads
    assert heads.read([[-7.0, -1.5, -3.0], [9.0, 2.0, 5.0]], reads, 3).argmax(1).tolist() == [1, 0]


def test_answers_are_read_as_probabilities() -> None:
    for reads, one in (("sigmoid", 0.75), ("sigmoid logits", np.log(3)), ("sign", 0.5)):
        np.testing.assert_allclose(heads.read([[one]], reads, 2), [[0.25, 0.75]], atol=1e-6)
    np.testing.assert_allclose(heads.read(np.log([[0.2, 0.8]]), "softmax logits", 2), [[0.2, 0.8]], atol=1e-6)
    np.testing.assert_allclose(heads.read([[0.4, 0.4]], "sigmoid", 2), [[0.5, 0.5]])
    # further outputs stand for no class
    np.testing.assert_allclose(heads.read([[0.3, 0.3, 0.4]], "softmax", 2), [[0.5, 0.5]])
    given = np.float32([[0.1, 0.9]])
    assert heads.read(given, "softmax", 2) is given


@pytest.mark.parametrize("form", label_forms.FORMS)
def test_labels_come_back_from_every_form(form: str) -> None:
    y = np.array([0, 1, 1, 0])
    for columns in (1,) if form == "binary" else (1, 2) if form == "sign" else (2,):
        np.testing.assert_array_equal(label_forms.codes(label_forms.encoded(y, form, columns), form), y)
    assert set(np.unique(label_forms.encoded(y, "sign", 1))) == {-1.0, 1.0}


def digits(two: bool) -> Split:
    found = load_digits()
    x = np.rint(found.images[..., None] * (255 / 16)).astype("uint8")
    y = (found.target > 4).astype("int64") if two else found.target.astype("int64")
    return Split(x[:600], y[:600], x[600:800], y[600:800], x[800:], y[800:])


@pytest.mark.parametrize(
    ("activation", "loss"),
    [(None, losses.BinaryCrossentropy(from_logits=True)), ("tanh", "hinge"), ("tanh", own_hinge)],
)
def test_the_accuracy_of_one_output_decides_where_its_probability_is_a_half(activation: Any, loss: Any) -> None:
    def build(hp: HyperParameters) -> Any:
        made = model(1, activation, loss)
        hits = ["accuracy", "hinge", keras.metrics.Precision(thresholds=0.0, name="precision"), "TruePositives"]
        made.compile("adam", loss, metrics=hits, weighted_metrics=["acc"])
        return made

    keras.utils.set_random_seed(1)
    made, parts = from_hypermodel(build, HyperParameters(defaults), 32, SHAPE, 2), digits(two=True)
    data = training_data.for_candidate(made, parts, 2)
    found = fitting.train(made, None, None, data, 1, "val_auc", lambda epoch, metrics: True)
    answers = model_io.predict(made.core, parts.x_val, made.reads, 2)
    said, told = answers.argmax(1), found.history[0]
    assert told["val_accuracy"] == pytest.approx((said == parts.y_val).mean(), abs=1e-6) == told["val_acc"]
    # Keras' precision is 0 where a model answers with the other class alone
    right = parts.y_val[said == 1]
    assert told["val_precision"] == pytest.approx(right.mean() if len(right) else 0.0, abs=1e-6)
    # the author set no threshold: it is Keras' 0.5
    numbers = model_io.answers(made.core, parts.x_val)[:, 0]
    assert told["val_TruePositives"] == ((numbers > 0.5) & (parts.y_val == 1)).sum()
    assert told["val_hinge"] == pytest.approx(np.maximum(0, 1 - (2 * parts.y_val - 1) * numbers).mean(), rel=1e-4)
    assert 0 <= found.score <= 1


@pytest.mark.parametrize("build", [named_output, subclassed])
def test_a_named_output_and_a_subclassed_model_are_trained_and_kept(build: Any, tmp_path: Any) -> None:
    hp, parts = HyperParameters(defaults), digits(two=False)
    made = from_hypermodel(build, hp, 32, SHAPE, 10)
    data = training_data.for_candidate(made, parts, 10)
    fitting.train(made, None, hp, data, 1, "val_accuracy", lambda epoch, metrics: True)
    suffix = model_io.formats(made.core)[0]
    assert suffix == ("weights.h5" if build is subclassed else "keras")
    path = tmp_path / f"trial-00001.{suffix}"
    model_io.save(made.core, path)
    again = model_io.open_(path, lambda: from_hypermodel(build, hp, 32, SHAPE, 10).core)
    answers = model_io.answers(again, parts.x_val)
    assert answers.shape == (200, 10) and model_io.units(again, SHAPE) == 10
    np.testing.assert_allclose(answers, model_io.answers(made.core, parts.x_val), atol=1e-6)
    if build is named_output:
        exported_model._check_averageable({3: again})
        return
    with pytest.raises(CnnsearchError, match="Sequential and Functional models, and the model of trial 3"):
        exported_model._check_averageable({3: again})
