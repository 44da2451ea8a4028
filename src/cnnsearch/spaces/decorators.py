"""The decorators of plugins, such as @dimension. They only mark a function or class; `plugins.load` finds it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

Marked = TypeVar("Marked", bound=Callable[..., Any])

WORKER_KINDS = ("dimension", "space", "dataset", "trainer")
"""What workers run."""

PARENT_KINDS = ("sampler", "pruner", "scheduler", "launcher", "callback")
"""What the parent runs."""

KINDS = WORKER_KINDS + PARENT_KINDS
ATTRIBUTE = "__cnnsearch_kind__"
READS = "__cnnsearch_reads__"
"""The attribute of a dataset that reads paths: a function that tells whether it reads a path."""


def dimension(function: Marked) -> Marked:
    """Mark `f(hp, plan, *, options) -> Plan`: it draws hyperparameters and edits the plan.

    Args:
        function: `f`. Its keyword-only parameters are its options; each has a default.

    Returns:
        The same function.
    """
    return _mark(function, "dimension")


def space(function: Marked) -> Marked:
    """Mark `f(input_shape, num_classes) -> HyperModel or build(hp)`: a space written in Python.

    Args:
        function: `f`. It gets the (height, width, channels) of the images and the number of classes.

    Returns:
        The same function.
    """
    return _mark(function, "space")


@overload
def dataset(function: Marked) -> Marked: ...


@overload
def dataset(*, reads: Callable[[Path], bool]) -> Callable[[Marked], Marked]: ...


def dataset(function: Any = None, *, reads: Callable[[Path], bool] | None = None) -> Any:
    """Mark `f(**options) -> Dataset`: images and labels to train on.

    `@dataset(reads=f)` marks one that reads files or folders and has an option `path`. `--dataset PATH` uses it for an
    existing path if `f(path)` is true. `f` gets a `Path`; it must open no large file and import nothing heavy.

    Args:
        function: the function that returns a Dataset. Its keyword-only parameters are its options.
        reads: whether the dataset reads a path; None: it reads none.

    Returns:
        The same function, or a decorator if `reads` is given.
    """

    def mark(marked: Marked) -> Marked:
        if reads is not None:
            setattr(marked, READS, reads)
        return _mark(marked, "dataset")

    return mark if function is None else mark(function)


def trainer(function: Marked) -> Marked:
    """Mark `f(hp, model, data, *, epochs, callbacks, options) -> History`: another way to train a candidate.

    Args:
        function: `f`. It passes `callbacks` on to `model.fit`; they report each epoch.

    Returns:
        The same function.
    """
    return _mark(function, "trainer")


def sampler(function: Marked) -> Marked:
    """Mark `f(seed) -> optuna.samplers.BaseSampler`: `--sampler NAME` uses it."""
    return _mark(function, "sampler")


def pruner(function: Marked) -> Marked:
    """Mark `f(epochs) -> optuna.pruners.BasePruner`: `--pruner NAME` uses it. A trial has `epochs` at full length."""
    return _mark(function, "pruner")


def scheduler(function: Marked) -> Marked:
    """Mark `f(context) -> cnnsearch.TrialScheduler`, or a subclass of it: `--scheduler NAME` uses it.

    `context` is a `cnnsearch.SchedulerContext`.
    """
    return _mark(function, "scheduler")


def launcher(function: Marked) -> Marked:
    """Mark `f(config, jobs) -> Launcher`: `--launcher NAME` uses it to start `jobs` workers.

    `config` is a `SearchConfig` of `cnnsearch.study.config`; `cnnsearch.tuning.launchers.base` has `Launcher`.
    """
    return _mark(function, "launcher")


def callback(function: Marked) -> Marked:
    """Mark `f() -> cnnsearch.TunerCallback`, or a subclass of it: `--callback NAME` uses it."""
    return _mark(function, "callback")


def _mark(function: Marked, kind: str) -> Marked:
    setattr(function, ATTRIBUTE, kind)
    return function
