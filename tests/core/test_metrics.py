"""Metrics of all validation images at once: scikit-learn's values, in every kind of training, refused where unknown."""

import warnings
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score, top_k_accuracy_score
from sklearn.utils.class_weight import compute_sample_weight

from cnnsearch.core import metrics
from cnnsearch.core.errors import CnnsearchError, DataError
from cnnsearch.data.splits import Split
from cnnsearch.results.export.refit import joined
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.training import build, fitting, training_data
from cnnsearch.training.candidate import Candidate, from_plan
from cnnsearch.training.epoch_callback import TrainingResult
from cnnsearch.training.training_data import TrainingData

PLAN = Plan((8, 8, 1), 7, (Block("conv act pool", filters=2),), batch_size=32, epochs=2)


def answers(n: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    """Labels and probabilities that know a little of them, some of them equal."""
    drawn = np.random.default_rng(seed)
    y = drawn.integers(0, classes, n)
    p = drawn.random((n, classes)).round(1) + 0.05 + 0.3 * np.eye(classes)[y]
    return y, (p / p.sum(1, keepdims=True)).astype("float32")


@pytest.mark.parametrize("classes", [2, 3, 7, 12])
def test_they_are_scikit_learns(classes: int) -> None:
    y, p = answers(300, classes)
    found = metrics.measured(y, p)
    decided = p.argmax(1)
    area = roc_auc_score(y, p[:, 1]) if classes == 2 else roc_auc_score(y, p, multi_class="ovr")
    assert found["val_auc"] == pytest.approx(area)
    assert found["val_f1_macro"] == pytest.approx(f1_score(y, decided, average="macro"))
    assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, decided))
    if classes > 5:
        top = top_k_accuracy_score(y, p, k=5, labels=range(classes))
        assert found["val_top5_accuracy"] == pytest.approx(top)
    else:
        assert "val_top5_accuracy" not in found


def test_a_class_that_does_not_occur_is_left_out() -> None:
    y, p = answers(200, 7)
    some = (y != 2) & (y != 5)
    y, p = y[some], p[some]
    found = metrics.measured(y, p)
    areas = [roc_auc_score(y == label, p[:, label]) for label in range(7) if label not in (2, 5)]
    assert found["val_auc"] == pytest.approx(np.mean(areas))
    assert found["val_f1_macro"] == pytest.approx(f1_score(y, p.argmax(1), average="macro"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, p.argmax(1)))
    alone = metrics.measured(np.zeros(9, "int64"), p[:9])
    assert "val_auc" not in alone and alone["val_balanced_accuracy"] == (p[:9].argmax(1) == 0).mean()


def test_a_constant_answer_is_worth_what_chance_is() -> None:
    y = (np.arange(100) < 3).astype("int64")
    found = metrics.measured(y, np.tile([0.9, 0.1], (100, 1)))
    assert found == {
        "val_auc": 0.5,
        "val_balanced_accuracy": 0.5,
        "val_f1_macro": pytest.approx(0.97 / 1.97),
    }


def test_balanced_weights_are_scikit_learns() -> None:
    y = np.array([0] * 90 + [1] * 6 + [3] * 4)
    np.testing.assert_allclose(metrics.class_weights(y, 5), compute_sample_weight("balanced", y), rtol=1e-6)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        *(("val_f1", "val_f1_macro"), ("auc", "val_auc"), ("val_balanced_acuracy", "val_balanced_accuracy")),
        *(("val_acc", "val_accuracy"), ("val_top5", "val_top5_accuracy"), ("f1_macro", "val_f1_macro")),
    ],
)
def test_an_unknown_one_is_refused_with_the_one_that_is_meant(asked: str, meant: str) -> None:
    with pytest.raises(CnnsearchError, match=f"no metric '{asked}'. Did you mean '{meant}'.*val_auc, val_f1_macro"):
        metrics.check(asked)


def test_the_known_ones_are_taken() -> None:
    for name in (*metrics.OF_PLANS, "loss", "accuracy"):
        metrics.check(name)


def test_one_that_tells_no_candidates_apart_is_refused() -> None:
    with pytest.raises(DataError, match="1 for every candidate where there are 5 classes"):
        metrics.check_labels("val_top5_accuracy", np.arange(5), "abcde")
    with pytest.raises(DataError, match="two classes among the validation images, and all of them are of class 'b'"):
        metrics.check_labels("val_auc", np.ones(5, "int64"), "ab")
    metrics.check_labels("val_top5_accuracy", np.arange(6), "abcdef")
    metrics.check_labels("val_accuracy", np.ones(5, "int64"), "ab")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        *(("val_accuracy", "validation accuracy"), ("val_f1_macro", "validation macro F1")),
        *(("val_auc", "validation AUC"), ("val_top5_accuracy", "validation top-5 accuracy")),
        *(("val_my_score", "validation my score"), ("loss", "loss"), ("interval_loss", "interval loss")),
    ],
)
def test_how_their_names_are_read(name: str, read: str) -> None:
    assert metrics.display_name(name) == read


def fold(candidate: Candidate) -> TrainingData:
    """70 images for training and 600 for validation, more than fit into one batch."""
    drawn = np.random.default_rng(1)
    x, y = drawn.integers(0, 256, (670, 8, 8, 1), "uint8"), np.eye(7, dtype="float32")[drawn.integers(0, 7, 670)]
    return TrainingData(x[:70], y[:70], x[70:], y[70:], candidate.batch_size)


