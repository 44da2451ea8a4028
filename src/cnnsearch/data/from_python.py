"""Makes a Dataset of Python objects: arrays, tf.data datasets, PyTorch datasets, Keras sequences."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.core.host import free_memory
from cnnsearch.data import image_files, labels
from cnnsearch.data.dataset import Dataset

NAME = "arrays"
"""The name of a dataset that was given from Python."""

EXPECTED = (
    "expected (images, labels), a tf.data.Dataset, an indexable dataset of (image, label), a cnnsearch.Dataset, or a "
    "dataset's name or path"
)


ARRAYS = ("__array__", "__array_interface__")
"""What makes an object one that NumPy reads as an array. A picture may have the second alone."""


class Part(NamedTuple):
    """Images and labels, with the class names if the object has them."""

    x: Any
    y: Any
    classes: tuple[str, ...] = ()


def is_named(given: Any) -> bool:
    """Whether `given` is a dataset's name or path, as `--dataset` takes it."""
    return isinstance(given, str | Path)


def dataset_of(train: Any, validation: Any = None, test: Any = None) -> Dataset:
    """One dataset of the objects for training and, unless None, for validation and test.

    Images are arrays, lists or tensors of shape (n, height, width) or (n, height, width, channels); PyTorch's tensors
    may have their channels first. Labels are what `Dataset` takes.

    Raises:
        DataError: if an object has an unknown form or no end, or its images and labels do not fit together.
    """
    if _is_two_pairs(train) and test is None:
        train, test = train
    own = train if isinstance(train, Dataset) else _part(train, "the data")
    more: dict[str, Any] = {}
    for what, value, end in (("validation_data", validation, "_val"), ("test_data", test, "_test")):
        if value is not None:
            part = _part(value, what, own.classes)
            if not isinstance(value, Dataset):
                part = _with_codes(part, what, own)
            more |= {f"x{end}": part.x, f"y{end}": part.y}
    return replace(own, **more) if isinstance(own, Dataset) else Dataset(NAME, own.x, own.y, own.classes, **more)


