"""What a dataset promises: it loads, the same each time, and its splits have no image in common."""

import inspect
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import DataError
from cnnsearch.data import dataset, splits
from cnnsearch.data.dataset import Dataset, Images
from cnnsearch.data.splits import split
from cnnsearch.spaces.decorators import READS
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.testing import promises
from cnnsearch.testing.promises import Subject, Unseen, promise

SHARED = 0.01
"""The share of a split's images that may stand in training too: real collections have a few twice."""

PROMISES = promises.of_every_plugin()


class Data(Subject):
    """A dataset's function and its options."""

    promises = PROMISES

    def __init__(self, function: Callable[..., Any], given: dict[str, Any] | None = None) -> None:
        super().__init__(function, given or {}, "dataset", ())

    @cached_property
    def loaded(self) -> Dataset:
        """What it gives.

        Raises:
            Unseen: if what it reads is not here.
        """
        try:
            given: Dataset = self.function(**self.given)
        except (OSError, DataError) as error:
            if isinstance(error, DataError) and _made_wrong(error):
                raise self.broken(error.message, "Give Dataset what it expects") from error
            reason = error.message if isinstance(error, DataError) else str(error)
            raise Unseen(f"({reason})") from error
        return given


def subject(function: Callable[..., Any], given: dict[str, Any], catalog: Catalog) -> Data:
    """The dataset of a catalog's entry."""
    return Data(function, given)


@promise(PROMISES)
def can_be_given_a_path(data: Data) -> None:
    """Where it reads paths, --dataset PATH can give it one."""
    reads = getattr(data.function, READS, None)
    if reads is None:
        return
    if "path" not in inspect.signature(data.function).parameters:
        raise data.broken("it reads paths, but has no option path", 'Give it one: path=""')
    # it is asked only of what is there
    for path in (Path.cwd(), Path(__file__)):
        if not isinstance(reads(path), bool):
            raise data.broken(f"asked whether it reads {path} it does not say True or False", "Return a bool")


@promise(PROMISES, basis=True)
def gives_a_dataset(data: Data) -> None:
    """It loads, and gives a Dataset of images of numbers, with a label each."""
    if not isinstance(data.loaded, Dataset):
        raise data.broken(f"it returns {type(data.loaded).__name__}, expected a Dataset", "Return Dataset(name, x, y)")


@promise(PROMISES)
def is_the_same_again(data: Data) -> None:
    """Loaded again it has the same fingerprint."""
    again = data.function(**data.given)
    if again.fingerprint != data.loaded.fingerprint:
        mend = "Sort what you list, and draw with a seed of your own: numpy.random.default_rng(0)"
        raise data.broken("loaded twice it gives other images, labels or another order", mend)


@promise(PROMISES)
def has_splits_apart(data: Data) -> None:
    """Training, validation and test have no images in common."""
    parts = split(data.loaded, seed=0)
    known = set(_each(parts.x))
    for name, images in (("validation", parts.x_val), ("test", parts.x_test)):
        shared = sum(image in known for image in _each(images))
        if shared > SHARED * len(images):
            mend = "Leave each image out of all parts but one; copies for training belong into a dimension's augment"
            raise data.broken(f"{shared} of {len(images)} images of {name} are among those of training", mend)


def _each(images: Images) -> list[bytes]:
    return [image.tobytes() for image in images]


def _made_wrong(error: DataError) -> bool:
    """Whether Dataset itself refused what it was given, and not the reading of a file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename in (dataset.__file__, splits.__file__)
