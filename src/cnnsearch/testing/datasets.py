"""The contracts of a dataset: it loads, it is the same each time, and its splits have no image in common."""

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
from cnnsearch.testing import contracts
from cnnsearch.testing.contracts import NotChecked, Subject, contract

SHARED = 0.01
"""The share of a split's images that may be in training too: real collections hold a few images twice."""

CONTRACTS = contracts.of_every_plugin()


class Data(Subject):
    """A dataset's function and its options."""

    contracts = CONTRACTS

    def __init__(self, function: Callable[..., Any], given: dict[str, Any] | None = None) -> None:
        super().__init__(function, given or {}, "dataset", ())

    @cached_property
    def loaded(self) -> Dataset:
        """The dataset.

        Raises:
            NotChecked: if the files that it reads are not here.
        """
        try:
            given: Dataset = self.function(**self.given)
        except (OSError, DataError) as error:
            if isinstance(error, DataError) and _made_wrong(error):
                raise self.broken(error.message, "Give Dataset what it expects") from error
            reason = error.message if isinstance(error, DataError) else str(error)
            raise NotChecked(f"({reason})") from error
        return given


@contract(CONTRACTS)
def can_be_given_a_path(data: Data) -> None:
    """If it reads paths, --dataset PATH can give it one."""
    reads = getattr(data.function, READS, None)
    if reads is None:
        return
    if "path" not in inspect.signature(data.function).parameters:
        raise data.broken("it reads paths, but has no option path", 'Give it one: path=""')
    # only existing paths are given to it
    for path in (Path.cwd(), Path(__file__)):
        if not isinstance(reads(path), bool):
            raise data.broken(f"asked whether it reads {path} it does not return True or False", "Return a bool")


@contract(CONTRACTS, basis=True)
def gives_a_dataset(data: Data) -> None:
    """It loads and returns a Dataset of numeric images, each with a label."""
    if not isinstance(data.loaded, Dataset):
        raise data.broken(f"it returns {type(data.loaded).__name__}, expected a Dataset", "Return Dataset(name, x, y)")


@contract(CONTRACTS)
def is_the_same_again(data: Data) -> None:
    """If it is loaded again, it has the same fingerprint."""
    again = data.function(**data.given)
    if again.fingerprint != data.loaded.fingerprint:
        mend = "Sort lists of files, and use a seed of your own: numpy.random.default_rng(0)"
        raise data.broken("the second time it has other images or labels, or another order", mend)


@contract(CONTRACTS)
def has_splits_apart(data: Data) -> None:
    """Training, validation and test have no images in common."""
    parts = split(data.loaded, seed=0)
    known = set(_each(parts.x))
    for name, images in (("validation", parts.x_val), ("test", parts.x_test)):
        shared = sum(image in known for image in _each(images))
        if shared > SHARED * len(images):
            mend = "Keep each image in one part only; a dimension can add changed copies for training (plan.augment)"
            raise data.broken(f"{shared} of {len(images)} images of {name} are among those of training", mend)


def _each(images: Images) -> list[bytes]:
    return [image.tobytes() for image in images]


def _made_wrong(error: DataError) -> bool:
    """Whether Dataset itself raised the error, and not the code that reads a file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename in (dataset.__file__, splits.__file__)
