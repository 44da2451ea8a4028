"""The contracts of plugins and spaces, and pytest suites that check them; importing it brings in nothing heavy."""

from cnnsearch.testing.contracts import BrokenContract, Contract, NotChecked, Result, check_contracts
from cnnsearch.testing.suites import (
    CallbackSuite,
    DatasetSuite,
    DimensionSuite,
    HypermodelSuite,
    LauncherSuite,
    SchedulerSuite,
    SpaceSuite,
    TrainerSuite,
)

__all__ = [
    "BrokenContract",
    "CallbackSuite",
    "Contract",
    "DatasetSuite",
    "DimensionSuite",
    "HypermodelSuite",
    "LauncherSuite",
    "NotChecked",
    "Result",
    "SchedulerSuite",
    "SpaceSuite",
    "TrainerSuite",
    "check_contracts",
]
