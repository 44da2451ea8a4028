"""What a fit of one's own gives back, how metrics are named, and which sentence of an error helps."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from cnnsearch.core import metric_names
from cnnsearch.core.errors import CnnsearchError, DataError, TrialFailure, reason
from cnnsearch.core.metric_names import RETURNED
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
from cnnsearch.study.config import maximize
from cnnsearch.training import checkpoint, fit_results, fitting, numbered_metrics, reported_metrics, training_data
from cnnsearch.training.candidate import from_hypermodel
from cnnsearch.training.epoch_callback import EpochReporter, TrainingResult
from cnnsearch.training.proposal import propose
from cnnsearch.tuning import metric_discovery as opening
from tests.cases.models import ReturnsNumber, binary, mine
from tests.training.test_heads import SHAPE, digits

HISTORY = keras.callbacks.History()
HISTORY.history = {"loss": [2.0, 1.0], "val_accuracy": [0.5, 0.75]}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, []),
        (-0.5, [{RETURNED: -0.5}]),
        (np.float32(2), [{RETURNED: 2.0}]),
        ([1, 2.0], [{RETURNED: 1.5}]),
        ({"val_accuracy": np.float64(0.5)}, [{"val_accuracy": 0.5}]),
        ([{"val_loss": 1, "a": 2}, {"val_loss": 3}], [{"val_loss": 2.0}]),
        (HISTORY, [{"loss": 2.0, "val_accuracy": 0.5}, {"loss": 1.0, "val_accuracy": 0.75}]),
    ],
)
def test_fit_may_give_back_what_keras_tuners_may(given: Any, told: list[dict[str, float]]) -> None:
    assert fit_results.epochs(given, RETURNED) == told
    with pytest.raises(TrialFailure, match="fit returned str; expected a number"):
        fit_results.epochs("good", RETURNED)


def test_a_list_of_histories_counts_by_the_best_of_each() -> None:
    assert fit_results.epochs([HISTORY, HISTORY], "val_accuracy") == [{"loss": 1.0, "val_accuracy": 0.75}]


def test_a_number_is_made_small_and_no_epoch_is_asked_about() -> None:
    hypermodel, hp, parts, asked = ReturnsNumber(), HyperParameters(defaults), digits(two=False), []
    made = from_hypermodel(hypermodel, hp, 32, SHAPE, 10)
    names = reported_metrics.reported(from_hypermodel(hypermodel, hp, 32, SHAPE, 10), hp, parts, 10, "")
    metric, line = metric_names.choose_metric(names)
    # a fit that takes too long is not called
    plain = reported_metrics.reported(made, hp, parts, 10, "", own_fit=False)
    assert {"val_accuracy", "val_loss"} <= set(plain) and RETURNED not in plain
    assert metric == RETURNED and not maximize(metric) and "minimises" in line

    def report(epoch: int, metrics: dict[str, float]) -> bool:
        asked.append(epoch)
        return False

    found = fitting.train(made, None, hp, training_data.for_candidate(made, parts, 10), 7, metric, report)
    assert found.score == found.history[0][RETURNED] < 0 and not found.stopped and asked == [7]


def test_a_model_is_asked_which_metrics_it_reports() -> None:
    def build(hp: HyperParameters) -> Any:
        model = mine(hp, 1, "sigmoid")
        model.compile("adam", "bce", metrics=[keras.metrics.AUC(), keras.metrics.Precision(), "AUC"])
        return model

    for _ in range(2):  # Keras numbers the second one's on
        made = from_hypermodel(build, HyperParameters(defaults), 32, SHAPE, 2)
        names = reported_metrics.reported(made, None, digits(two=True), 2, "")
        assert {"val_auc", "val_precision", "val_loss", "loss", "learning_rate"} <= set(names), names
    assert opening._settled("val_auc_3", ["val_auc"])[0] == "val_auc"
    with pytest.raises(CnnsearchError, match=r"no metric 'val_recall_2'.*report.*val_recall, val_recall_1"):
        opening._settled("val_recall_2", ["val_recall", "val_recall_1"])
    # what the answers tell is computed
    made = from_hypermodel(binary, HyperParameters(defaults), 32, SHAPE, 2)
    assert (
        opening._settled("val_auc", reported_metrics.reported(made, None, digits(two=True), 2, "val_auc"))[0]
        == "val_auc"
    )
    with pytest.raises(
        CnnsearchError, match=r"no metric 'val_accurracy'. Did you mean 'val_accuracy'.*report.*val_los"
    ):
        opening._settled("val_accurracy", ["loss", "val_accuracy", "val_loss"])


@pytest.mark.parametrize(
    ("reports", "metric", "said"),
    [
        (["loss", "val_loss", "val_accuracy"], "val_accuracy", ""),
        (["loss", "acc", "val_acc", "val_loss"], "val_acc", "The objective is val_acc"),
        (["val_loss", "val_digit_accuracy"], "val_digit_accuracy", "val_digit"),
        (["val_loss", "val_auc"], "val_auc", "Choose another with --metric"),
        (["val_loss", "val_acc", "val_top_k_categorical_accuracy"], "val_acc", "val_acc"),
        (["val_loss", "val_precision", "val_recall"], "val_loss", "but val_precision, val_recall"),
        (["loss", "val_loss"], "val_loss", "no other metric"),
        ([], "val_accuracy", ""),
    ],
)
def test_the_objective_is_the_only_metric_of_its_kind(reports: list[str], metric: str, said: str) -> None:
    found, line = opening._settled("", reports)
    assert found == metric and said in line and bool(line) == bool(said)


def test_a_metric_that_is_computed_is_refused_where_it_means_nothing() -> None:
    y, names = np.array([0, 1, 1]), ["loss", "val_loss", "val_accuracy"]
    with pytest.raises(DataError, match="val_top5_accuracy is 1 for every candidate where there are 2 classes"):
        reported_metrics.check_computed("val_top5_accuracy", names, y, ("a", "b"))
    for told in ([*names, "val_top5_accuracy"], [*names, RETURNED], []):
        reported_metrics.check_computed("val_top5_accuracy", told, y, ("a", "b"))


class TwoOptimizers(keras.Sequential):  # type: ignore[misc]
    """A model with an optimizer of its own besides the compiled one."""

    def __init__(self) -> None:
        super().__init__([keras.Input((4,)), keras.layers.Dense(2)])
        self.second = keras.optimizers.SGD()


def test_a_training_is_resumed_only_if_its_checkpoint_has_all_of_its_state() -> None:
    layers = [keras.Input((4,)), keras.layers.Dense(2)]
    for model, resumable in ((keras.Sequential(layers), True), (TwoOptimizers(), False)):
        assert not checkpoint.can_be_resumed(model)
        model.compile("adam", "mse")
        assert checkpoint.can_be_resumed(model) is resumable


def reporter(metric: str, model: Any = None) -> EpochReporter:
    """A reporter of `metric` of a small model whose training goes on."""
    core = model or small()
    made = EpochReporter(core, metric, lambda epoch, metrics: True)
    made.set_model(core)
    return made


def small() -> Any:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def test_a_metric_with_a_number_for_each_class_is_left_out() -> None:
    made = reporter("val_accuracy")
    made.on_epoch_end(0, {"loss": 1.0, "val_accuracy": 0.5, "f1_score": np.zeros(10)})
    assert made.result.score == 0.5 and set(made.result.history[0]) >= {"loss", "val_accuracy"}
    assert "f1_score" not in made.result.history[0]
    history = keras.callbacks.History()
    history.history = {"loss": [2.0, 1.0], "val_f1_score": [np.zeros(3), np.ones(3)], "val_accuracy": [0.5, 0.75]}
    assert fit_results.epochs(history, RETURNED) == fit_results.epochs(HISTORY, RETURNED)


def test_the_best_epoch_is_counted_over_all_calls_of_fit() -> None:
    made = reporter("val_accuracy")
    for epoch, value in ((0, 0.1), (1, 0.2), (0, 0.3), (1, 0.4), (2, 0.35)):
        made.on_epoch_end(epoch, {"val_accuracy": value, "loss": 1.0})
    assert made.result.best_epoch == 4 and len(made.result.history) == 5


def test_metrics_that_their_author_numbered_keep_their_names() -> None:
    recalls = [keras.metrics.Recall(class_id=number, name=f"recall_{number}") for number in (1, 2)]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile("adam", "categorical_crossentropy", metrics=recalls)
    made = reporter("val_recall_1", model)
    made.on_epoch_end(0, {"val_recall_1": 0.1, "val_recall_2": 0.9, "loss": 1.0})
    assert made.result.score == 0.1
    some = training_data.TrainingData(np.zeros((4, 4)), np.eye(3)[[0, 1, 2, 0]], np.zeros((4, 4)), np.eye(3)[:1], 2)
    some = some._replace(y_val=np.eye(3)[[0, 1, 2, 0]])
    assert {"val_recall_1", "val_recall_2"} <= set(reported_metrics._evaluated(model, some, "val_recall_1"))
    made = reporter("val_recall_2", model)
    made.take_returned([{"val_recall_1": 0.1, "val_recall_2": 0.9, "val_auc_7": 0.5}], 1)
    assert made.result.score == 0.9 and made.result.history[0]["val_auc"] == 0.5
    made = reporter("val_accuracy", model)
    made.on_epoch_end(0, {"val_accuracy": 0.1, "auc_7": 0.5, "val_auc_7": 0.6})
    assert {"auc", "val_auc"} <= set(made.result.history[0])


def test_early_stopping_that_is_resumed_still_needs_its_least_change() -> None:
    """Keras changes the sign of `min_delta` when a new callback first sees a metric that is better if smaller."""
    model = small()

    def stopper() -> Any:
        made = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.5)
        made.set_model(model)
        made.on_train_begin()
        return made

    first, again = stopper(), stopper()
    first.on_epoch_end(0, {"val_loss": 1.0})
    checkpoint.CallbackRestorer([again], [checkpoint._plain_state(first)]).on_train_begin()
    again.on_epoch_end(1, {"val_loss": 1.2})
    assert again.wait == 1 and again.best == 1.0


def test_a_training_that_early_stopping_has_ended_is_not_stopped_by_its_report() -> None:
    made = EpochReporter(small(), "a", lambda *given: False)
    made.set_model(small())
    made.on_epoch_end(0, {"a": 1.0, "loss": 1.0})
    assert made.result.stopped and not made.result.ended
    # a loop of the author's own that does not look at `stop_training`
    made.on_epoch_end(1, {"a": 1.0, "loss": 1.0})
    assert made.result.stopped and not made.result.ended
    made.model.stop_training = True
    made.result = TrainingResult()
    made.on_epoch_end(1, {"a": 1.0, "loss": 1.0})
    assert made.result.ended and not made.result.stopped


def test_trials_whose_own_fit_draws_more_are_no_duplicates() -> None:
    class Drawn:
        """What `propose` uses of a worker."""

        config = SimpleNamespace(epochs=3)

        def __init__(self, model: Any) -> None:
            self.model = model

        def draw(self, hp: HyperParameters) -> Any:
            return from_hypermodel(self.model, hp, 32, SHAPE, 10)

    def ten(hp: HyperParameters) -> Any:
        model = mine(hp)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    def key(model: Any) -> str:
        context: Any = Drawn(model)
        return propose(context, HyperParameters(defaults), limited=False, plain=True).key

    assert key(ReturnsNumber()) == ""
    assert key(ten) == key(ten) != ""


def test_numbers_of_names_are_those_of_a_first_model() -> None:
    known = numbered_metrics.numbered(None)
    told = {"val_auc_7": 1.0, "auc_7": 2.0, "val_auc_8": 3.0, "top_5": 4.0, "loss": 5.0}
    assert numbered_metrics.plain(told, known) == {"val_auc": 1, "auc": 2, "val_auc_1": 3, "top_5": 4, "loss": 5}


class Breaks(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        raise ValueError("the real cause")


def test_the_reason_of_a_failure_is_the_sentence_that_helps() -> None:
    with pytest.raises(ValueError) as caught:
        keras.Sequential([Breaks()])(np.zeros((1, 2)))
    assert str(caught.value).startswith("Exception encountered") and reason(caught.value).startswith("the real cause")
    graph = (
        "Graph execution error:\n\nDetected at node Equal defined at (most recent call last):\n"
        '  File "<stdin>", line 1, in <module>\n\n  File "/a/trainer.py", line 2, in fit\n\n'
        "Received a label value of 9 which is outside the valid range of [0, 4).\n"
        "\t [[{{node Equal}}]] [Op:__inference_2]"
    )
    assert reason(RuntimeError(graph)) == "Received a label value of 9 which is outside the valid range of [0, 4)."
