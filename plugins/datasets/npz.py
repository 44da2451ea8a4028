"""Images and labels of any NumPy .npz file or folder of .npy files."""

from cnnsearch import Dataset, dataset
from cnnsearch.core.errors import DataError
from cnnsearch.data import array_files
from cnnsearch.data.arrays import expanded, limited


@dataset(reads=array_files.reads)
def npz(*, path="", limit=0) -> Dataset:
    """Images and labels from a .npz file or a folder of .npy files: x_train, y_train, and x_val, … x_test if there."""
    if not path:
        raise DataError("npz: which file? Name a .npz file with `--set dataset.path=FILE.npz`.")
    return limited(array_files.load(expanded(path), "npz"), limit)
