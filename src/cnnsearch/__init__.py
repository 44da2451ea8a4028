"""The names that a plugin author and a notebook use; each is imported when it is first used."""

import importlib
from typing import TYPE_CHECKING, Any

from cnnsearch import old_paths
from cnnsearch.core.version import VERSION

if TYPE_CHECKING:
    from cnnsearch.api import Found, load, optimize, search
    from cnnsearch.api.result import Result
    from cnnsearch.core.errors import CnnsearchError
    from cnnsearch.core.messages import Decision
    from cnnsearch.data.dataset import Dataset
    from cnnsearch.spaces.decorators import (
        callback,
        dataset,
        dimension,
        launcher,
        pruner,
        sampler,
        scheduler,
        space,
        trainer,
    )
    from cnnsearch.spaces.plan import Block, Head, Plan
    from cnnsearch.tuning.callbacks.base import TunerCallback
    from cnnsearch.tuning.schedulers.base import SchedulerContext, TrialScheduler

old_paths.install()

__version__ = VERSION
__all__ = [
    "Block",
    "CnnsearchError",
    "Dataset",
    "Decision",
    "Found",
    "Head",
    "Plan",
    "Result",
    "SchedulerContext",
    "TrialScheduler",
    "TunerCallback",
    "callback",
    "dataset",
    "dimension",
    "launcher",
    "load",
    "optimize",
    "pruner",
    "sampler",
    "scheduler",
    "search",
    "space",
    "trainer",
]

MODULES = {
    "api": ("Found", "Result", "load", "optimize", "search"),
    "core.errors": ("CnnsearchError",),
    "core.messages": ("Decision",),
    "data.dataset": ("Dataset",),
    "spaces.decorators": (
        *("callback", "dataset", "dimension", "launcher", "pruner", "sampler", "scheduler", "space", "trainer"),
    ),
    "spaces.plan": ("Block", "Head", "Plan"),
    "tuning.callbacks.base": ("TunerCallback",),
    "tuning.schedulers.base": ("SchedulerContext", "TrialScheduler"),
}
"""Where each name is. NumPy and what else they need takes a third of a second, which no command has to wait for."""


def __getattr__(name: str) -> Any:
    """Import one of these names."""
    for module, names in MODULES.items():
        if name in names:
            found = getattr(importlib.import_module(f"cnnsearch.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'cnnsearch' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
