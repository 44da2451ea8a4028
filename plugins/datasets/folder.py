"""A user's own pictures: one folder for each class, whose name is the class's name."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from cnnsearch import Dataset, dataset
from cnnsearch.arrays import expanded, make, pick, reason
from cnnsearch.errors import DataError, nearest
from cnnsearch.picture_files import FORMATS, SUFFIXES, is_grey, read

COLORS = {"grey": "L", "rgb": "RGB", "auto": ""}
PARTS = ("train", "val", "test")
MEANT = dict(zip(PARTS, PARTS, strict=True)) | {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
}
LOOKED_FOR = f"looked for PATH/train/CLASS/* or PATH/CLASS/* with {', '.join(SUFFIXES)}"


class Picture(NamedTuple):
    """Where a picture is, and what it shows."""

    file: Path
    part: str
    label: str


def reads(path):
    """Whether it is a folder, but none of arrays."""
    return path.is_dir() and not any(path.glob("*.npy"))


@dataset(reads=reads)
def folder(*, path="", size=0, color="auto", limit=0) -> Dataset:
    """Your own pictures in PATH/train/CLASS/* or PATH/CLASS/*, with val/ and test/ beside train/ if there."""
    _check_options(path, size, color)
    root = expanded(path)
    try:
        pictures = _scan(root)
    # RuntimeError: links that lead round in a circle.
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{root}: it cannot be looked through ({reason(error)}); expected folders that you may read and "
            "no links in a circle. Change their permissions, or take the link away."
        ) from error
    classes = _classes(root, pictures)
    pictures = _limited(pictures, limit)
    pixels = _load([picture.file for picture in pictures], size, COLORS[color])
    numbers = {label: number for number, label in enumerate(classes)}
    labels = np.array([numbers[picture.label] for picture in pictures])
    content = {}
    for part in PARTS:
        mine = [index for index, picture in enumerate(pictures) if picture.part == part]
        if not mine:
            continue
        # A part's pictures stand together, and a slice of the array is no copy of it.
        span = slice(mine[0], mine[-1] + 1)
        suffix = "" if part == "train" else f"_{part}"
        content |= {f"x{suffix}": pixels[span], f"y{suffix}": labels[span]}
    return make(str(root), name="folder", classes=classes, **content)


def _check_options(path, size, color):
    if not path:
        raise DataError("folder: which folder? Name one with `--set dataset.path=FOLDER`.")
    if not expanded(path).is_dir():
        raise DataError(f"{path}: this is not a folder; {LOOKED_FOR}. Set it with `--set dataset.path=FOLDER`.")
    if size < 0:
        raise DataError(f"folder: size={size}; expected 0 (as the pictures are) or their new width and height.")
    if color not in COLORS:
        raise DataError(f"folder: color='{color}'; expected one of {', '.join(COLORS)}.{nearest(color, COLORS)}")


def _scan(root):
    """All pictures, in the order of their names, train before val before test."""
    entries = _visible(root, root)
    for entry in entries:
        meant = MEANT.get(entry.name.lower(), entry.name)
        if meant != entry.name and _holds_folders(entry, root):
            raise DataError(f"{entry}: this would not be read; expected the name '{meant}'. Rename it.")
    parts = {entry.name: entry for entry in entries if entry.name in PARTS and _holds_folders(entry, root)}
    if not parts:
        return _pictures(root, root, "train")
    if "train" not in parts:
        raise DataError(f"{root}: there is {' and '.join(parts)} but no train; {LOOKED_FOR}. Add train/CLASS/*.")
    return [picture for part in PARTS if part in parts for picture in _pictures(parts[part], root, part)]


def _visible(place, root):
    """What is in a folder, sorted; a link that leaves `root` is refused, as nobody would expect its files."""
    entries = sorted(entry for entry in place.iterdir() if not entry.name.startswith("."))
    for entry in entries:
        if entry.is_symlink() and not entry.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{entry}: this link leads out of {root}; expected pictures inside. Copy them there.")
    return entries


def _holds_folders(place, root):
    return place.is_dir() and any(entry.is_dir() for entry in _visible(place, root))


def _pictures(place, root, part):
    """The pictures in the class folders of one part; a class without any is a mistake in train."""
    found = []
    for home in _visible(place, root):
        if home.is_symlink() and not home.exists():
            raise DataError(f"{home}: this link leads nowhere; expected pictures there. Mend it, or take it away.")
        if not home.is_dir():
            continue
        files = [
            file
            for file in _visible(home, root)
            # a link to nowhere too, so that it is named
            if file.suffix.lower() in SUFFIXES and (file.is_file() or not file.exists())
        ]
        if not files and part == "train":
            raise DataError(f"{home}: this class has no pictures; {LOOKED_FOR}. Add some, or move the folder away.")
        found += [Picture(file, part, home.name) for file in files]
    if not found:
        raise DataError(f"{place}: there are no pictures in class folders; {LOOKED_FOR}.")
    return found


def _classes(root, pictures):
    """The classes' names, sorted; those of train are all there are."""
    known = {picture.label for picture in pictures if picture.part == "train"}
    classes = sorted(known)
    if len(classes) < 2:
        raise DataError(f"{root}: there is one class only, '{classes[0]}'; expected a folder for each of two or more.")
    for _, part, label in pictures:
        if label not in known:
            raise DataError(
                f"{root}: the class '{label}' is in {part} but not in train, which has {_short(classes)}."
                f"{nearest(label, classes)} Add pictures of it to train, or move it away."
            )
    return classes


def _short(names):
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _limited(pictures, limit):
    """`limit` of the training pictures, chosen before any is opened."""
    train = [picture for picture in pictures if picture.part == "train"]
    kept = pick("folder", np.array([picture.label for picture in train]), limit)
    return [train[index] for index in kept] + [picture for picture in pictures if picture.part != "train"]


def _load(files, size, mode):
    """All pictures as one array, filled one by one, so that no two copies are in memory."""
    mode = mode or _common_mode(files)
    depth = (3,) if mode == "RGB" else ()
    # A size that is set is checked against the memory before the first picture is resized to it.
    pixels = _room(len(files), (size, size, *depth)) if size else None
    first, bad = None, []
    for index, file in enumerate(files):
        try:
            picture = read(file, mode, size, size)
        # Decoders raise nearly anything on damaged bytes; whatever it is, this file is at fault.
        except Exception as error:
            bad.append((file, error))
            continue
        if pixels is None:
            first, pixels = file, _room(len(files), picture.shape)
        if picture.shape != pixels.shape[1:]:
            raise DataError(
                f"{first} is {_size(pixels.shape[1:])} but {file} is {_size(picture.shape)} pixels; "
                "expected one size. Resize them all with `--set dataset.size=32`."
            )
        pixels[index] = picture
    if bad:
        raise _unreadable(bad)
    return pixels


def _common_mode(files):
    """Grey if every picture is; the headers tell, so that nothing is decoded for it."""
    return "L" if all(map(is_grey, files)) else "RGB"


def _room(count, shape):
    """An empty array for all pictures; the split takes a copy, so that twice as much must be free."""
    need, free = count * math.prod(shape), psutil.virtual_memory().available
    if 2 * need > free:
        raise DataError(
            f"folder: {count} pictures of {_size(shape)} pixels need {2 * need / 2**30:.1f} GiB of memory, "
            f"and {free / 2**30:.1f} are free. Make them smaller with `--set dataset.size=32`, or take fewer "
            "with `--set dataset.limit=1000`."
        )
    return np.empty((count, *shape), np.uint8)


def _size(shape):
    return f"{shape[1]}x{shape[0]}"


def _unreadable(bad):
    (file, error), others = bad[0], len(bad) - 1
    more = f" Neither can {others} other{'s' if others > 1 else ''}." if others else ""
    return DataError(
        f"{file}: this picture cannot be read ({reason(error)}).{more} Expected whole pictures "
        f"({', '.join(FORMATS)}). Move it away, or save it again."
    )
