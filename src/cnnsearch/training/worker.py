"""The child process: receives trials, draws, trains, reports; one line of JSON a message, in and out.

Parent to worker: the settings; orders such as `{"do": "trial", …}`, one for each method `do_…`; and an answer to each
question. Worker to parent: `loading`, `ready`, `draw`, `plan`, `looked`, `resumed`, `epoch`, `waiting`, `done`,
`finished`, `repeated`, `failed`, `fatal`, `described`, `logged`.
"""

import gc
import hashlib
import json
import os
import platform
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core import metrics
from cnnsearch.core.errors import CnnsearchError, DataError, PluginError, TrialFailure
from cnnsearch.core.host import rss
from cnnsearch.data import image_cache, loading, pixel_values, shared_memory
from cnnsearch.data.dataset import Dataset
from cnnsearch.data.splits import Split
from cnnsearch.spaces import plugins, recipes
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.cost import Cost, cost
from cnnsearch.spaces.hyperparameters import Distribution, HyperParameters, Value, defaults, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.study.config import GPU_SHARE
from cnnsearch.training.connection import Link, follow_parent, take_pipes
from cnnsearch.training.device import devices, hold_gpu, keep_compiled, set_precision
from cnnsearch.training.limits import Limits, check_memory
from cnnsearch.training.mlflow_model import log_mlflow_model


