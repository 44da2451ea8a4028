"""What a dataset may know of the search that reads it: where to keep decoded images, and whom to tell how far it is."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple


def _nobody(done: int, total: int) -> None:
    pass


class Loading(NamedTuple):
    """The surroundings of a dataset that is being read.

    Attributes:
        cache: a folder for decoded images; None: they are kept in memory.
        size: width and height that the space is made for, if it is made for one size.
        written: folders that the search writes to; they hold no images of the user.
        tell: is called with how many images are decoded, and how many there are.
    """

    cache: Path | None = None
    size: tuple[int, int] | None = None
    written: tuple[Path, ...] = ()
    tell: Callable[[int, int], None] = _nobody


_current: ContextVar[Loading] = ContextVar("loading", default=Loading())  # noqa: B039


def current() -> Loading:
    """The surroundings now; outside a search they are empty."""
    return _current.get()


@contextlib.contextmanager
def within(loading: Loading) -> Iterator[None]:
    """Datasets that are read inside have these surroundings."""
    token = _current.set(loading)
    try:
        yield
    finally:
        _current.reset(token)
