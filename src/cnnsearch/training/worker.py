"""The worker process: receives assignments from the parent, draws and trains candidates, and reports."""

import gc
import hashlib
import json
import os
import platform
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cnnsearch.core import messages, metrics
from cnnsearch.core.errors import CnnsearchError, DataError, PluginError, TrialFailure
from cnnsearch.core.host import rss
from cnnsearch.core.messages import Decision
from cnnsearch.data import image_cache, loading, pixel_values, shared_memory
from cnnsearch.data.dataset import Dataset
from cnnsearch.data.splits import Split
from cnnsearch.spaces import plugins, recipes
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.cost import Cost, cost
from cnnsearch.spaces.distributions import Distribution, Value
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.study.config import GPU_SHARE
from cnnsearch.training.connection import Connection, follow_parent, take_pipes
from cnnsearch.training.device import devices, hold_gpu, keep_compiled, set_precision
from cnnsearch.training.limits import Limits, check_memory
from cnnsearch.training.mlflow_model import log_mlflow_model


def main() -> None:
    """Serve the parent at the other end of stdin and stdout until it goes away."""
    connection = take_pipes()
    follow_parent(os.getppid())
    settings = connection.receive_settings()
    try:
        worker = Worker(connection, settings)
    except CnnsearchError as error:
        connection.send(messages.Fatal(message=error.message))
        return
    except Exception as error:
        traceback.print_exc()
        connection.send(messages.Fatal(message=f"a worker could not start: {type(error).__name__}: {error}"))
        return
    ready = worker.describe_machine()
    # what exists by now stays; to search it for garbage after each trial would take longer than to trace a small model
    gc.collect()
    gc.freeze()
    connection.send(ready)
    while True:
        assignment = connection.next_assignment()
        ASSIGNMENTS[type(assignment)](worker, assignment)


Assignment = TypeVar("Assignment", messages.RunTrial, messages.RepeatTrial)


class Wanted(NamedTuple):
    """A candidate before it is made: what tells it apart, what it costs, and how it is made."""

    key: str
    plan: str
    params: int
    macs: int
    epochs: int
    resumable: bool
    make: Callable[..., Any]


