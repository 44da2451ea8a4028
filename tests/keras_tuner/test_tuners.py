"""The parts of KerasTuner's tuners here: names, oracles, hyperparameters, results, and how data travel."""

import inspect
import pickle
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.src.engine import tuner_utils

import cnnsearch.keras_tuner as ours
from cnnsearch.core.errors import CnnsearchError, StudyError, TrialFailure
from cnnsearch.keras_tuner import engine, results, studies, tf_data, training
from cnnsearch.keras_tuner.engine.hyperparameters import HyperParameters
from cnnsearch.keras_tuner.hyperparameters import DrawnHyperParameters
from cnnsearch.spaces.data_files import DataFiles, within
from cnnsearch.spaces.hyperparameters import defaults
from cnnsearch.study import listing
from cnnsearch.training.checkpoint import Checkpoint
from tests.made_studies import made
from tests.own_trials import own_trial


def build(hp: Any) -> Any:
    model = keras.Sequential([keras.layers.Dense(hp.Int("units", 1, 3))])
    model.compile("sgd", "mse")
    return model


def test_other_names_are_keras_tuners_own() -> None:
    assert ours.HyperModel is keras_tuner.HyperModel and ours.Objective is keras_tuner.Objective
    assert ours.errors is keras_tuner.errors and ours.applications.HyperResNet is keras_tuner.applications.HyperResNet
    assert issubclass(ours.tuners.RandomSearch, keras_tuner.Tuner) and "Hyperband" in dir(ours)
    with pytest.raises(AttributeError, match="has no SklearnTuner"):
        ours.SklearnTuner  # noqa: B018
    assert not hasattr(ours, "Unheard")
    assert engine.tuner.Tuner is ours.tuners.Tuner is ours.Tuner and engine.trial is keras_tuner.engine.trial
    assert HyperParameters is keras_tuner.HyperParameters and issubclass(engine.base_tuner.BaseTuner, ours.Tuner)
    assert ours.tuners.randomsearch.RandomSearchOracle is ours.oracles.RandomSearchOracle


@pytest.mark.parametrize(("epochs", "factor"), [(1, 3), (3, 3), (10, 3), (50, 3), (100, 4), (16, 2)])
def test_hyperband_has_as_many_configurations_as_keras_tuners(epochs: int, factor: int) -> None:
    theirs = keras_tuner.oracles.HyperbandOracle("val_loss", max_epochs=epochs, factor=factor)
    expected = sum(theirs._get_size(bracket, 0) for bracket in range(theirs._get_num_brackets()))
    tuner = ours.Hyperband(build, "val_loss", max_epochs=epochs, factor=factor)
    assert tuner.oracle.max_trials == expected
    assert tuner.oracle.search_options(resumable=True)["scheduler"] == "halving"
    assert tuner.oracle.search_options(resumable=False)["pruner"] == "hyperband"


def test_an_oracle_may_be_named_or_keras_tuners() -> None:
    named = ours.Tuner("bayesian", build, objective="val_loss", max_trials=7, seed=3)
    assert (named.oracle.sampler, named.oracle.max_trials, named.oracle.seed) == ("tpe", 7, 3)
    theirs = keras_tuner.oracles.GridSearchOracle(objective="val_loss", max_trials=4)
    assert ours.Tuner(theirs, build).oracle.search_options(True) == {"sampler": "grid", "trials": 4}
    for oracle in (ours.oracles.RandomSearch("val_loss", 2), ours.oracles.Hyperband("val_loss", 3)):
        assert ours.Tuner(oracle, build).oracle is oracle
    with pytest.raises(ValueError, match="Expected `oracle` argument"):
        ours.Tuner("best", build)
    twice = ours.Tuner("hyperband", build, objective="val_loss", max_epochs=9, hyperband_iterations=2)
    assert twice.oracle.hyperband_iterations == 2
    with pytest.raises(ValueError, match=r"Unrecognized arguments \['max_trials'\] for the oracle 'hyperband'"):
        ours.Tuner("hyperband", build, objective="val_loss", max_trials=5)


