"""The names that a plugin author and a notebook use; importing them brings in nothing heavy."""

from cnnsearch import old_paths
from cnnsearch.api import Found, load, search
from cnnsearch.api.result import Result
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.version import VERSION
from cnnsearch.data.dataset import Dataset
from cnnsearch.spaces.decorators import dataset, dimension, space, trainer
from cnnsearch.spaces.plan import Block, Head, Plan

old_paths.install()

__version__ = VERSION
__all__ = [
    "Block",
    "CnnsearchError",
    "Dataset",
    "Found",
    "Head",
    "Plan",
    "Result",
    "dataset",
    "dimension",
    "load",
    "search",
    "space",
    "trainer",
]
