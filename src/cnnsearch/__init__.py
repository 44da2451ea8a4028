"""The names a plugin author uses; importing them brings in nothing heavy."""

from cnnsearch.data import Dataset
from cnnsearch.errors import CnnsearchError
from cnnsearch.markers import dataset, dimension, space, trainer
from cnnsearch.plan import Block, Head, Plan

__version__ = "0.1.0"
__all__ = ["Block", "CnnsearchError", "Dataset", "Head", "Plan", "dataset", "dimension", "space", "trainer"]