def trained(kind: str, plan: Plan, metric: str, **more: Any) -> tuple[TrainingResult, Candidate]:
    """The outcome of a training by one compiled program an epoch, by Keras' `fit`, or by a trainer."""
    keras.utils.set_random_seed(3)
    candidate = from_plan(plan, 70, by_epochs=kind == "epochs")

    def trainer(hp: Any, model: Any, data: TrainingData, *, epochs: int, callbacks: list[Any]) -> None:
        given = {"validation_data": (data.x_val, data.y_val), "callbacks": callbacks, "verbose": 0}
        model.fit(data.x, data.y, batch_size=data.batch_size, epochs=epochs, **given)

    used = trainer if kind == "trainer" else None
    return fitting.train(
        candidate, used, None, fold(candidate), plan.epochs, metric, lambda *_: True, **more
    ), candidate


@pytest.mark.parametrize("kind", ["epochs", "fit", "trainer"])
def test_every_kind_of_training_reports_them(kind: str) -> None:
    plan = PLAN.replace(callbacks=(("EarlyStopping", {"monitor": "val_auc", "mode": "max", "patience": 5}),))
    outcome, candidate = trained(kind, plan, "val_auc")
    data = fold(candidate)
    assert outcome.score == max(epoch["val_auc"] for epoch in outcome.history)
    # of all images at once, by the network of the best epoch
    found = metrics.measured(data.y_val.argmax(1), candidate.core.predict(data.x_val, verbose=0))
    best = outcome.history[outcome.best_epoch - 1]
    assert {name: best[name] for name in found} == pytest.approx(found, abs=1e-5) and len(found) == 4


def test_they_are_computed_only_where_they_are_searched_for() -> None:
    outcome, _ = trained("epochs", PLAN, "val_accuracy")
    assert not set(metrics.COMPUTED) & set(outcome.history[0])


def test_behind_a_frozen_stem_they_are_those_of_the_whole_network() -> None:
    plan = PLAN.replace(stem=(Block("conv act", 2),), stem_rate=0.0, head=Head(widths=(4,)))
    for kind in ("epochs", "fit"):
        outcome, candidate = trained(kind, plan, "val_balanced_accuracy")
        assert build.stem(candidate.core)
        data = fold(candidate)
        found = metrics.measured(data.y_val.argmax(1), candidate.core.predict(data.x_val, verbose=0))
        assert outcome.score == pytest.approx(found["val_balanced_accuracy"], abs=1e-5)


UNEVEN = PLAN.replace(classes=2, class_weight="balanced")


def uneven(n: int) -> Split:
    """`n` images for training and 40 for validation, of which the rare class is a tenth and a little brighter."""
    drawn = np.random.default_rng(2)
    y = (np.arange(n + 40) % 10 == 0).astype("int64")
    x = drawn.integers(0, 200, (n + 40, 8, 8, 1)).astype("uint8") + (20 * y[:, None, None, None]).astype("uint8")
    return Split(x[:n], y[:n], x[n:], y[n:], x[:0], y[:0])


def test_a_plan_weighs_its_training_images_and_no_others() -> None:
    parts = uneven(200)
    plain, weighted = (from_plan(UNEVEN.replace(class_weight=kind), 200) for kind in ("none", "balanced"))
    assert training_data.for_candidate(plain, parts, 2).weights is None
    data = training_data.for_candidate(weighted, parts, 2)
    assert data.weights is not None and data.weights.dtype == np.float32
    np.testing.assert_allclose(data.weights, compute_sample_weight("balanced", parts.y), rtol=1e-6)
    some = training_data.for_candidate(weighted, training_data.subset(parts, 0.25, 0), 2)
    assert some.weights is not None and some.weights.shape == (50,) and some.weights.mean() == pytest.approx(1)
    whole = training_data.for_candidate(weighted, joined(parts), 2)
    assert whole.weights is not None and whole.weights.shape == (240,)


@pytest.mark.parametrize("kind", ["epochs", "fit"])
def test_only_the_loss_of_training_is_weighted(kind: str) -> None:
    parts, still = uneven(200), UNEVEN.replace(optimizer=("SGD", {"learning_rate": 0.0}))
    candidate = from_plan(still, 200, by_epochs=kind == "epochs")
    data = training_data.for_candidate(candidate, parts, 2)
    told = fitting.train(candidate, None, None, data, 1, "val_loss", lambda *_: True).history[0]
    answers = candidate.core.predict(parts.x, verbose=0)
    losses = -np.log(answers[np.arange(200), parts.y])
    assert told["loss"] == pytest.approx(np.mean(losses * data.weights), rel=1e-3)
    assert told["loss"] != pytest.approx(np.mean(losses), rel=1e-3)
    assert told["accuracy"] == pytest.approx((answers.argmax(1) == parts.y).mean())
    unweighted = candidate.core.predict(parts.x_val, verbose=0)[np.arange(40), parts.y_val]
    assert told["val_loss"] == pytest.approx(-np.log(unweighted).mean(), rel=1e-3)


def test_balanced_weights_find_the_rare_class() -> None:
    found = {}
    for kind in ("none", "balanced"):
        keras.utils.set_random_seed(0)
        plan = UNEVEN.replace(blocks=(), class_weight=kind, optimizer=("SGD", {"learning_rate": 0.5}))
        candidate = from_plan(plan, 200)
        data = training_data.for_candidate(candidate, uneven(200), 2)
        told = fitting.train(candidate, None, None, data, 4, "val_balanced_accuracy", lambda *_: True)
        found[kind] = told.history[-1]["val_balanced_accuracy"]
    assert found["balanced"] > found["none"] + 0.1