def test_a_script_with_an_oracle_of_keras_tuners_without_a_seed_goes_on_with_the_studys(tmp_path: Path) -> None:
    for count in (1, 2):
        oracle = keras_tuner.oracles.RandomSearchOracle("val_loss", count)
        tuner = ours.Tuner(oracle, build, directory=str(tmp_path), project_name="same")
        x = np.zeros((20, 2), "float32")
        tuner.search(x, x[:, :1], validation_data=(x, x[:, :1]), epochs=1, verbose=0)
        assert len(tuner.oracle.trials) == count


def test_the_study_of_a_running_search_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"directory": str(tmp_path), "project_name": "made"}
    ours.RandomSearch(build, "val_loss", overwrite=True, **given)
    runs = made(tmp_path, []).folder.parent
    owner = {"host": "another machine", "pid": 1, "at": time.time()}
    listing.load("made", runs).remember_fact("owner", owner)
    (runs / "made" / "trial_0").mkdir()
    with pytest.raises(StudyError, match="in use by another run"):
        ours.RandomSearch(build, "val_loss", overwrite=True, directory=str(runs), project_name="made")
    assert (runs / "made" / "trial_0").is_dir()


@pytest.mark.parametrize("name", ["RandomSearch", "BayesianOptimization", "GridSearch", "Hyperband"])
def test_a_tuner_has_keras_tuners_arguments_in_their_order_and_its_oracle_gets_them(name: str) -> None:
    theirs = [each for each in inspect.signature(getattr(keras_tuner, name)).parameters if each != "kwargs"]
    assert [each for each in inspect.signature(getattr(ours, name)).parameters if each != "options"] == theirs
    given = {"seed": 7, "tune_new_entries": False, "max_retries_per_trial": 2, "max_consecutive_failed_trials": 4}
    oracle = getattr(ours, name)(build, "val_loss", **given, hyperparameters=keras_tuner.HyperParameters()).oracle
    assert {each: getattr(oracle, each) for each in given} == given


def test_what_has_no_meaning_is_one_warning_and_what_is_wrong_an_error() -> None:
    with pytest.warns(UserWarning, match="alpha, beta have no meaning in cnnsearch") as found:
        ours.BayesianOptimization(build, "val_loss", alpha=1.0, beta=1.0)
    assert len(found) == 1 and found[0].filename == __file__
    with pytest.warns(UserWarning, match="distribution_strategy has no meaning"):
        ours.RandomSearch(build, "val_loss", distribution_strategy=object())
    with pytest.raises(ValueError, match="Did you mean 'jobs'"):
        ours.RandomSearch(build, "val_loss", job=2)
    with pytest.raises(ValueError, match="Could not infer optimization direction"):
        ours.RandomSearch(build, "val_thing")
    with pytest.raises(ValueError, match="hypermodel=None"):
        ours.RandomSearch(objective="val_loss")
    with pytest.raises(ValueError, match="hyperband_iterations is 0"):
        ours.Hyperband(build, "val_loss", hyperband_iterations=0)


def test_what_the_search_does_not_call_is_no_silent_override() -> None:
    class OwnOracle(ours.oracles.RandomSearchOracle):  # type: ignore[misc, name-defined]
        def populate_space(self, trial_id: str) -> Any:
            return {}

    class OwnTuner(ours.RandomSearch):  # type: ignore[misc, name-defined]
        def get_state(self) -> Any:
            return {}

    with pytest.raises(ValueError, match="OwnOracle overrides populate_space, which cnnsearch does not call"):
        ours.Tuner(OwnOracle("val_loss"), build)
    with pytest.raises(ValueError, match="OwnTuner overrides get_state"):
        OwnTuner(build, "val_loss")
    oracle = ours.RandomSearch(build, "val_loss").oracle
    with pytest.raises(AttributeError, match="cannot be set"):
        oracle.trials = {"0": object()}
    oracle.running = object()
    with pytest.raises(RuntimeError, match="its own trial only"):
        oracle.get_best_trials()
    theirs = keras_tuner.oracles.BayesianOptimizationOracle("val_loss", num_initial_points=5)
    with pytest.warns(UserWarning, match="num_initial_points has no meaning"):
        ours.Tuner(theirs, build)


