"""The worker process: receives assignments from the parent and carries them out."""

import gc
import os
import platform
import traceback
from collections.abc import Callable
from typing import Any

from cnnsearch.core import messages
from cnnsearch.core.errors import CnnsearchError, TrialFailure, error_line
from cnnsearch.core.host import backend_to_come
from cnnsearch.spaces import recipes
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.prior import replay_projected
from cnnsearch.training.connection import Connection, follow_parent, take_pipes
from cnnsearch.training.device import BY_SHAPE
from cnnsearch.training.mlflow_model import log_mlflow_model
from cnnsearch.training.trial_runner import TrialRunner
from cnnsearch.training.worker_context import WorkerConfig, WorkerContext


def main() -> None:
    """Serve the process that started this one, at the other end of stdin and stdout, until it closes the connection."""
    connection = take_pipes()
    follow_parent(os.getppid())
    serve(connection)


def serve(connection: Connection) -> None:
    """Serve the parent until it closes the connection."""
    settings = connection.receive_settings()
    try:
        worker = Worker(connection, WorkerConfig(**settings))
    except CnnsearchError as error:
        connection.send(messages.Fatal(message=error.message))
        return
    except Exception as error:
        traceback.print_exc()
        connection.send(messages.Fatal(message=f"a worker could not start: {type(error).__name__}: {error}"))
        return
    ready = worker.describe_machine()
    # the objects so far stay until the end; a search of them for garbage after each trial takes long
    gc.collect()
    gc.freeze()
    connection.send(ready)
    while True:
        assignment = connection.next_assignment()
        ASSIGNMENTS[type(assignment)](worker, assignment)


class Worker:
    """Carries out the assignments of the parent, one after another."""

    def __init__(self, connection: Connection, config: WorkerConfig) -> None:
        self._connection = connection
        self._context = WorkerContext(config, self._report_loading)

    def _report_loading(self, done: int, total: int) -> None:
        self._connection.send(messages.Loading(done=done, total=total))

    def describe_machine(self) -> messages.Ready:
        """What the parent records about data, backend and machine."""
        found = self._context.keras.facts()
        return messages.Ready(
            dataset=self._context.facts,
            low_fidelity=not self._context.space.trains_itself
            and (found["backend"] or backend_to_come()) not in BY_SHAPE,
            lean=self._context.config.compiled,
            python=platform.python_version(),
            **found,
        )

    def describe(self, assignment: messages.Describe) -> None:
        """Send the space's default point, and the complete points of recipes, controlled trials and a prior."""
        context, hp = self._context, HyperParameters(defaults)
        if context.space.trains_itself:
            # only a whole training shows its hyperparameters
            told: dict[str, Any] = {"controlled": assignment.controlled, "prior": assignment.prior}
            machine = context.keras.facts()
            self._connection.send(messages.Described(values={}, recipes={}, metrics=[], machine=machine, **told))
            return
        try:
            default = context.draw(hp)
            point = dict(hp.values)
            metric = assignment.metric
            names = [] if metric is None else self._reported_metrics(default, hp, metric, assignment.own_fit)
            points = {
                name: recipes.whole(context.space, name, context.draw, values)[0]
                for name, values in assignment.recipes.items()
            }
        except CnnsearchError as error:
            self._connection.send(messages.Fatal(message=error.message))
        except Exception as error:
            traceback.print_exc()
            self._connection.send(messages.Fatal(message=f"the default point of {context.space.name} fails: {error}"))
        else:
            controlled = {origin: self._complete(values) for origin, values in assignment.controlled.items()}
            prior = [self._nearest(values) for values in assignment.prior]
            machine = context.keras.facts()
            batch_size = default.batch_size if isinstance(default, Plan) else 0
            own: dict[str, Any] = {"metrics": names, "machine": machine, "batch_size": batch_size}
            queued: dict[str, Any] = {"recipes": points, "controlled": controlled, "prior": prior}
            self._connection.send(messages.Described(values=point, **queued, **own))

    def _reported_metrics(self, default: Any, hp: HyperParameters, asked: str, own_fit: bool) -> list[str]:
        """The names of the metrics of the default point's model; empty if they cannot be found out.

        Raises:
            DataError: if the metric asked for would be computed, and has no meaning for the validation labels.
        """
        context = self._context
        if context.space.trainer is not None:
            # only a whole training shows which metrics it reports
            return []
        from cnnsearch.training.reported_metrics import check_computed, reported

        context.keras.seed(context.config.seed)
        try:
            names = reported(default, hp, context.split, context.classes, asked, own_fit)
        except Exception:
            # the trial will fail with the same error and report it
            traceback.print_exc()
            return []
        finally:
            context.keras.clear()
        check_computed(asked, names, context.split.y_val, context.facts["classes"])
        return names

    def _complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """The point with these values, and defaults for all other hyperparameters."""
        hp = HyperParameters(replay(values))
        try:
            self._context.draw(hp)
        except TrialFailure:
            # the trial will fail with the same error and report it
            return values
        return hp.values

    def _nearest(self, values: dict[str, Any]) -> dict[str, Any]:
        """The point of this space that is nearest to a point of another space; empty if there is none."""
        hp = HyperParameters(replay_projected(values))
        try:
            self._context.draw(hp)
        except Exception:
            # two values that another space never had together
            return {}
        return hp.values

    def use_metric(self, assignment: messages.UseMetric) -> None:
        """Use the metric that was found out after this worker had started."""
        self._context.metric = assignment.metric

    def run_trial(self, assignment: messages.RunTrial) -> None:
        """Draw, train and report a trial."""
        self._with_seed(assignment, lambda runner: runner.run(assignment))

    def repeat_trial(self, assignment: messages.RepeatTrial) -> None:
        """Train the candidate of an earlier trial again, with another seed."""
        self._with_seed(assignment, lambda runner: runner.repeat(assignment))

    def _with_seed(
        self, assignment: messages.RunTrial | messages.RepeatTrial, train: Callable[[TrialRunner], None]
    ) -> None:
        """Call `train` with the assignment's precision and random seed, and free the memory of its models."""
        self._context.keras.use_precision(assignment.precision)
        self._context.keras.seed(assignment.seed)
        try:
            train(TrialRunner(self._context, self._connection, assignment.trial))
        finally:
            self._context.keras.clear()
            gc.collect()

    def log_model(self, assignment: messages.LogModel) -> None:
        """Log a model file as an MLflow model of a run."""
        try:
            log_mlflow_model(assignment, self._context.shape)
            problem = ""
        except Exception as error:
            traceback.print_exc()
            problem = error_line(error)
        self._connection.send(messages.Logged(problem=problem))


ASSIGNMENTS: dict[type[messages.Message], Callable[[Worker, Any], None]] = {
    messages.Describe: Worker.describe,
    messages.UseMetric: Worker.use_metric,
    messages.RunTrial: Worker.run_trial,
    messages.RepeatTrial: Worker.repeat_trial,
    messages.LogModel: Worker.log_model,
}
"""The method for each type of assignment."""


if __name__ == "__main__":
    main()
