"""`Tuner`, whose trials run in cnnsearch's workers and are stored in a study."""

import inspect
from typing import Any

import keras_tuner

from cnnsearch.keras_tuner import oracles, stored_trials, studies, training
from cnnsearch.training import model_io

ONE_TRIAL = ": each worker process trains one trial on its own. `jobs` says how many there are"
"""Why some arguments have no meaning."""

STATE = ("get_state", "set_state")
"""Methods with which KerasTuner's tuners keep a state of their own."""


class Tuner(keras_tuner.Tuner):  # type: ignore[misc]
    """KerasTuner's `Tuner` with its arguments. `search` trains in worker processes.

    Args:
        oracle: one of `oracles`, or its name: "random", "bayesian", "hyperband" or "grid".
        hypermodel: a HyperModel, or a function `build(hp)`; None if `run_trial` is overridden.
        max_model_size: do not train models with more weights.
        optimizer: compile each model with this optimizer; `loss` and `metrics` likewise.
        distribution_strategy: not used: each worker trains one trial on its own. `logger` and `tuner_id` likewise.
        directory: the folder of all studies; None: runs.
        project_name: the study's name.
        overwrite: delete the study of this name first.
        executions_per_trial: how many times each trial is trained. The mean counts.
        options: more arguments of the oracle if it is a name, and keywords of `cnnsearch.search`, such as `jobs`,
            `pruner`, `keep`, `confirm` and `timeout`.

    Raises:
        ValueError: if an argument is wrong or not known.
    """

    def __init__(
        self,
        oracle: Any,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: Any = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        **options: Any,
    ) -> None:
        if hypermodel is None and type(self).run_trial is Tuner.run_trial:
            raise ValueError(
                "Received `hypermodel=None`. We only allow not specifying `hypermodel` if the user defines the search "
                "space in `Tuner.run_trial()` by subclassing a `Tuner` class without using a `HyperModel` instance."
            )
        oracles.refuse_overridden(type(self), Tuner, STATE, "The study keeps the trials; write files in run_trial.")
        unused = {"logger": logger, "tuner_id": tuner_id, "distribution_strategy": distribution_strategy}
        oracles.warn_unused([name for name, value in unused.items() if value is not None], reason=ONE_TRIAL)
        names = set(inspect.signature(keras_tuner.Oracle.__init__).parameters).union(oracles.MORE)
        of_oracle = {name: options.pop(name) for name in list(options) if name in names and isinstance(oracle, str)}
        self.options = studies.checked_options(options)
        self.oracle = oracles.oracle_of(oracle, of_oracle)
        self.oracle.tuner = self
        self.hypermodel = _hypermodel(hypermodel)
        self.directory = directory or "runs"
        self.project_name = project_name or "untitled_project"
        self.max_model_size, self.executions_per_trial = max_model_size, executions_per_trial
        self.optimizer, self.loss, self.metrics = optimizer, loss, metrics
        self.distribution_strategy, self.logger, self.tuner_id = None, None, "tuner0"
        self._worker: Any = None
        self._explored = False
        if overwrite:
            studies.delete(self)

    # -- in the script's process ------------------------------------------------------------------

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Train the missing trials of the study in worker processes. The arguments go to `run_trial` there.

        Args:
            fit_args: what Keras' `fit` takes, such as arrays or a dataset, of any shape.
            fit_kwargs: keywords of Keras' `fit`. With `verbose=0` no progress is shown.

        Raises:
            CnnsearchError: for a mistake that the user can correct; the message is one line.
            RuntimeError: if too many trials in a row failed.
            KeyboardInterrupt: if the search was stopped. The same script resumes it.
        """
        self.on_search_begin()
        studies.search(self, fit_args, fit_kwargs)
        self.on_search_end()

    @property
    def study(self) -> Any:
        """The study as a `cnnsearch.Result`.

        Raises:
            StudyError: if there is none yet.
        """
        return studies.result(self)

    @property
    def project_dir(self) -> str:
        """The study's folder."""
        folder = studies.folder(self)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _trials(self) -> dict[str, Any]:
        return stored_trials.trials(self)

    def _explore(self) -> None:
        """Build the hypermodel until all its hyperparameters are known. Nothing is trained."""
        if not self._explored:
            self._explored = True
            # the oracle asks for its space while it explores
            self._populate_initial_space()

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """The trained models of the best trials, the best one first.

        Args:
            num_models: how many.

        Raises:
            StudyError: if the model of one of them is no longer on disk.
        """
        return [self.load_model(trial) for trial in self.oracle.get_best_trials(num_models)]

    def load_model(self, trial: Any) -> Any:
        """The trained model of a trial: the hypermodel's, with the weights of its best epoch.

        Raises:
            StudyError: if it is no longer on disk.
        """
        model, path = self._try_build(trial.hyperparameters), stored_trials.checkpoint(self, trial)
        if not model.built:
            model.build_from_config(stored_trials.build_config(self, trial))
        model_io.fill(model, path)
        return model

    def save(self) -> None:
        """Nothing: the study is stored after each trial."""

    def reload(self) -> None:
        """Nothing: the trials are read from the study each time."""

    # -- in a worker ------------------------------------------------------------------------------

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Build and train one trial, `executions_per_trial` times. It is called in a worker."""
        original = kwargs.pop("callbacks", None) or []
        results = []
        for execution in range(self.executions_per_trial):
            callbacks = self._deepcopy_callbacks(original)
            self._configure_tensorboard_dir(callbacks, trial, execution)
            callbacks.append(training.TunerCallback(self, trial))
            results.append(self._build_and_fit_model(trial, *args, **kwargs, callbacks=callbacks))
            if self._worker is not None and self._worker.ended:
                break
        return results

    def _build_and_fit_model(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        model = self._try_build(trial.hyperparameters)
        if self._worker is None:
            return self.hypermodel.fit(trial.hyperparameters, model, *args, **kwargs)
        return self._worker.fit(model, args, kwargs)

    def _configure_tensorboard_dir(self, callbacks: list[Any], trial: Any, execution: int = 0) -> None:
        """Give each TensorBoard callback a folder for this trial."""
        for callback in callbacks:
            if type(callback).__name__ == "TensorBoard":
                callback.log_dir = self._get_tensorboard_dir(callback.log_dir, trial.trial_id, execution)

    def on_trial_end(self, trial: Any) -> None:
        """Called in the worker when a trial has ended."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_worker": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.oracle.tuner = self


class DefaultHyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """The HyperModel of a function `build(hp)`."""

    def __init__(self, function: Any) -> None:
        self.function = function
        super().__init__()

    def build(self, hp: Any) -> Any:
        """The function's model."""
        return self.function(hp)


def _hypermodel(given: Any) -> Any:
    """A HyperModel as it is; a function as the HyperModel of it.

    Raises:
        FatalValueError: if it is neither.
    """
    if given is None or isinstance(given, keras_tuner.HyperModel):
        return given
    if not callable(given):
        raise keras_tuner.errors.FatalValueError(
            "The `hypermodel` argument should be either a callable with signature `build(hp)` returning a model, or an "
            "instance of `HyperModel`."
        )
    return DefaultHyperModel(given)
