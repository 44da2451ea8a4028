"""The arrays that a call of `cnnsearch.search` was given."""

from pathlib import Path

from cnnsearch import Dataset, dataset
from cnnsearch.core.errors import DataError
from cnnsearch.data.stored import read


@dataset
def stored(*, path="", limit=0) -> Dataset:
    """The arrays that `cnnsearch.search` stored in a study's folder.

    Args:
        path: the folder.
        limit: keep so many training images; 0 keeps all.
    """
    if not path:
        raise DataError("stored: it reads what cnnsearch.search kept; for files of your own there is npz.")
    return read(Path(path), limit)
