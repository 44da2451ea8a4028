"""The promises that plugins and spaces keep, and suites to subclass; importing it brings in nothing heavy."""

from cnnsearch.testing.promises import BrokenPromise, Promise, Result, Unseen, look
from cnnsearch.testing.suites import DatasetSuite, DimensionSuite, HypermodelSuite, SpaceSuite, TrainerSuite

__all__ = [
    "BrokenPromise",
    "DatasetSuite",
    "DimensionSuite",
    "HypermodelSuite",
    "Promise",
    "Result",
    "SpaceSuite",
    "TrainerSuite",
    "Unseen",
    "look",
]
