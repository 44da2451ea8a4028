"""`BaseTuner`: a tuner of models of any kind."""

from typing import Any

from cnnsearch.keras_tuner.engine.tuner import Tuner


class BaseTuner(Tuner):
    """KerasTuner's `BaseTuner`. A subclass has a `run_trial`; models of any kind come from `hypermodel`.

    Args:
        oracle: one of `oracles`, or its name.
        hypermodel: a HyperModel, or a function `build(hp)`, of any kind of model.
        directory: the folder of all studies; None: runs.
        project_name: the study's name.
        overwrite: delete the study of this name first.
        options: arguments of `Tuner`.
    """

    def __init__(
        self,
        oracle: Any,
        hypermodel: Any = None,
        directory: Any = None,
        project_name: str | None = None,
        overwrite: bool = False,
        **options: Any,
    ) -> None:
        place = {"directory": directory, "project_name": project_name, "overwrite": overwrite}
        super().__init__(oracle, hypermodel, **place, **options)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Train one trial; returns its metrics. It is called in a worker.

        Raises:
            NotImplementedError: if a subclass does not override it.
        """
        raise NotImplementedError("a subclass of BaseTuner needs a run_trial of its own")

    def load_model(self, trial: Any) -> Any:
        """The model of a trial, for `get_best_models`.

        Raises:
            NotImplementedError: if a subclass does not override it.
        """
        raise NotImplementedError("a subclass of BaseTuner needs a load_model of its own")

    def _try_build(self, hp: Any) -> Any:
        return self.hypermodel.build(hp)
