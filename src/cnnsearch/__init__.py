"""The names that a plugin author and a notebook use; importing them brings in nothing heavy."""

from cnnsearch import old_paths
from cnnsearch.api import Found, load, optimize, search
from cnnsearch.api.result import Result
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Decision
from cnnsearch.core.version import VERSION
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