def _with_codes(part: Part, what: str, own: "Dataset | Part") -> Part:
    """`part` with its labels as codes of the classes of `own`, the training data, where those are codes themselves.

    The labels of a Dataset are codes of its classes already, and an object's labels may be positions in class names
    that it has. Labels that name no class are positions in the classes of the training data.

    Raises:
        DataError: if `part` has a class that the training data do not have.
    """
    y = np.asarray(part.y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    positions = y.dtype.kind in "iu" and len(part.classes) > 0
    if not own.classes or y.ndim != 1 or y.dtype.kind not in "iuUS" or not (positions or isinstance(own, Dataset)):
        return part
    # only the names of classes that were made from labels are labels
    from_labels = tuple(map(labels.text, labels.ordered(np.array(own.classes)))) == tuple(own.classes)
    if not positions and y.dtype.kind in "iu" and not from_labels:
        return part
    if positions and len(y) and not 0 <= y.min() <= y.max() < len(part.classes):
        return part
    said = [part.classes[each] if positions else labels.text(each) for each in y.tolist()]
    strange = next((name for name in said if name not in own.classes), None)
    if strange is None:
        places = {name: place for place, name in enumerate(own.classes)}
        return part._replace(y=np.array([places[name] for name in said]))
    if y.dtype.kind in "iu" and not positions:
        return part
    raise DataError(f"{what} has a class '{strange}' that the training data do not have.")


def images_of(given: Any, grey: bool = False) -> NDArray[Any]:
    """Images alone, of shape (n, height, width, channels) or (n, height, width), or one image, as an array.

    `grey`: whether the search had grey images; then three or four of them are no image with channels.
    """
    return _array(given, "the images", grey)


def digests(data: Dataset) -> dict[str, str]:
    """A digest of each array of a dataset and of the classes' names."""
    names = ("x", "y", "x_val", "y_val", "x_test", "y_test", "x_clean", "groups")
    arrays = {name: getattr(data, name) for name in names}
    found = {name: _digest(array) for name, array in arrays.items() if array is not None}
    return {**found, "classes": hashlib.sha256(repr(data.classes).encode()).hexdigest()[:16]}


def _part(given: Any, what: str, known: tuple[str, ...] = ()) -> Part:
    """The images and labels of an object; the labels of a Dataset become codes of the `known` classes, if given."""
    if isinstance(given, Dataset):
        if strange := [name for name in given.classes if known and name not in known]:
            raise DataError(f"{what} has a class '{strange[0]}' that the training data do not have.")
        names = [known.index(name) for name in given.classes] if known else given.classes
        return Part(given.x, np.asarray(names)[given.y], given.classes)
    if isinstance(given, list | tuple):
        if len(given) != 2:
            raise DataError(f"{what} is a {type(given).__name__} of {len(given)}; expected (images, labels).")
        return Part(_array(given[0], f"{what}: images"), _array(given[1], f"{what}: labels"))
    if hasattr(given, "batch_sampler") and hasattr(given, "dataset"):
        # a DataLoader may shuffle; its dataset does not
        given = given.dataset
    found = [getattr(given, name, None) for name in ("class_names", "classes")]
    own = next((each for each in found if _are_names(each)), ())
    return Part(*_stacked(_items(given, what), what), tuple(own or ()))


def _items(given: Any, what: str) -> Iterator[Any]:
    """The elements of a dataset, in one pass."""
    if hasattr(given, "element_spec") and hasattr(given, "as_numpy_iterator"):
        if int(given.cardinality()) == -1:
            raise DataError(f"{what}: the tf.data.Dataset has no end; give it without .repeat(), or with .take(N).")
        return iter(given.as_numpy_iterator())
    if hasattr(given, "__getitem__") and hasattr(given, "__len__") and not hasattr(given, "keys"):
        return (given[index] for index in range(len(given)))
    if isinstance(given, Iterable) and not hasattr(given, "keys"):
        raise DataError(f"{what} is a {type(given).__name__}, which can be read only once; {EXPECTED}.")
    raise DataError(f"{what} is a {type(given).__name__}; {EXPECTED}.")


def _stacked(items: Iterator[Any], what: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Elements or batches as two arrays. They are sorted by content, since many datasets shuffle."""
    images: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    room, held = free_memory() // 3, 0
    for number, item in enumerate(items):
        image, label = _pair(item, f"{what}: element {number}")
        if image.ndim == 4 and label.ndim and len(label) != len(image):
            raise DataError(f"{what}: element {number} has {len(image)} images and {len(label)} labels.")
        batched = _is_batch(image, label)
        images += list(image) if batched else [image]
        labels += list(label) if batched else [label]
        held += image.nbytes
        if held > room:
            raise DataError(
                f"{what}: its images do not fit into memory, or have no end: {held / 2**30:.1f} GiB were read. Give "
                "fewer, or a folder of pictures by its path."
            )
    if not images:
        raise DataError(f"{what} holds no images.")
    for number, image in enumerate(images):
        if image.shape != images[0].shape:
            raise DataError(
                f"{what}: image {number} is of shape {image.shape}, and the first of {images[0].shape}; expected "
                "images of one size. Resize them, or give a folder of pictures by its path."
            )
    order = sorted(range(len(images)), key=lambda place: (_digest(images[place]), labels[place].tolist()))
    return np.stack([images[place] for place in order]), np.stack([labels[place] for place in order])


def _pair(item: Any, what: str) -> tuple[NDArray[Any], NDArray[Any]]:
    if isinstance(item, dict) and "label" in item and (image := {"image", "img"} & set(item)):
        item = item[image.pop()], item["label"]
    if not isinstance(item, list | tuple) or len(item) != 2:
        found = f"{type(item).__name__}{f' of {len(item)}' if isinstance(item, list | tuple | dict) else ''}"
        raise DataError(f"{what} is a {found}; expected (image, label).")
    return _array(item[0], what), _array(item[1], what)


def _is_batch(image: NDArray[Any], label: NDArray[Any]) -> bool:
    """Whether these are several images with labels. A batch of grey images has the shape of one colour image."""
    if image.ndim == 4:
        return label.ndim > 0 and len(label) == len(image)
    if image.ndim != 3:
        return False
    return label.ndim > 0 and len(label) == len(image) and (label.ndim == 2 or image.shape[-1] > 4)


def _array(given: Any, what: str, grey: bool = False) -> NDArray[Any]:
    """An array, tensor, picture, or list of these as one array; a PyTorch tensor gets its channels last.

    `grey`: a tensor of three dimensions has no channels.
    """
    if getattr(given, "mode", "") in ("P", "PA") and hasattr(given, "convert"):
        # as an array, a picture with a palette is places in its palette
        given = image_files.plain(given, "RGB", None)
    if isinstance(given, list | tuple) and given and any(hasattr(given[0], name) for name in ARRAYS):
        parts = [_array(each, what) for each in given]
        for number, part in enumerate(parts):
            if part.shape != parts[0].shape:
                shapes = f"{part.shape}, and the first of {parts[0].shape}"
                raise DataError(f"{what}: number {number} is of shape {shapes}; expected one shape.")
        return np.stack(parts)
    if hasattr(given, "detach") and hasattr(given, "permute"):
        array = np.asarray(given.detach().cpu())
        return array if grey and array.ndim == 3 and array.shape[0] != 1 else _channels_last(array)
    try:
        return np.asarray(given)
    # tensors raise errors of many types
    except Exception as error:
        raise DataError(
            f"{what}: a {type(given).__name__} cannot be converted to an array ({type(error).__name__})."
        ) from error


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    first = array.shape[-3] if array.ndim in (3, 4) else 0
    return np.moveaxis(array, -3, -1) if first in (1, 3, 4) and array.shape[-1] not in (1, 3, 4) else array


def _is_two_pairs(given: Any) -> bool:
    """Whether this is ((x, y), (x_test, y_test)), as `keras.datasets` returns it."""
    pairs = isinstance(given, tuple) and len(given) == 2 and all(isinstance(p, tuple) and len(p) == 2 for p in given)
    return pairs and all(hasattr(array, "shape") for array in itertools.chain(*given))


def _are_names(given: Any) -> bool:
    return isinstance(given, list | tuple) and len(given) > 1 and all(isinstance(name, str) for name in given)


def _digest(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
