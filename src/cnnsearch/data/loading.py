"""The search that reads a dataset: where decoded images are kept, and who shows the progress of decoding."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple


def _nobody(done: int, total: int) -> None:
    pass


class Loading(NamedTuple):
    """The context in which a dataset is read.

    Attributes:
        cache: the folder for decoded images; None to keep them in memory.
        size: (width, height) of the space's images; None if any size will do.
        written: folders that the search writes to; they are never read as images of the user.
        tell: is called with the number of decoded images and the number of all images.
    """

    cache: Path | None = None
    size: tuple[int, int] | None = None
    written: tuple[Path, ...] = ()
    tell: Callable[[int, int], None] = _nobody


_current: ContextVar[Loading] = ContextVar("loading", default=Loading())  # noqa: B039


def current() -> Loading:
    """The present context; outside a search it is empty."""
    return _current.get()


@contextlib.contextmanager
def within(loading: Loading) -> Iterator[None]:
    """Inside, datasets are read in this context."""
    token = _current.set(loading)
    try:
        yield
    finally:
        _current.reset(token)