def drawn(oracle: Any, draw: Any = defaults) -> DrawnHyperParameters:
    return DrawnHyperParameters(draw, oracle)


def test_hyperparameters_are_drawn_once_and_only_where_they_are_active() -> None:
    asked: list[str] = []

    def last(name: str, distribution: Any) -> Any:
        asked.append(name)
        return distribution.choices[-1] if distribution.kind == "choice" else distribution.high

    hp = drawn(ours.oracles.RandomSearch("val_loss"), last)
    assert hp.Choice("kind", ["mlp", "cnn"]) == "cnn" and hp.Boolean("flag") is True
    with hp.conditional_scope("kind", ["mlp"]):
        assert hp.Int("width", 1, 4) is None
    with hp.conditional_scope("kind", ["cnn"]):
        assert hp.Float("rate", 0.0, 0.5) == 0.5
    assert hp.Int("size", 2, 32, step=2, sampling="log") == 32 and type(hp.get("size")) is int
    assert hp.Choice("kind", ["mlp", "cnn"]) == "cnn" and hp.Fixed("depth", 3) == 3
    assert asked == ["kind", "flag", "rate", "size", "depth"]
    copied = keras_tuner.HyperParameters.from_config(hp.get_config())
    assert copied.values == hp.values and type(hp.copy()) is keras_tuner.HyperParameters


def test_one_name_may_have_other_choices_in_another_scope() -> None:
    asked: dict[str, Any] = {}

    def last(name: str, distribution: Any) -> Any:
        asked[name] = distribution.choices
        return distribution.choices[-1]

    hp = drawn(ours.oracles.RandomSearch("val_loss"), last)
    with hp.conditional_scope("kind", [hp.Choice("kind", ["mlp", "cnn"])]):
        assert hp.Choice("rate", [0.3, 0.5]) == 0.5 and hp.Boolean("flag", default=True) is False
    assert asked == {"kind": ("mlp", "cnn"), "rate [kind=cnn]": (0.3, 0.5), "flag": (True, False)}
    assert hp.get("rate") == 0.5 and hp.values == {"kind": "cnn", "rate": 0.5, "flag": False}


def test_given_hyperparameters_come_first() -> None:
    given = keras_tuner.HyperParameters()
    given.Fixed("rate", 0.1)
    hp = drawn(ours.oracles.RandomSearch("val_loss", hyperparameters=given, tune_new_entries=False))
    assert hp.Float("rate", 0.5, 1.0) == 0.1 and hp.Int("other", 3, 9, default=5) == 5
    closed = drawn(ours.oracles.RandomSearch("val_loss", hyperparameters=given, allow_new_entries=False))
    assert closed.Float("rate", 0.5, 1.0) == 0.1
    with pytest.raises(RuntimeError, match="found new entries"):
        closed.Int("other", 3, 9)


def test_a_grid_has_the_values_of_keras_tuners() -> None:
    asked: dict[str, Any] = {}

    def first(name: str, distribution: Any) -> Any:
        asked[name] = distribution.choices
        return distribution.choices[0]

    hp = drawn(ours.oracles.GridSearch("val_loss"), first)
    hp.Float("rate", 0.0, 1.0, default=0.33)
    hp.Int("units", 8, 32, step=8)
    hp.Int("powers", 2, 16, step=2, sampling="log")
    assert asked["units"] == (8, 16, 24, 32) and asked["powers"] == (2, 4, 8, 16) and len(asked["rate"]) == 11


def history(**values: list[float]) -> Any:
    made = keras.callbacks.History()
    made.history = values
    return made


@pytest.mark.parametrize(
    "returned",
    [
        3.0,
        np.float32(2.0),
        {"val_loss": 1.0, "other": 2.0},
        history(val_loss=[3.0, 1.0, 2.0], loss=[1.0, 2.0, 3.0]),
        [history(val_loss=[3.0, 1.0], loss=[1.0, 2.0]), history(val_loss=[5.0, 7.0], loss=[3.0, 4.0])],
    ],
    ids=["number", "numpy", "dict", "history", "list"],
)
def test_results_count_as_in_keras_tuner(returned: Any) -> None:
    objective = keras_tuner.Objective("val_loss", "min")
    assert dict(results.metrics_of(returned, objective)) == tuner_utils.convert_to_metrics_dict(returned, objective)
    assert results.best_step(returned, objective) == tuner_utils.get_best_step(returned, objective)


