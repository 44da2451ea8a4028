"""The promises as pytest suites: subclass one, name what it is about, and run pytest."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.plugins import load
from cnnsearch.testing import datasets, dimensions, hypermodels, spaces, trainers
from cnnsearch.testing.promises import Promise, Subject, keep


def _raw(suite: type, name: str) -> Any:
    """A class attribute as it was written: a function among them is no method."""
    value = inspect.getattr_static(suite, name)
    return value.__func__ if isinstance(value, staticmethod) else value


class DimensionSuite:
    """`class TestMine(DimensionSuite): dimension = mine`; `options` and the plans to be edited (`on`) may be given."""

    dimension: Any
    options: ClassVar[dict[str, Any]] = {}
    on: ClassVar[tuple[Plan, ...]] = ()

    @classmethod
    def subject(cls) -> Subject:
        """What the promises are asked of."""
        return dimensions.Dimension(_raw(cls, "dimension"), cls.options, cls.on)


class SpaceSuite:
    """`class TestMine(SpaceSuite): space = "search_spaces/mine.toml"`; `plugins` are the folders that it needs."""

    space: Any
    plugins: ClassVar[tuple[str | Path, ...]] = ()

    @classmethod
    def subject(cls) -> Subject:
        """What the promises are asked of."""
        return spaces.File(str(_raw(cls, "space")), load(map(Path, cls.plugins)))


class HypermodelSuite:
    """`class TestMine(HypermodelSuite): space = mine`, of a function marked as a space."""

    space: Any
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def subject(cls) -> Subject:
        """What the promises are asked of."""
        return hypermodels.Model(_raw(cls, "space"), cls.options)


class DatasetSuite:
    """`class TestMine(DatasetSuite): dataset = mine`; `options` may be given."""

    dataset: Any
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def subject(cls) -> Subject:
        """What the promises are asked of."""
        return datasets.Data(_raw(cls, "dataset"), cls.options)


class TrainerSuite:
    """`class TestMine(TrainerSuite): trainer = mine`; `options` and the plan to train (`on`) may be given."""

    trainer: Any
    options: ClassVar[dict[str, Any]] = {}
    on: ClassVar[tuple[Plan, ...]] = ()

    @classmethod
    def subject(cls) -> Subject:
        """What the promises are asked of."""
        return trainers.Trainer(_raw(cls, "trainer"), cls.options, cls.on)


@functools.cache
def _subject(suite: Any) -> Subject:
    """One for a suite, so that what a promise has found out the next one knows."""
    subject: Subject = suite.subject()
    return subject


def _test(promise: Promise) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        suite: Any = type(self)
        keep(_subject(suite), promise)

    test.__doc__ = promise.text
    return test


for _suite, _promises in (
    (DimensionSuite, dimensions.PROMISES),
    (SpaceSuite, spaces.PROMISES),
    (HypermodelSuite, hypermodels.PROMISES),
    (DatasetSuite, datasets.PROMISES),
    (TrainerSuite, trainers.PROMISES),
):
    for _each in _promises:
        setattr(_suite, f"test_{_each.name}", _test(_each))
