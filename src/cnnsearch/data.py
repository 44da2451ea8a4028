"""Images and labels: the Dataset a plugin returns, its checks, its fingerprint and its one split."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.errors import DataError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images as uint8 (n, height, width, channels) and labels as integers (n,), with the classes' names.

    `x_val` is for datasets that bring their own validation split; `x_test` may be absent, then a fifth is
    split off. Images of shape (n, height, width) get their channel axis here. `x_clean` is what `x` would be
    without its noise, where that is known: a target for what restores images, never an input.

    Raises:
        DataError: if images and labels do not fit together, or there are fewer than two classes.
    """

    name: str
    x: Images
    y: Labels
    classes: tuple[str, ...]
    x_test: Images | None = None
    y_test: Labels | None = None
    x_val: Images | None = None
    y_val: Labels | None = None
    x_clean: Images | None = None

    def __post_init__(self) -> None:
        for part in ("", "_test", "_val"):
            images, labels = getattr(self, f"x{part}"), getattr(self, f"y{part}")
            if (images is None) != (labels is None):
                raise DataError(f"{self.name}: x{part} and y{part} go together, but only one is there.")
            if images is not None:
                object.__setattr__(self, f"x{part}", self._images(images, f"x{part}"))
                object.__setattr__(self, f"y{part}", self._labels(labels, len(images), f"y{part}"))
        if self.x_clean is not None:
            object.__setattr__(self, "x_clean", self._images(self.x_clean, "x_clean"))
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        self._check_whole()

    def _images(self, given: Any, part: str) -> Images:
        images: NDArray[Any] = np.asarray(given)
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.dtype != np.uint8 or 0 in images.shape[1:]:
            raise DataError(
                f"{self.name}: {part} is {images.dtype} of shape {images.shape}; "
                "expected uint8 of shape (n, height, width) or (n, height, width, channels), none of these zero."
            )
        return images

    def _labels(self, given: Any, count: int, part: str) -> Labels:
        labels: NDArray[Any] = np.asarray(given)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(
                f"{self.name}: {part} is {labels.dtype} of shape {labels.shape} for {count} images; "
                f"expected {count} integers."
            )
        return labels.astype(np.int64)

    def _check_whole(self) -> None:
        if not len(self.x):
            raise DataError(f"{self.name}: there are no training images.")
        if self.x_clean is not None and self.x_clean.shape != self.x.shape:
            raise DataError(
                f"{self.name}: x_clean is of shape {self.x_clean.shape}; expected that of x, {self.x.shape}."
            )
        for part in ("test", "val"):
            if (images := getattr(self, f"x_{part}")) is not None and not len(images):
                raise DataError(f"{self.name}: x_{part} holds no images; leave it out and it is split off.")
        for name in self.classes:
            if not _is_text(name):
                raise DataError(f"{self.name}: the class name {name!r} cannot be written as UTF-8. Rename it.")
        if len(self.classes) < 2 or len(np.unique(self.y)) < 2:
            raise DataError(f"{self.name}: there is one class only; a classifier needs two or more.")
        for part in ("", "_test", "_val"):
            images, labels = getattr(self, f"x{part}"), getattr(self, f"y{part}")
            if images is None:
                continue
            if images.shape[1:] != self.x.shape[1:]:
                raise DataError(f"{self.name}: x{part} holds images of {images.shape[1:]}, x of {self.x.shape[1:]}.")
            if len(labels) and not (0 <= labels.min() and labels.max() < len(self.classes)):
                raise DataError(
                    f"{self.name}: y{part} has labels from {labels.min()} to {labels.max()}; "
                    f"with {len(self.classes)} classes they must be 0 to {len(self.classes) - 1}."
                )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.x.shape[1:]
        return height, width, channels

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all images and labels."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in ("x", "y", "x_val", "y_val", "x_test", "y_test"):
            if (array := getattr(self, part)) is not None:
                # The name too: the same images for validation and for test are two datasets.
                digest.update(f"{part}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]


def _is_text(name: str) -> bool:
    """Whether reports can hold it: names of files that are no UTF-8 have surrogates in them."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


@dataclass(frozen=True, eq=False)
class Split:
    """A dataset cut into train, validation and test. Only an export may look at test."""

    x: Images
    y: Labels
    x_val: Images
    y_val: Labels
    x_test: Images
    y_test: Labels
    x_clean: Images | None = None
    x_val_clean: Images | None = None


def split(data: Dataset, seed: int, validation: float = 1 / 6) -> Split:
    """Cut `data` once, stratified by class, by `seed`; parts that the dataset brings stay as they are.

    Raises:
        DataError: if a class has too few images to be in every part.
    """
    x, y, clean, x_test, y_test = data.x, data.y, data.x_clean, data.x_test, data.y_test
    if x_test is None or y_test is None:
        kept, taken = _cut(data, y, 0.2, seed)
        x_test, y_test = x[taken], y[taken]
        x, y, clean = x[kept], y[kept], clean[kept] if clean is not None else None
    if data.x_val is not None and data.y_val is not None:
        return Split(x, y, data.x_val, data.y_val, x_test, y_test, clean)
    kept, taken = _cut(data, y, validation, seed)
    cleans = (clean[kept], clean[taken]) if clean is not None else (None, None)
    return Split(x[kept], y[kept], x[taken], y[taken], x_test, y_test, *cleans)


def _cut(data: Dataset, y: Labels, fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where what is kept and what is split off are, both in order."""
    from sklearn.model_selection import train_test_split

    try:
        parts = train_test_split(np.arange(len(y)), test_size=fraction, random_state=seed, stratify=y)
    except ValueError as error:
        raise _too_few(data, fraction) from error
    kept, taken = (np.sort(part) for part in parts)
    # scikit-learn leaves a rare class out of a part without a word.
    if len({len(np.unique(part)) for part in (y, y[kept], y[taken])}) > 1:
        raise _too_few(data, fraction)
    return kept, taken


def _too_few(data: Dataset, fraction: float) -> DataError:
    kinds, counts = np.unique(data.y, return_counts=True)
    rarest = counts.argmin()
    return DataError(
        f"{data.name}: class '{data.classes[kinds[rarest]]}' has {counts[rarest]} of {len(data.y)} images, "
        f"too few to split off {fraction:.0%} of every class. Give it more images, or bring "
        "a validation and a test set."
    )