class FitsItself(keras.Sequential):  # type: ignore[misc]
    """A model with a `fit` of its own."""

    def fit(self, *args: Any, **kwargs: Any) -> Any: ...


@pytest.mark.parametrize(("kind", "resumable"), [(keras.Sequential, True), (FitsItself, False)])
def test_a_model_with_a_fit_of_its_own_is_not_resumed(kind: Any, resumable: bool, tmp_path: Path) -> None:
    class Returns(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            model = kind([keras.Input((1,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return 3.0

    _, trial, _ = trained(ours.RandomSearch(Returns(), LOSS, directory=tmp_path), tmp_path, resumable=True)
    assert trial.resumable is resumable


def test_positional_arguments_have_the_names_of_the_function_that_gets_them() -> None:
    class Trains(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any: ...

        def fit(self, hp: Any, model: Any, x: Any, y: Any, validation_data: Any, **kwargs: Any) -> Any: ...

    class Runs(ours.RandomSearch):  # type: ignore[misc]
        def run_trial(self, trial: Any, x: Any, y: Any, held_out: Any, callbacks: Any = None) -> Any: ...

    given = ("x", "y", (1, 2), 64, 5)
    keras_own, trains, runs = (
        studies._by_name(tuner, given, {"verbose": 0})
        for tuner in (ours.RandomSearch(build, "loss"), ours.RandomSearch(Trains(), "loss"), Runs(build, "loss"))
    )
    assert list(keras_own) == ["x", "y", "batch_size", "epochs", "4", "verbose"]
    assert list(trains) == ["x", "y", "validation_data", "3", "4", "verbose"]
    assert list(runs) == ["x", "y", "held_out", "callbacks", "4", "verbose"]
    assert studies._batch_size(trains) == 32 and studies._batch_size({"batch_size": 8}) == 8
    assert studies._batch_size({"batch_size": (1, 2)}) == 32


def test_an_objective_that_no_model_reports_names_those_that_are() -> None:
    objective = keras_tuner.Objective("val_accuracy", "max")
    with pytest.raises(TrialFailure, match="there is no metric 'val_accuracy'; the model reports loss, val_loss"):
        results.metrics_of(history(loss=[1.0], val_loss=[2.0]), objective)


LOSS = keras_tuner.Objective("loss", "min")


def trained(tuner: Any, folder: Path, resumable: bool = False) -> tuple[Any, Any, list[Any]]:
    """The outcome of a tuner's trial, the trial, and what it sent, without the other process."""
    trial, sent = own_trial(metric="loss")
    own = training.TunerTraining(tuner, pickle.dumps(((), {})), folder, resumable=resumable)
    return own.train(trial), trial, sent


@pytest.mark.parametrize("returned", [np.float64(3.0), np.array([3.0])[0], {"loss": 3.0}, [3.0, 3.0]])
def test_a_fit_may_return_what_keras_tuner_allows_without_a_built_model(returned: Any, tmp_path: Path) -> None:
    class Own(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            return keras.Sequential([keras.layers.Dense(hp.Int("units", 2, 3))])

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            for callback in kwargs["callbacks"]:
                callback.set_model(model)
                callback.on_epoch_end(0, {"loss": 5.0})
            return returned

    outcome, trial, told = trained(ours.RandomSearch(Own(), LOSS, directory=tmp_path), tmp_path)
    assert (outcome.score, outcome.params, outcome.save, outcome.pruned) == (3.0, 0, None, False)
    assert trial.history == [{"loss": 5.0}] and told[-1].value["values"] == {"units": 2}


def test_a_retry_reports_its_epochs(tmp_path: Path) -> None:
    class FailsOnce(keras_tuner.HyperModel):  # type: ignore[misc]
        attempts = 0

        def build(self, hp: Any) -> Any:
            return build(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            self.attempts += 1
            if self.attempts == 1:
                raise OSError("the disk was busy")
            return model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=kwargs["callbacks"])

    tuner = ours.RandomSearch(FailsOnce(), LOSS, directory=tmp_path, max_retries_per_trial=1)
    outcome, trial, _ = trained(tuner, tmp_path)
    assert tuner.hypermodel.attempts == 2 and len(trial.history) == 2
    assert outcome.score == min(each["loss"] for each in trial.history)


def test_a_checkpoint_of_another_model_changes_nothing() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    before = model.get_weights()
    other = [np.ones((1, 1)), np.ones(1)]
    for optimizer in ([], [np.zeros(()), np.array("no number")]):
        with pytest.raises(ValueError, match="saved training"):
            Checkpoint(1, {}, other, optimizer, []).restore(model)
        assert all(map(np.array_equal, model.get_weights(), before))


def test_a_run_trial_that_returns_and_reports_nothing_is_keras_tuners_error(tmp_path: Path) -> None:
    class Nothing(ours.Tuner):  # type: ignore[misc, name-defined]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            return []

    with pytest.raises(CnnsearchError, match=r"FatalTypeError: Expected the return value of Tuner.run_trial\(\)"):
        trained(Nothing("random", objective=LOSS, directory=tmp_path), tmp_path)


def sent(value: Any, folder: Path) -> Any:
    files = DataFiles(tf_data.reduced)
    content = files.dumps(value)
    files.write(folder)
    with within(folder):
        return pickle.loads(content)


def test_datasets_travel_with_what_they_do(tmp_path: Path) -> None:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((np.arange(10.0), np.arange(10))).map(lambda x, y: (x * 2, y))
    found = sent({"x": dataset.shuffle(10, seed=1).batch(4), "tensor": tf.constant([1.0, 2.0])}, tmp_path)
    assert sorted(x for batch in found["x"] for x in batch[0].numpy()) == list(np.arange(10.0) * 2)
    assert int(found["x"].cardinality()) == 3 and found["tensor"].numpy().tolist() == [1.0, 2.0]

    def elements() -> Any:
        yield from ((np.float32(number), number) for number in range(3))

    kinds = (tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32))
    read = tf.data.Dataset.from_generator(elements, output_signature=kinds).batch(2)
    assert [batch[1].numpy().tolist() for batch in sent(read, tmp_path)] == [[0, 1], [2]]
    with pytest.raises(CnnsearchError, match="repeats for ever"):
        sent(read.repeat(), tmp_path)


def test_a_tuner_finds_its_data_where_it_is_unpickled(tmp_path: Path) -> None:
    own = training.TunerTraining(ours.RandomSearch(build, "val_loss"), b"", Path("/elsewhere"), resumable=False)
    assert sent(own, tmp_path)._folder == tmp_path


def test_the_digest_of_data_is_that_of_their_content() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert tf_data.digest({"a": x, "b": [x, 1]}) == tf_data.digest({"a": x.copy(), "b": [x, 1]})
    assert tf_data.digest(x) != tf_data.digest(x.T) != tf_data.digest(x + 1)
    assert studies._images((np.zeros((50, 2)),), {"validation_split": 0.2}, 8) == 40
    assert studies._images(((n for n in range(3)),), {"steps_per_epoch": 5}, 8) == 40
    assert studies._images(({"a": np.zeros((50, 2))},), {}, 8) == 50 and studies._images((), {}, 8) == 0


def test_the_space_is_known_before_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def conditional(hp: Any) -> Any:
        kind = hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", ["b"]):
            if kind == "b":
                hp.Int("only_b", 1, 2)
        return build(hp)

    tuner = ours.RandomSearch(conditional, "val_loss", directory=tmp_path, project_name="space")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        tuner.search_space_summary()
    assert "only_b (Int)" in capsys.readouterr().out and tuner.oracle.trials == {} and tuner.remaining_trials == 10
    assert tuner.get_best_models() == [] and tuner.get_best_hyperparameters() == []
    tuner.reload()
    tuner.save()
