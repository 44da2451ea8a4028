"""A user's own images, with a folder for each class."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnsearch import Dataset, dataset
from cnnsearch.core.errors import DataError, nearest
from cnnsearch.data import array_files, loading
from cnnsearch.data.arrays import expanded, make, pick, reason
from cnnsearch.data.groups import overlaps
from cnnsearch.data.image_decoding import DecodingRequest, decoded
from cnnsearch.data.image_files import RESIZE, SUFFIXES

COLORS = {"grey": "L", "rgb": "RGB", "auto": ""}
PARTS = ("train", "val", "test")
MEANT = dict(zip(PARTS, PARTS, strict=True)) | {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
}
LOOKED_FOR = f"looked for PATH/train/CLASS/* or PATH/CLASS/* with {', '.join(SUFFIXES)}"
OURS = ("runs", "mlruns", "mlartifacts", "exports", "__pycache__")
"""Folders that cnnsearch, MLflow and Python make in the current folder."""


class Picture(NamedTuple):
    """An image file, its part (train, val or test) and its class."""

    file: Path
    part: str
    label: str


def reads(path):
    """Whether `path` is a folder, but not a folder of arrays."""
    return path.is_dir() and not array_files.reads(path)


@dataset(reads=reads)
def folder(
    *, path="", size=0, color="auto", limit=0, image_size="", resize="stretch", skip_unreadable=False, group_by=""
) -> Dataset:
    """Your own pictures in PATH/train/CLASS/* or PATH/CLASS/*, with val/ and test/ beside train/ if there."""
    wanted = _check_options(path, size, color, image_size, resize)
    root = expanded(path)
    try:
        pictures = _scan(root)
    # RuntimeError: links in a circle
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{root}: it cannot be searched for pictures ({reason(error)}); expected readable folders and "
            "no links in a circle. Change the permissions, or remove the link."
        ) from error
    classes = _classes(root, pictures)
    parts = _parts(_limited(pictures, limit))
    files = {part: [picture.file for picture in mine] for part, mine in parts.items()}
    grouped = {part: _groups(names, group_by) for part, names in files.items()} if group_by else {}
    found = decoded(DecodingRequest(root, files, COLORS[color], wanted, resize, skip_unreadable))
    content = {}
    for part, mine in parts.items():
        labels = [mine[at].label for at in found.read[part]]
        _check_left(root, part, mine, labels)
        suffix = "" if part == "train" else f"_{part}"
        content |= {f"x{suffix}": found.images[part], f"y{suffix}": np.array([classes.index(name) for name in labels])}
    if group_by:
        content["groups"] = np.array([grouped["train"][at] for at in found.read["train"]])
    notes = (*found.notes, *overlaps(grouped, "--group-by"))
    return make(str(root), name="folder", classes=classes, facts=found.facts, notes=notes, home=found.home, **content)


def _check_options(path, size, color, image_size, resize):
    """The width and height that the options ask for, or None."""
    if not path:
        raise DataError("folder: no path is given. Name a folder with `--dataset folder:PATH`.")
    if not expanded(path).is_dir():
        raise DataError(f"{path}: this is not a folder; {LOOKED_FOR}. Set it with `--dataset folder:PATH`.")
    if size < 0:
        raise DataError(f"folder: size={size}; expected 0 (chosen by the pictures) or their new width and height.")
    for name, value, known in (("color", color, COLORS), ("resize", resize, RESIZE)):
        if value not in known:
            raise DataError(f"folder: {name}='{value}'; expected one of {', '.join(known)}.{nearest(value, known)}")
    if not image_size:
        return (size, size) if size else None
    sides = re.fullmatch(r"\s*(\d{1,5})(?:\s*[xX\N{MULTIPLICATION SIGN}]\s*(\d{1,5}))?\s*", image_size)
    width, height = (int(side) for side in (sides[1], sides[2] or sides[1])) if sides else (0, 0)
    if not (width and height):
        raise DataError(
            f"folder: image_size='{image_size}'; expected WIDTHxHEIGHT such as 96x64, or one number such as 96."
        )
    if size:
        raise DataError(f"folder: both size={size} and image_size='{image_size}'; expected one of them.")
    return width, height


def _scan(root):
    """All image files, sorted by name within train, val and test."""
    parts = {}
    for entry in _visible(root, root):
        meant = MEANT.get(entry.name.lower())
        if meant and _holds_folders(entry, root):
            if meant in parts:
                raise DataError(
                    f"{root}: both {parts[meant].name} and {entry.name} hold images of {meant}. Rename one."
                )
            parts[meant] = entry
    if not parts:
        found = _pictures(root, root, "train")
        classes = sorted({picture.label for picture in found})
        if all(name.lower() in MEANT for name in classes):
            raise DataError(
                f"{root}: the pictures are directly in {' and '.join(classes)}; {LOOKED_FOR}. Put the pictures of "
                f"each class into a folder of their own, such as {classes[-1]}/CLASS."
            )
        return found
    if "train" not in parts:
        raise DataError(f"{root}: there is {' and '.join(parts)} but no train; {LOOKED_FOR}. Add train/CLASS/*.")
    return [picture for part in PARTS if part in parts for picture in _pictures(parts[part], root, part)]


def _visible(place, root):
    """The entries of a folder, sorted. A link that leads out of `root` is an error."""
    entries = sorted(entry for entry in place.iterdir() if not entry.name.startswith("."))
    for entry in entries:
        if entry.is_symlink() and not entry.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{entry}: this link leads out of {root}; expected pictures inside. Copy them there.")
    return entries


def _holds_folders(place, root):
    return place.is_dir() and any(entry.is_dir() for entry in _visible(place, root))


def _pictures(place, root, part):
    """The image files in the class folders of one part. An empty class folder in train is an error."""
    found = []
    for home in _visible(place, root):
        if home.is_symlink() and not home.exists():
            raise DataError(f"{home}: this link leads nowhere; expected pictures there. Correct or remove the link.")
        if not home.is_dir():
            continue
        if _is_ours(home, root):
            continue
        files = _files(home, root)
        if not files and part == "train":
            raise DataError(f"{home}: this class has no pictures; {LOOKED_FOR}. Add some, or move the folder away.")
        found += [Picture(file, part, home.name) for file in files]
    if not found:
        raise DataError(f"{place}: there are no pictures in class folders; {LOOKED_FOR}.")
    return found


def _files(home, root):
    """The image files of one class, also those in subfolders."""
    found = []
    for entry in _visible(home, root):
        if not entry.is_dir():
            found += [entry] if _is_picture(entry) else []
        # a link to a folder may be part of a circle
        elif not entry.is_symlink() and not _is_ours(entry, root):
            found += _files(entry, root)
    return found


def _is_picture(file):
    # also a broken link, so that the error names it
    return file.suffix.lower() in SUFFIXES and (file.is_file() or not file.exists())


def _is_ours(home, root):
    """Whether cnnsearch or MLflow made this folder. Its content decides, since a class may have any name."""
    if _is_export(home):
        return True
    if any(_is_picture(entry) for entry in _visible(home, root)):
        return False
    if home.name in OURS or home.resolve() in loading.current().written or (home / "cnnsearch.db").is_file():
        return True
    return any(_is_export(inside) or (inside / "meta.yaml").is_file() for inside in home.iterdir() if inside.is_dir())


def _is_export(home):
    """Whether `cnnsearch export` wrote this folder."""
    try:
        card = json.loads((home / "card.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and {"study", "trial", "classes"} <= card.keys()


def _classes(root, pictures):
    """The class names, sorted. Every class must be in train."""
    known = {picture.label for picture in pictures if picture.part == "train"}
    classes = sorted(known)
    if len(classes) < 2:
        inside = root / classes[0]
        meant = f" Did you mean {inside}?" if inside.is_dir() and _holds_folders(inside, root) else ""
        raise DataError(
            f"{root}: there is only one class, '{classes[0]}'; expected a folder for each of two or more.{meant}"
        )
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
    """`limit` of the training images, chosen before any file is opened."""
    train = [picture for picture in pictures if picture.part == "train"]
    kept = pick("folder", np.array([picture.label for picture in train]), limit)
    return [train[index] for index in kept] + [picture for picture in pictures if picture.part != "train"]


def _parts(pictures):
    """The image files of each part that is not empty."""
    every = {part: [picture for picture in pictures if picture.part == part] for part in PARTS}
    return {part: mine for part, mine in every.items() if mine}


def _check_left(root, part, pictures, labels):
    """Check that an image of each part, and of each class of train, could be read.

    Raises:
        DataError: if not.
    """
    if not labels:
        raise DataError(f"{root}: no picture of {part} can be read; expected one or more. Save them again.")
    lost = sorted({picture.label for picture in pictures} - set(labels))
    if lost and part == "train":
        raise DataError(
            f"{root}: no picture of class '{lost[0]}' can be read; expected one or more of each class. "
            "Save them again, or move the folder away."
        )


def _groups(files, pattern):
    """The group of each file: the first capturing group of `pattern` in its name, else the whole match."""
    try:
        known = re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"--group-by {pattern}: this is not a regular expression ({error}); "
            "expected one such as '^(patient[0-9]+)_'."
        ) from error
    return [_group(file, known) for file in files]


def _group(file, known):
    found = known.search(file.name)
    name = next((part for part in found.groups() if part), found[0]) if found else ""
    if not name:
        raise DataError(
            f"--group-by {known.pattern}: it does not match {file}; expected a part of every file's name. "
            "Change the expression, or rename the file."
        )
    return name
