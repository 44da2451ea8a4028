"""The contracts as pytest suites: subclass one, name the plugin or space, and run pytest."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.plugins import load
from cnnsearch.testing import callbacks, datasets, dimensions, hypermodels, launchers, schedulers, spaces, trainers
from cnnsearch.testing.contracts import Contract, Subject, check_contract


def _raw(suite: type, name: str) -> Any:
    """A class attribute as it was written; a function is not turned into a method."""
    value = inspect.getattr_static(suite, name)
    return value.__func__ if isinstance(value, staticmethod) else value


class DimensionSuite:
    """`class TestMine(DimensionSuite): dimension = mine`; `options` and the start plans (`on`) are optional."""

    dimension: Any
    options: ClassVar[dict[str, Any]] = {}
    on: ClassVar[tuple[Plan, ...]] = ()

    @classmethod
    def subject(cls) -> Subject:
        """The plugin or space that is checked."""
        return dimensions.Dimension(_raw(cls, "dimension"), cls.options, cls.on)


class SpaceSuite:
    """`class TestMine(SpaceSuite): space = "search_spaces/mine.toml"`; `plugins` lists the folders that it needs."""

    space: Any
    plugins: ClassVar[tuple[str | Path, ...]] = ()

    @classmethod
    def subject(cls) -> Subject:
        """The plugin or space that is checked."""
        return spaces.File(str(_raw(cls, "space")), load(map(Path, cls.plugins)))


class HypermodelSuite:
    """`class TestMine(HypermodelSuite): space = mine`, where `mine` is a function marked with `@space`."""

    space: Any
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def subject(cls) -> Subject:
        """The plugin or space that is checked."""
        return hypermodels.Model(_raw(cls, "space"), cls.options)


class DatasetSuite:
    """`class TestMine(DatasetSuite): dataset = mine`; `options` is optional."""

    dataset: Any
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def subject(cls) -> Subject:
        """The plugin or space that is checked."""
        return datasets.Data(_raw(cls, "dataset"), cls.options)


class TrainerSuite:
    """`class TestMine(TrainerSuite): trainer = mine`; `options` and the plan to train (`on`) are optional."""

    trainer: Any
    options: ClassVar[dict[str, Any]] = {}
    on: ClassVar[tuple[Plan, ...]] = ()

    @classmethod
    def subject(cls) -> Subject:
        """The plugin or space that is checked."""
        return trainers.Trainer(_raw(cls, "trainer"), cls.options, cls.on)


class SchedulerSuite:
    """`class TestMine(SchedulerSuite): scheduler = mine`."""

    scheduler: Any

    @classmethod
    def subject(cls) -> Subject:
        """The plugin that is checked."""
        return schedulers.Scheduler(_raw(cls, "scheduler"))


class CallbackSuite:
    """`class TestMine(CallbackSuite): callback = mine`."""

    callback: Any

    @classmethod
    def subject(cls) -> Subject:
        """The plugin that is checked."""
        return callbacks.Callback(_raw(cls, "callback"))


class LauncherSuite:
    """`class TestMine(LauncherSuite): launcher = mine`; `resources` is optional, such as `{"address": "head:6379"}`."""

    launcher: Any
    resources: ClassVar[dict[str, Any]] = {}

    @classmethod
    def subject(cls) -> Subject:
        """The plugin that is checked."""
        return launchers.Launcher(_raw(cls, "launcher"), None, cls.resources)


@functools.cache
def _subject(suite: Any) -> Subject:
    """One subject for each suite, so that a check can use what an earlier check found."""
    subject: Subject = suite.subject()
    return subject


def _test(contract: Contract) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        suite: Any = type(self)
        check_contract(_subject(suite), contract)

    test.__doc__ = contract.text
    return test


for _suite, _contracts in (
    (DimensionSuite, dimensions.CONTRACTS),
    (SpaceSuite, spaces.CONTRACTS),
    (HypermodelSuite, hypermodels.CONTRACTS),
    (DatasetSuite, datasets.CONTRACTS),
    (TrainerSuite, trainers.CONTRACTS),
    (SchedulerSuite, schedulers.CONTRACTS),
    (CallbackSuite, callbacks.CONTRACTS),
    (LauncherSuite, launchers.CONTRACTS),
):
    for _each in _contracts:
        setattr(_suite, f"test_{_each.name}", _test(_each))
