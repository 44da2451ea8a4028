"""The names that a plugin author and a notebook use; importing them brings in nothing heavy."""

from cnnsearch.api import Found, load, search
from cnnsearch.data import Dataset
from cnnsearch.errors import CnnsearchError
from cnnsearch.markers import dataset, dimension, space, trainer
from cnnsearch.plan import Block, Head, Plan
from cnnsearch.result import Result

__version__ = "0.2.0.dev0"
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