class Worker:
    """Space, data and Keras, loaded once; serves many trials."""

    def __init__(self, connection: Connection, settings: dict[str, Any]) -> None:
        self.connection, self.settings, self.limits = connection, settings, Limits(settings)
        self.catalog = plugins.load([Path(folder) for folder in settings["plugins"]])
        self.folder = Path(settings["folder"])
        self.space = spaces.Space.from_dict(settings["space"]).located(self.folder)
        # before Keras is imported, so that a wrong dataset is told within a second
        shared = settings["shared"]
        self.split, self.data = shared_memory.taken(Path(shared), self._load) if shared else self._load()
        self.shape, self.classes = tuple(self.data["input_shape"]), len(self.data["classes"])
        if not self.space.model:
            metrics.check_labels(settings["metric"], self.split.y_val, self.data["classes"])
        self.trial, self.decision = messages.NO_TRIAL, Decision.CONTINUE
        low, high = self.data["value_range"]
        self.start = spaces.start_plan(self.space, self.shape, self.classes, settings["epochs"], (low, high))
        hold_gpu()
        self._set_precision()
        keep_compiled(Path(settings["runs"]))
        model = self.space.model
        self.hypermodel = spaces.hypermodel(self.space, self.catalog, self.shape, self.classes) if model else None
        from cnnsearch.training.compiled.programs import Compiled

        self.compiled = Compiled()

    def _load(self) -> tuple[Split, dict[str, Any]]:
        """The dataset's parts, and what is recorded of it."""
        runs = Path(self.settings["runs"])

        def tell(done: int, total: int) -> None:
            self.connection.send(messages.Loading(done=done, total=total))

        with loading.within(surroundings(self.space, runs, tell)):
            data = load_dataset(self.catalog, spaces.Use(*self.settings["dataset"]).located(self.folder))
            # the parts are copies: the whole is not kept beside them
            parts = image_cache.parts(data, self.settings["seed"], self.space.defaults["validation"])
        return parts, described(data, parts)

    def describe_machine(self) -> messages.Ready:
        """What the parent records about data, backend and machine."""
        import keras

        from cnnsearch.training import compiled

        backend = keras.backend.backend()
        return messages.Ready(
            dataset=self.data,
            low_fidelity=backend not in compiled.BY_SHAPE,
            backend=backend,
            keras=keras.__version__,
            precision=keras.config.dtype_policy().name,
            lean=self.settings["lean"],
            devices=devices(),
            python=platform.python_version(),
        )

    def describe(self, assignment: messages.Describe) -> None:
        """Send the space's default point, and the complete points of the recipes and controlled trials."""
        hp = HyperParameters(defaults)
        try:
            default = self._draw(hp)
            values = dict(hp.values)
            metric = assignment.metric
            names = [] if metric is None else self._reported(default, hp, metric, assignment.own_fit)
            points = {name: recipes.whole(self.space, name, self._draw)[0] for name in assignment.recipes}
        except CnnsearchError as error:
            self.connection.send(messages.Fatal(message=error.message))
        except Exception as error:
            traceback.print_exc()
            self.connection.send(messages.Fatal(message=f"the default point of {self.space.name} fails: {error}"))
        else:
            twins = {origin: self._whole(values) for origin, values in assignment.twins.items()}
            self.connection.send(messages.Described(values=values, recipes=points, twins=twins, metrics=names))

    def use_metric(self, assignment: messages.UseMetric) -> None:
        """Use the metric that was found out after this worker had started."""
        self.settings["metric"] = assignment.metric

    def _reported(self, default: Any, hp: HyperParameters, asked: str, own_fit: bool) -> list[str]:
        """The names of the metrics of the default point's model; none where that cannot be found out.

        Raises:
            DataError: if the metric asked for is computed, and means nothing for the validation labels.
        """
        import keras

        if self.space.trainer is not None:
            # what it reports, only a whole training would tell
            return []
        from cnnsearch.training.reported_metrics import check_computed, reported

        keras.utils.set_random_seed(self.settings["seed"])
        try:
            names = reported(default, hp, self.split, self.classes, asked, own_fit)
        except Exception:
            # it will be told as the trial's own failure
            traceback.print_exc()
            return []
        finally:
            keras.backend.clear_session(free_memory=False)
            self._set_precision()
        check_computed(asked, names, self.split.y_val, self.data["classes"])
        return names

    def _whole(self, values: dict[str, Any]) -> dict[str, Any]:
        """The point with these values, what they leave open at its default."""
        hp = HyperParameters(replay(values))
        try:
            self._draw(hp)
        except TrialFailure:
            # it will be told as the trial's own failure
            return values
        return hp.values

    def run_trial(self, assignment: messages.RunTrial) -> None:
        """Draw, train and report one trial."""
        self._attempt(self._trial, assignment)

    def repeat_trial(self, assignment: messages.RepeatTrial) -> None:
        """Train the candidate of an earlier trial again, with another seed."""
        self._attempt(self._repeat, assignment)

    def _attempt(self, train: Callable[[Assignment, float], None], assignment: Assignment) -> None:
        """Train with the assignment's seed. An error is reported by its type."""
        import keras

        keras.utils.set_random_seed(assignment.seed)
        self.trial = assignment.trial
        started = time.perf_counter()
        try:
            train(assignment, started)
        except Exception as error:
            from cnnsearch.training.training import failure

            traceback.print_exc()
            if isinstance(error, CnnsearchError) and not isinstance(error, TrialFailure):
                self.connection.send(messages.Fatal(trial=self.trial, message=error.message))
                return
            typed, share = failure(error, "plugin_error"), os.environ.get(GPU_SHARE)
            hint = f"; it may take {float(share):.0%} of its GPU, fewer --jobs give it more" if share else ""
            reason = typed.message + (hint if typed.kind == "oom" else "")
            seconds = time.perf_counter() - started
            self.connection.send(
                messages.Failed(trial=self.trial, kind=typed.kind, reason=reason, seconds=seconds, rss=rss())
            )
        finally:
            self.trial = messages.NO_TRIAL
            keras.backend.clear_session(free_memory=False)
            # Keras forgets its policy with the session
            self._set_precision()
            gc.collect()

    def _set_precision(self) -> None:
        set_precision(self.settings["precision"], plans=not self.space.model)

    def log_model(self, assignment: messages.LogModel) -> None:
        """Log a model file as an MLflow model of a run."""
        try:
            log_mlflow_model(assignment, self.shape)
            problem = ""
        except Exception as error:
            traceback.print_exc()
            problem = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        self.connection.send(messages.Logged(problem=problem))

    def _trial(self, assignment: messages.RunTrial, started: float) -> None:
        from cnnsearch.training import model_io, training

        hp, trainer = HyperParameters(self._remote_draw), spaces.trainer(self.space, self.catalog)
        wanted = self._wanted(hp, assignment.limited, trainer is None)
        fields = wanted._asdict()
        del fields["make"]
        verdict = self.connection.ask(messages.Proposed(trial=self.trial, **fields), messages.Verdict)
        if not verdict.train:
            return
        metric = self.settings["metric"]
        if verdict.fidelity:
            outcome, candidate = self._look(wanted, verdict.fidelity, assignment.limited)
            facts = self._facts(outcome, candidate, started) | {"best_epoch": 0, "epochs": 0}
            self.connection.send(messages.Evaluated(**facts))
            return
        candidate = wanted.make()
        if assignment.limited:
            self.limits.check_latency(candidate.core, self.split.x_val[:1])
        data = training.fold(candidate, self.split, self.classes)
        self.decision = Decision.CONTINUE
        keep = self._keep(candidate, assignment, wanted.key) if wanted.resumable else None
        if keep and keep.saved and self.decision is not Decision.CONTINUE:
            stopped = self.decision is Decision.STOP
            outcome = training.Outcome(**keep.saved.facts, weights=keep.saved.weights, stopped=stopped)
        else:
            outcome = training.train(candidate, trainer, hp, data, wanted.epochs, metric, self._report, keep)
        facts = self._facts(outcome, candidate, started)
        if self.decision is Decision.PAUSE:
            self.connection.send(messages.Paused(**facts))
            return
        suffix = model_io.formats(candidate.core)[0]
        completed = messages.Completed(stopped=outcome.stopped, format=suffix, **facts)
        problem, unsaved = _saved(candidate.core, self.connection.ask(completed, messages.Keep).path)
        self.connection.send(messages.Saved(trial=self.trial, problem=problem, unsaved=unsaved))

    def _look(self, wanted: "Wanted", part: float, limited: bool) -> tuple[Any, Any]:
        """Train a plan for one pass over a part of the images, by a schedule scaled to that: outcome and candidate."""
        from cnnsearch.training import training

        some = training.part(self.split, part, self.settings["seed"])
        candidate = wanted.make(some)
        if limited:
            self.limits.check_latency(candidate.core, self.split.x_val[:1])
        data = training.fold(candidate, some, self.classes)
        metric = self.settings["metric"]
        return training.train(candidate, None, None, data, 1, metric, lambda epoch, metrics: True), candidate

    def _facts(self, outcome: Any, candidate: Any, started: float) -> dict[str, Any]:
        """What the parent is told about a trial that was trained."""
        return {
            "trial": self.trial,
            "score": outcome.score,
            "best_epoch": outcome.best_epoch,
            "epochs": len(outcome.history),
            "seconds": time.perf_counter() - started,
            "params": int(candidate.core.count_params()),
            "rss": rss(),
            "reads": "" if candidate.reads == "softmax" else candidate.reads,
        }

    def _repeat(self, assignment: messages.RepeatTrial, started: float) -> None:
        from cnnsearch.training import training

        hp, trainer = HyperParameters(replay(assignment.values)), spaces.trainer(self.space, self.catalog)
        if assignment.plan:
            plan = Plan.from_json(assignment.plan)
            candidate, epochs = self._made(plan, trainer is None, self.split), plan.epochs
        else:
            candidate = self._draw(hp)
            epochs = self.settings["epochs"]
        data = training.fold(candidate, self.split, self.classes)
        outcome = training.train(candidate, trainer, hp, data, epochs, self.settings["metric"], self._report)
        seconds = time.perf_counter() - started
        score, history = outcome.score, outcome.history
        self.connection.send(
            messages.Repeated(trial=self.trial, score=score, history=history, seconds=seconds, rss=rss())
        )

    def _wanted(self, hp: HyperParameters, limited: bool, plain: bool) -> "Wanted":
        """What is drawn, with its costs, before it is known whether it shall be trained; `plain`: by no trainer.

        What was asked for by name is not `limited`, but must fit into memory all the same.

        Raises:
            TrialFailure: `too_large` above a limit or the free memory, `invalid` if the image vanishes.
        """
        drawn = self._draw(hp)
        if isinstance(drawn, Plan):
            price: Cost = _typed("invalid", lambda: cost(drawn))
            if limited:
                self.limits.check_cost(price)
            check_memory(price, drawn.batch_size)

            def make(data: Split = self.split) -> Any:
                return _typed("invalid", lambda: self._made(drawn, plain, data))

            return Wanted(drawn.key, drawn.to_json(), price.params, price.macs, drawn.epochs, plain, make)
        params = int(drawn.model.count_params())
        if limited:
            self.limits.check_params(params)
        values = json.dumps(hp.values, sort_keys=True)
        key = hashlib.sha256(values.encode()).hexdigest()[:16]
        resumable = plain and drawn.fit is None
        return Wanted(key, "", params, 0, self.settings["epochs"], resumable, lambda *_: drawn)

    def _made(self, plan: Plan, plain: bool, data: Split) -> Any:
        """The candidate that `plan` describes, with a program of before where one fits; `plain`: for no trainer.

        Where `data` is less than all, a schedule is scaled to one pass over it.
        """
        from cnnsearch.training import training

        passes = 0 if data is self.split else 1
        made = training.from_plan(plan, len(data.x), self.settings["lean"] and plain, passes)
        # by its schedule the program of a look is no other's
        return made if passes and plan.schedule else self.compiled.taken_over(plan, made)

    def _keep(self, candidate: Any, assignment: messages.RunTrial, key: str) -> Any:
        """Where the training's state is saved. What an earlier run saved there is loaded and reported."""
        from cnnsearch.training import training

        path = Path(assignment.state)
        saved = training.resumed(candidate, path, key) if assignment.resume else None
        if saved is not None:
            resumed = messages.Resumed(trial=self.trial, history=saved.facts["history"])
            self.decision = self.connection.ask(resumed, messages.Go).decision
        return training.Keep(path, key, saved, lambda: self.decision is Decision.PAUSE)

    def _draw(self, hp: HyperParameters) -> Any:
        """A Plan, or for a hypermodel its compiled candidate."""
        if self.hypermodel is None:
            return _typed("plugin_error", lambda: spaces.draw(self.space, self.catalog, hp, self.start))
        from cnnsearch.training import training

        given = (self.hypermodel, hp, self.start.batch_size, self.shape, self.classes)
        return _typed("invalid", lambda: training.from_hypermodel(*given))

    def _remote_draw(self, name: str, distribution: Distribution) -> Value:
        question = messages.Draw(trial=self.trial, name=name, distribution=distribution.to_dict())
        value: Value = self.connection.ask(question, messages.Drawn).value
        return value

    def _report(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Report an epoch; whether the trial continues."""
        ended = messages.EpochEnded(trial=self.trial, epoch=epoch, metrics=metrics)
        self.decision = self.connection.ask(ended, messages.Go).decision
        return self.decision is Decision.CONTINUE


ASSIGNMENTS: dict[type[messages.Message], Callable[[Worker, Any], None]] = {
    messages.Describe: Worker.describe,
    messages.UseMetric: Worker.use_metric,
    messages.RunTrial: Worker.run_trial,
    messages.RepeatTrial: Worker.repeat_trial,
    messages.LogModel: Worker.log_model,
}
"""What the worker does for each type of assignment."""


def surroundings(space: spaces.Space, runs: Path, tell: Callable[[int, int], None] | None = None) -> loading.Loading:
    """What a dataset may know of a search of `space` in the folder `runs`."""
    found = loading.Loading(cache=runs / image_cache.FOLDER, size=space.picture_size, written=(runs.resolve(),))
    return found._replace(tell=tell) if tell else found


def load_dataset(known: plugins.Catalog, use: spaces.Use) -> Dataset:
    """The dataset that `use` names.

    Raises:
        DataError: if it cannot be read; its message is one line.
        PluginError: if the plugin returns something else.
    """
    function = known.get("dataset", use.name).function
    assert function is not None
    try:
        data = function(**{k: tuple(v) if isinstance(v, list) else v for k, v in use.options.items()})
    except CnnsearchError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f"dataset {use.name}: {error}") from error
    if not isinstance(data, Dataset):
        raise PluginError(f"dataset '{use.name}' returned {type(data).__name__}; expected a Dataset.")
    return data


def described(data: Dataset, parts: Split) -> dict[str, Any]:
    """What is recorded of a dataset."""
    labels = {"train": parts.y, "val": parts.y_val}
    images = {"train": len(parts.x), "val": len(parts.x_val), "test": len(parts.x_test)}
    return {
        "name": data.name,
        "fingerprint": image_cache.fingerprint(data),
        "input_shape": list(data.input_shape),
        "classes": list(data.classes),
        "images": images,
        # of each class; never of test
        "counts": {part: np.bincount(y, minlength=len(data.classes)).tolist() for part, y in labels.items()},
        "dtype": parts.x.dtype.name,
        "value_range": list(pixel_values.value_range(parts.x)),
        **(data.facts or {}),
        **({"notes": list(data.notes)} if data.notes else {}),
    }


def _saved(core: Any, path: str) -> tuple[str, str]:
    """Save a model to `path`, if there is one; gives back why that cannot be written, and why it cannot be saved."""
    from cnnsearch.core.errors import reason
    from cnnsearch.training import model_io

    try:
        if path:
            model_io.save(core, Path(path))
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}", ""
    except Exception as error:
        # the layers of an author's model may raise anything; its trial is done all the same
        traceback.print_exc()
        return "", f"{type(error).__name__}: {reason(error)}"
    return "", ""


def _typed(kind: str, make: Any) -> Any:
    """What `make` makes; an error in it becomes a failure of this kind. A broken contract passes through."""
    from cnnsearch.training import training

    try:
        return make()
    except (PluginError, DataError):
        raise
    except Exception as error:
        raise training.failure(error, kind) from error


if __name__ == "__main__":
    main()
