"""The Dataset that a plugin returns: images and labels, their checks, and their fingerprint."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.data import labels, pixel_values

Images = NDArray[Any]
Labels = NDArray[np.int64]

IMAGES = "numbers of shape (n, height, width) or (n, height, width, channels), none of these zero"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images (n, height, width, channels) and labels (n,), with the classes' names.

    Images may be of any real numbers; they keep their values, in the most compact of uint8, uint16, int16, int32 and
    float32 that holds all parts. Images of shape (n, height, width) get their channel axis here. Labels may be whole
    numbers, bool, text, bytes or one-hot; they become codes 0 to n - 1, int64. The classes are those that occur in
    `y`, sorted, or in the order of `classes` where it names them.

    Attributes:
        name: the name in reports.
        x: training images, of shape (n, height, width, channels).
        y: their labels, of shape (n,).
        classes: the names of the classes.
        x_test: images of the test set. Without it, a fifth of the images becomes the test set.
        y_test: labels of the test set.
        x_val: images of the dataset's own validation set, if it has one.
        y_val: labels of the validation set.
        x_clean: `x` without its noise, if that is known: a target for networks that remove noise, never an input.
        groups: what each image of `x` belongs to, such as its patient, of shape (n,): a group is never split.
        facts: plain data that is recorded with the study.
        notes: lines for the user.
        home: the folder with the files of `x`, if it is mapped from files.

    Raises:
        DataError: if images or labels have other values or do not fit together, a class occurs only in validation or
            test, or there are fewer than two classes.
    """

    name: str
    x: Images
    y: Labels
    classes: tuple[str, ...] = ()
    x_test: Images | None = None
    y_test: Labels | None = None
    x_val: Images | None = None
    y_val: Labels | None = None
    x_clean: Images | None = None
    groups: NDArray[Any] | None = None
    facts: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    home: Path | None = None

    def __post_init__(self) -> None:
        for part in ("_test", "_val"):
            if (getattr(self, f"x{part}") is None) != (getattr(self, f"y{part}") is None):
                raise DataError(f"{self.name}: expected both x{part} and y{part}, but only one is given.")
        self._set_images()
        self._set_labels()
        for name in self.classes:
            if not _is_text(name):
                raise DataError(f"{self.name}: the class name {name!r} cannot be written as UTF-8. Rename it.")
        if len(self.classes) < 2:
            raise DataError(f"{self.name}: there is one class only; a classifier needs two or more.")
        self._check_groups()

    def _set_images(self) -> None:
        parts = ("x", "x_test", "x_val", "x_clean")
        images = {part: self._shaped(part) for part in parts if getattr(self, part) is not None}
        try:
            compact = pixel_values.compact(images)
        except ValueError as error:
            raise DataError(f"{self.name}: {error}") from error
        for part, array in compact.items():
            object.__setattr__(self, part, array)
        if not len(self.x):
            raise DataError(f"{self.name}: there are no training images.")
        if self.x_clean is not None and self.x_clean.shape != self.x.shape:
            raise DataError(
                f"{self.name}: x_clean is of shape {self.x_clean.shape}; expected that of x, {self.x.shape}."
            )
        for part, array in compact.items():
            if not len(array):
                raise DataError(f"{self.name}: {part} holds no images. Leave it out: then it is split off from x.")
            if array.shape[1:] != self.x.shape[1:]:
                raise DataError(f"{self.name}: {part} holds images of {array.shape[1:]}, x of {self.x.shape[1:]}.")

    def _shaped(self, part: str) -> Images:
        try:
            images: NDArray[Any] = np.asarray(getattr(self, part))
        except ValueError as error:
            raise DataError(f"{self.name}: {part} holds images of several shapes; expected {IMAGES}.") from error
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or 0 in images.shape[1:]:
            side = math.isqrt(images.shape[1]) if images.ndim == 2 else 0
            hint = (
                f" Shape flat images by `x.reshape(-1, {side}, {side})`."
                if side > 1 and side**2 == images.shape[1]
                else ""
            )
            raise DataError(f"{self.name}: {part} is {images.dtype} of shape {images.shape}; expected {IMAGES}.{hint}")
        if images.shape[1] in (1, 3) and images.shape[3] > 4:
            raise DataError(
                f"{self.name}: {part} of shape {images.shape} has its channels first; expected them last. "
                "Convert it: `x.transpose(0, 2, 3, 1)`."
            )
        return images

    def _set_labels(self) -> None:
        parts = [part for part in ("", "_test", "_val") if getattr(self, f"y{part}") is not None]
        given = {f"y{part}": getattr(self, f"y{part}") for part in parts}
        counts = {f"y{part}": len(getattr(self, f"x{part}")) for part in parts}
        try:
            coded = labels.coded(given, counts, self.classes)
        except ValueError as error:
            raise DataError(f"{self.name}: {error}") from error
        for part, codes in coded.codes.items():
            object.__setattr__(self, part, codes)
        object.__setattr__(self, "classes", coded.classes)

    def _check_groups(self) -> None:
        if self.groups is None:
            return
        groups: NDArray[Any] = np.asarray(self.groups)
        # columns of pandas have the dtype object
        if groups.dtype.kind == "O" and all(isinstance(each, str | int | np.integer) for each in groups.flat):
            groups = groups.astype(str)
        groups = groups[:, 0] if groups.ndim == 2 and groups.shape[1] == 1 else groups
        if groups.shape != (len(self.x),) or groups.dtype.kind not in "biufUS":
            raise DataError(
                f"{self.name}: groups is {groups.dtype} of shape {groups.shape} for {len(self.x)} images; "
                f"expected {len(self.x)} numbers or texts, such as the patient of each image of x."
            )
        object.__setattr__(self, "groups", groups)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (height, width, channels) of the images."""
        height, width, channels = self.x.shape[1:]
        return height, width, channels

    @property
    def fingerprint(self) -> str:
        """The 16 hexadecimal digits that identify all images and labels."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in ("x", "y", "x_val", "y_val", "x_test", "y_test"):
            if (array := getattr(self, part)) is not None:
                # with the name of the part, since the same images for validation and for test are two datasets;
                # with the type only if it is not uint8 or int64, so that older fingerprints stay valid
                kind = "" if array.dtype in (np.uint8, np.int64) else array.dtype.name
                digest.update(f"{part}{array.shape}{kind}".encode())
                digest.update(np.ascontiguousarray(array).data)
        if self.groups is not None:
            digest.update(f"groups{self.groups.tolist()}".encode())
        return digest.hexdigest()[:16]


def _is_text(name: str) -> bool:
    """Whether `name` can be written as UTF-8: file names that are not UTF-8 have surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
