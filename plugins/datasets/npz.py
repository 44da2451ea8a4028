"""Any NumPy .npz file of images and labels, with its own test and validation parts or without."""

import numpy as np

from cnnsearch import Dataset, dataset
from cnnsearch.arrays import expanded, limited, make, open_npz, unpacked
from cnnsearch.errors import DataError, nearest

PARTS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
EXPECTED = "x_train and y_train (or x and y), with or without x_val, y_val, x_test, y_test and classes"


@dataset
def npz(*, path="", limit=0) -> Dataset:
    """Images and labels from a .npz file: x_train, y_train, and x_val, y_val, x_test, y_test if there."""
    if not path:
        raise DataError("npz: which file? Name a .npz file with `--set dataset.path=FILE.npz`.")
    file = expanded(path)
    arrays = _read(file)
    images = _as_bytes(file, {key: arrays[key] for key in arrays if key.startswith("x_")})
    labels = {key: arrays[key] for key in arrays if key.startswith("y_")}
    names = arrays["classes"].tolist() if "classes" in arrays else ()
    content = {key.removesuffix("_train"): array for key, array in (images | labels).items()}
    return limited(make(str(file), name="npz", classes=names, **content), limit)


def _read(file):
    """The arrays by name, where x and y are called x_train and y_train."""
    with open_npz(file) as archive:
        keys = {_full(key): key for key in archive.files if key in (*PARTS, "x", "y", "classes")}
        _check_keys(file, archive.files, keys)
        found = unpacked(file, archive, keys.values())
    arrays = {full: found[key] for full, key in keys.items()}
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray) or not array.ndim:
            raise DataError(f"{file}: {key} is a single value; expected an array.")
    return arrays


def _full(key):
    return f"{key}_train" if key in ("x", "y") else key


def _check_keys(file, found, keys):
    """A misspelt x_val would be left out in silence, and two training sets leave a doubt: refuse both."""
    both = [part for part in ("x", "y") if {part, f"{part}_train"} <= set(found)]
    if both:
        raise DataError(f"{file}: it holds both {both[0]} and {both[0]}_train; expected one of them.")
    for key in found:
        like_a_part = key.lower() in ("x", "y") or key.lower().startswith(("x_", "y_"))
        if like_a_part and key not in keys.values():
            raise DataError(f"{file}: {key!r} means nothing here.{nearest(key.lower(), PARTS)} Expected {EXPECTED}.")
    if not {"x_train", "y_train"} <= keys.keys():
        raise DataError(f"{file}: it holds {', '.join(found) or 'nothing'}; expected {EXPECTED}.")


def _as_bytes(file, images):
    """Images as uint8; the training images tell whether the numbers are 0 to 1 or 0 to 255."""
    train = images["x_train"]
    top = 1 if train.dtype != np.uint8 and train.dtype.kind in "biuf" and train.max(initial=0) <= 1 else 255
    return {key: _part_as_bytes(file, key, array, top) for key, array in images.items()}


def _part_as_bytes(file, key, array, top):
    _check_layout(file, key, array)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise DataError(f"{file}: {key} is {array.dtype}; expected numbers, best uint8 from 0 to 255.")
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    # Written so that a NaN fails it too.
    if not (low >= 0 and high <= top) or (top == 255 and not (array == np.rint(array)).all()):
        raise DataError(
            f"{file}: {key} is {array.dtype} from {low:.6g} to {high:.6g}; expected uint8, numbers from 0 to "
            "1 or whole numbers from 0 to 255, the same in every part. Convert all with one LOW and HIGH: "
            "`np.rint(255 * (x - LOW) / (HIGH - LOW)).astype('uint8')`."
        )
    return np.rint(array * (255 / top)).astype(np.uint8)


def _check_layout(file, key, array):
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] > 4:
        raise DataError(
            f"{file}: {key} of shape {array.shape} has its channels first; expected them last. "
            "Convert it: `x.transpose(0, 2, 3, 1)`."
        )
