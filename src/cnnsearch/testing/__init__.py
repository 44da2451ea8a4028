"""The contracts of plugins and spaces, and pytest suites that check them; importing it brings in nothing heavy."""

from cnnsearch.testing.contracts import BrokenContract, Contract, NotChecked, Result, check_contracts
from cnnsearch.testing.suites import DatasetSuite, DimensionSuite, HypermodelSuite, SpaceSuite, TrainerSuite

__all__ = [
    "BrokenContract",
    "Contract",
    "DatasetSuite",
    "DimensionSuite",
    "HypermodelSuite",
    "NotChecked",
    "Result",
    "SpaceSuite",
    "TrainerSuite",
    "check_contracts",
]