def main() -> None:
    """Serve the parent at the other end of stdin and stdout until it goes away."""
    link = take_pipes()
    follow_parent(os.getppid())
    settings = link.receive()
    try:
        worker = Worker(link, settings)
    except CnnsearchError as error:
        link.send("fatal", message=error.message)
        return
    except Exception as error:
        traceback.print_exc()
        link.send("fatal", message=f"a worker could not start: {type(error).__name__}: {error}")
        return
    ready = worker.describe_machine()
    # what is there by now stays; looking through it would take longer after each trial than tracing a small model
    gc.collect()
    gc.freeze()
    link.send("ready", **ready)
    while True:
        order = link.receive()
        if order["do"] == "end":
            return
        getattr(worker, f"do_{order['do']}")(order)


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

    def __init__(self, link: Link, settings: dict[str, Any]) -> None:
        self.link, self.settings, self.limits = link, settings, Limits(settings)
        self.catalog = plugins.load([Path(folder) for folder in settings["plugins"]])
        self.folder = Path(settings["folder"])
        self.space = spaces.Space.from_dict(settings["space"]).located(self.folder)
        # before Keras is imported, so that a wrong dataset is told within a second
        shared = settings["shared"]
        self.split, self.data = shared_memory.taken(Path(shared), self._load) if shared else self._load()
        self.shape, self.classes = tuple(self.data["input_shape"]), len(self.data["classes"])
        if not self.space.model:
            metrics.check_labels(settings["metric"], self.split.y_val, self.data["classes"])
        self.waits = False
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
            self.link.send("loading", done=done, total=total)

        with loading.within(surroundings(self.space, runs, tell)):
            data = load_dataset(self.catalog, spaces.Use(*self.settings["dataset"]).located(self.folder))
            # the parts are copies: the whole is not kept beside them
            parts = image_cache.parts(data, self.settings["seed"], self.space.defaults["validation"])
        return parts, described(data, parts)

    def describe_machine(self) -> dict[str, Any]:
        """What the parent records about data, backend and machine."""
        import keras

        from cnnsearch.training import compiled

        return {
            "dataset": self.data,
            "backend": keras.backend.backend(),
            "keras": keras.__version__,
            "precision": keras.config.dtype_policy().name,
            "lean": self.settings["lean"],
            "devices": devices(),
            "looks": keras.backend.backend() not in compiled.BY_SHAPE,
            "python": platform.python_version(),
        }

    def do_describe(self, order: dict[str, Any]) -> None:
        """Tell the space's default point, and the whole points of the recipes and twins named."""
        hp = HyperParameters(defaults)
        try:
            default = self._draw(hp)
            values = dict(hp.values)
            names = self._reported(default, hp, order["metric"], order["fit"]) if "metric" in order else []
            points = {name: recipes.whole(self.space, name, self._draw)[0] for name in order["recipes"]}
        except CnnsearchError as error:
            self.link.send("fatal", message=error.message)
        except Exception as error:
            traceback.print_exc()
            self.link.send("fatal", message=f"the default point of {self.space.name} fails: {error}")
        else:
            twins = {origin: self._whole(values) for origin, values in order["twins"].items()}
            self.link.send("described", values=values, recipes=points, twins=twins, metrics=names)

    def do_go_by(self, order: dict[str, Any]) -> None:
        """Take the metric that was found out after this worker had started."""
        self.settings["metric"] = order["metric"]

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

    def do_trial(self, order: dict[str, Any]) -> None:
        """Draw, train and report one trial."""
        self._attempt(self._trial, order)

    def do_repeat(self, order: dict[str, Any]) -> None:
        """Train the plan of an earlier trial once more, under another seed."""
        self._attempt(self._repeat, order)

    def _attempt(self, train: Callable[[dict[str, Any], float], None], order: dict[str, Any]) -> None:
        """Train under the order's seed; an error is told by its type."""
        import keras

        keras.utils.set_random_seed(order["seed"])
        started = time.perf_counter()
        try:
            train(order, started)
        except Exception as error:
            from cnnsearch.training.training import failure

            traceback.print_exc()
            if isinstance(error, CnnsearchError) and not isinstance(error, TrialFailure):
                self.link.send("fatal", message=error.message)
                return
            typed, share = failure(error, "plugin_error"), os.environ.get(GPU_SHARE)
            hint = f"; it may take {float(share):.0%} of its GPU, fewer --jobs give it more" if share else ""
            reason = typed.message + (hint if typed.kind == "oom" else "")
            seconds = time.perf_counter() - started
            self.link.send("failed", kind=typed.kind, reason=reason, seconds=seconds, rss=rss())
        finally:
            keras.backend.clear_session(free_memory=False)
            # Keras forgets its policy with the session
            self._set_precision()
            gc.collect()

    def _set_precision(self) -> None:
        set_precision(self.settings["precision"], plans=not self.space.model)

    def do_log_model(self, order: dict[str, Any]) -> None:
        """Log a checkpoint as an MLflow model of a run."""
        try:
            log_mlflow_model({"shape": self.shape, **order})
            self.link.send("logged", problem="")
        except Exception as error:
            traceback.print_exc()
            self.link.send("logged", problem=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")

    def _trial(self, order: dict[str, Any], started: float) -> None:
        from cnnsearch.training import model_io, training

        hp, trainer = HyperParameters(self._remote_draw), spaces.trainer(self.space, self.catalog)
        wanted = self._wanted(hp, order["limited"], trainer is None)
        facts = wanted._asdict()
        del facts["make"]
        answer = self.link.ask("plan", **facts)
        if not answer["go"]:
            return
        metric = self.settings["metric"]
        if answer["look"]:
            outcome, candidate = self._look(wanted, answer["look"], order["limited"])
            facts = self._facts(outcome, candidate, started) | {"best_epoch": 0, "epochs": 0}
            self.link.send("looked", **facts)
            return
        candidate = wanted.make()
        if order["limited"]:
            self.limits.check_latency(candidate.core, self.split.x_val[:1])
        data = training.fold(candidate, self.split, self.classes)
        self.waits = False
        keep = self._keep(candidate, order, wanted.key) if wanted.resumable else None
        if keep and keep.saved and self.waits:
            outcome = training.Outcome(**keep.saved.facts, weights=keep.saved.weights)
        else:
            outcome = training.train(candidate, trainer, hp, data, wanted.epochs, metric, self._report, keep)
        facts = self._facts(outcome, candidate, started)
        if self.waits:
            self.link.send("waiting", **facts)
            return
        answer = self.link.ask("done", stopped=outcome.stopped, format=model_io.formats(candidate.core)[0], **facts)
        problem, unsaved = _saved(candidate.core, answer["keep"])
        self.link.send("finished", problem=problem, unsaved=unsaved)

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
        """What the parent is told of a training that ended or waits."""
        return {
            "score": outcome.score,
            "best_epoch": outcome.best_epoch,
            "epochs": len(outcome.history),
            "seconds": time.perf_counter() - started,
            "params": int(candidate.core.count_params()),
            "rss": rss(),
            "reads": "" if candidate.reads == "softmax" else candidate.reads,
        }

    def _repeat(self, order: dict[str, Any], started: float) -> None:
        from cnnsearch.training import training

        hp, trainer = HyperParameters(replay(order["values"])), spaces.trainer(self.space, self.catalog)
        if order["plan"]:
            plan = Plan.from_json(order["plan"])
            candidate, epochs = self._made(plan, trainer is None, self.split), plan.epochs
        else:
            candidate = self._draw(hp)
            epochs = self.settings["epochs"]
        data = training.fold(candidate, self.split, self.classes)
        outcome = training.train(candidate, trainer, hp, data, epochs, self.settings["metric"], self._report)
        seconds = time.perf_counter() - started
        self.link.send("repeated", score=outcome.score, history=outcome.history, seconds=seconds, rss=rss())

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

    def _keep(self, candidate: Any, order: dict[str, Any], key: str) -> Any:
        """Where the training's state goes; what an earlier run kept there is taken up, and told to the parent."""
        from cnnsearch.training import training

        path = Path(order["state"])
        saved = training.resumed(candidate, path, key) if order["resume"] else None
        if saved is not None:
            self.waits = self.link.ask("resumed", history=saved.facts["history"])["wait"]
        return training.Keep(path, key, saved, lambda: self.waits)

    def _draw(self, hp: HyperParameters) -> Any:
        """A Plan, or for a hypermodel its compiled candidate."""
        if self.hypermodel is None:
            return _typed("plugin_error", lambda: spaces.draw(self.space, self.catalog, hp, self.start))
        from cnnsearch.training import training

        given = (self.hypermodel, hp, self.start.batch_size, self.shape, self.classes)
        return _typed("invalid", lambda: training.from_hypermodel(*given))

    def _remote_draw(self, name: str, distribution: Distribution) -> Value:
        value: Value = self.link.ask("draw", name=name, distribution=distribution.to_dict())["value"]
        return value

    def _report(self, epoch: int, metrics: dict[str, float]) -> bool:
        answer = self.link.ask("epoch", epoch=epoch, metrics=metrics)
        self.waits = bool(answer.get("wait"))
        return bool(answer["go"])


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
