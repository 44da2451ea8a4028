"""Picture files and arrays of images answered by an exported model: classes and their probabilities."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import CnnsearchError, DataError
from cnnsearch.data import array_files, image_files, pixel_values
from cnnsearch.data.arrays import reason
from cnnsearch.data.dataset import Images
from cnnsearch.results.export import MARK
from cnnsearch.results.export.formats import KNOWN
from cnnsearch.spaces import plugins as catalog
from cnnsearch.spaces import space as spaces

MODES = {1: "L", 3: "RGB"}
ARRAYS = (".npy", ".npz")
FIRST = ("keras", "onnx")
"""Which of an export's formats answers, where the file is not named: those that need no plugin."""


class Export(NamedTuple):
    """An exported model's file, and what its card says of it: the shape of its images, its classes, all else, and the
    range to which the values of a picture file are brought."""

    file: Path
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    card: dict[str, Any]
    values: pixel_values.Range = pixel_values.BYTES


class Answer(NamedTuple):
    """The most probable classes of one picture, the first first; or the problem with its file, on one line."""

    file: Path
    top: tuple[tuple[str, float], ...] = ()
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        if self.problem:
            return {"file": str(self.file), "error": self.problem}
        return {"file": str(self.file), "top": [{"class": name, "probability": p} for name, p in self.top]}


def rows(answers: Iterable[Answer]) -> list[tuple[str, str, str, str]]:
    """Picture, class, probability and what comes next, for a table; pictures that were not read are left out."""
    return [
        (str(file), top[0][0], f"{top[0][1]:.4f}", ", ".join(f"{name} {p:.4f}" for name, p in top[1:]))
        for file, top, problem in answers
        if not problem
    ]


def find(path: Path) -> Export:
    """The export at `path`: its folder, or a model file in it.

    Raises:
        CnnsearchError: if it is none.
    """
    folder = path if (path / MARK).is_file() else path.parent
    if not path.exists() or not (folder / MARK).is_file():
        what = "there is no" if path.exists() else "there is no such file or folder, and no"
        raise CnnsearchError(f"{path}: {what} {MARK} with it; expected a folder that `cnnsearch export` wrote.")
    try:
        card = json.loads((folder / MARK).read_text("utf-8"))
        height, width, channels = (int(side) for side in card["input_shape"])
        if min(height, width, channels) < 1:
            raise ValueError(f"input_shape is {card['input_shape']}")
        values = pixel_values.of_pictures(card.get("data", {}))
        classes, formats = tuple(str(name) for name in card["classes"]), [str(name) for name in card["formats"]]
        usable = [suffix for suffix in formats if suffix not in KNOWN or suffix in FIRST]
        names = [f"model.{suffix}" for suffix in sorted(usable, key=lambda suffix: suffix not in FIRST)]
        file = folder / (names or [""])[0] if path == folder else path
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise CnnsearchError(f"{folder / MARK}: this is no card ({reason(error)}). Export the model again.") from error
    if not names:
        raise CnnsearchError(
            f"{folder}: predict answers with keras or onnx, and this export has {', '.join(formats)} alone; the card "
            "shows how those are used. Export it with --format keras too."
        )
    if file.name not in names:
        raise CnnsearchError(f"{path}: this is no model of the export; it has {', '.join(names)}.")
    return Export(file, (height, width, channels), classes, card, values)


def predict(export: Export, pictures: Iterable[Path], top: int = 3, plugins: tuple[Path, ...] = ()) -> Iterator[Answer]:
    """What the exported model says of each picture, in their order; folders are looked through.

    The values of a picture file, 0 to 255, are brought to those that the training images had, unless these were
    picture files too. The images of a `.npy` or `.npz` file are taken as they are, and named FILE[0], FILE[1], …

    Raises:
        CnnsearchError: if the model cannot be opened, or is not what its card says.
    """
    given = list(pictures)
    if export.shape[2] not in MODES and not all(file.suffix.lower() in ARRAYS for file in given):
        sides = "x".join(map(str, export.shape))
        raise CnnsearchError(
            f"{export.file.parent}: the model takes images of {sides}; picture files have 1 or 3 channels. Give it "
            "a .npy file of such images."
        )
    model = _opened(export, plugins)
    size = max(1, min(256, 2**26 // math.prod(export.shape)))
    batch: list[tuple[Path, Images | str]] = []
    for image in _images(export, given):
        batch.append(image)
        if len(batch) == size:
            yield from _answers(export, model, batch, top)
            batch = []
    yield from _answers(export, model, batch, top)


def _opened(export: Export, plugins: tuple[Path, ...]) -> Callable[[Images], Any]:
    """The model as a function of raw pixels; a `.keras` file is opened in Keras' safe mode."""
    known = catalog.load(plugins)  # first, since plugins may register layers with Keras
    from cnnsearch.training import model_io

    try:
        return model_io.opened(export.file, lambda: _blank(export, known))
    except CnnsearchError:
        raise
    except Exception as error:
        raise CnnsearchError(
            f"{export.file}: it cannot be opened ({reason(error)[:200]}); expected a model that `cnnsearch export` "
            "wrote. Export it again; a layer of your own is made known by --plugins FILE."
        ) from error


def _blank(export: Export, known: catalog.Catalog) -> Any:
    """A network to be filled from a file that is none by itself, made by the space that wrote it."""
    from cnnsearch.spaces.hyperparameters import HyperParameters, replay
    from cnnsearch.training import training

    space = spaces.load(str(export.file.with_name("space.toml")), known)
    if not space.model or ":" in space.model:
        raise CnnsearchError(
            f"{export.file}: only '{space.model or space.name}' can read it, and code that an export names is not run; "
            "expected a model.keras or model.onnx, or a space that is a plugin."
        )
    hypermodel = spaces.hypermodel(space, known, export.shape, len(export.classes))
    hp = HyperParameters(replay(export.card["hyperparameters"]))
    shape = tuple(export.card["input_shape"])
    return training.from_hypermodel(hypermodel, hp, 1, shape, len(export.classes)).core


def _files(pictures: Iterable[Path]) -> Iterator[Path]:
    """The files, and those in the folders by name; a folder without any stands for itself."""
    for path in pictures:
        inside = [file for file in path.rglob("*") if _is_picture(file, path)] if path.is_dir() else []
        yield from sorted(inside) or [path]


def _images(export: Export, given: Iterable[Path]) -> Iterator[tuple[Path, Images | str]]:
    """Each image as the model takes it, or what is wrong with its file, with the name that it is told by."""
    # as the pictures of training were resized
    resize = str(export.card.get("data", {}).get("resize", "stretch"))
    for file in _files(given):
        if file.suffix.lower() in ARRAYS and file.is_file():
            yield from _from_arrays(file, export)
            continue
        if file.suffix.lower() in ARRAYS and not file.exists():
            yield file, f"{file}: there is no such file; expected arrays of images."
            continue
        pixels = _pixels(file, export.shape, resize)
        yield file, pixels if isinstance(pixels, str) else pixel_values.from_bytes(pixels, export.values)


def _from_arrays(file: Path, export: Export) -> Iterator[tuple[Path, Images | str]]:
    """The images of a file of arrays, raw: many, or one."""
    shape = export.shape
    try:
        images = pixel_values.compact({"it": array_files.images_of(file)})["it"]
    except DataError as error:
        yield file, error.message
        return
    except ValueError as error:
        yield file, f"{file}: {error}"
        return
    if problem := _other_scale(images, export.values):
        yield file, f"{file}: {problem}"
        return
    grey = shape[:2] if shape[2] == 1 else shape
    if images.shape in (shape, grey):
        yield file, images.reshape(shape)
    elif images.shape[1:] in (shape, grey):
        yield from ((Path(f"{file}[{n}]"), image.reshape(shape)) for n, image in enumerate(images))
    else:
        yield file, f"{file}: its array is of shape {images.shape}; the model takes (n, {', '.join(map(str, shape))})."


def _other_scale(images: Images, values: pixel_values.Range) -> str:
    """What is said of images whose values are far larger than those of training, or are 0 to 1 and those are not."""
    low, high = pixel_values.ends(images)
    top, known = max(abs(low), abs(high)), max(map(abs, values))
    smaller = images.dtype.kind == "f" and top <= 1 and known >= pixel_values.FEW
    if not (smaller or top > pixel_values.APART * known):
        return ""
    return (
        f"its values go from {low:g} to {high:g}, and the model was trained on {values[0]:g} to {values[1]:g}; "
        "expected images of the same scale as in training."
    )


def _is_picture(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    # a link to nowhere too, so that it is named
    return file.suffix.lower() in image_files.SUFFIXES and not hidden and (file.is_file() or not file.exists())


def _pixels(file: Path, shape: tuple[int, int, int], resize: str) -> Images | str:
    """One picture as the model takes it, or what is wrong with it."""
    if file.is_dir():
        return f"{file}: there are no pictures in this folder ({', '.join(image_files.SUFFIXES)})."
    # a pipe would be waited for, for ever
    if file.exists() and not file.is_file():
        return f"{file}: this is no plain file; expected a picture."
    height, width, channels = shape
    try:
        return image_files.read(file, MODES[channels], width, height, resize).reshape(shape)
    # decoders raise nearly anything on damaged bytes; whatever it is, this file is at fault
    except Exception as error:
        expected = f"expected a whole picture ({', '.join(image_files.FORMATS)})"
        return f"{file}: this picture cannot be read ({reason(error)}); {expected}."


def _answers(
    export: Export, model: Callable[[Images], Any], batch: list[tuple[Path, Images | str]], top: int
) -> Iterator[Answer]:
    images = [pixels for _, pixels in batch if not isinstance(pixels, str)]
    found = iter(_asked(export, model, np.stack(images)) if images else ())
    for file, pixels in batch:
        if isinstance(pixels, str):
            yield Answer(file, problem=pixels)
            continue
        probabilities = next(found)
        best = np.argsort(-probabilities, kind="stable")[:top]
        yield Answer(file, tuple((export.classes[n], round(float(probabilities[n]), 6)) for n in best))


def _asked(export: Export, model: Callable[[Images], Any], images: Images) -> Any:
    from cnnsearch.training import heads

    expected = (len(images), len(export.classes))
    try:
        found = heads.read(model(images), str(export.card.get("reads", "")), expected[1])
        if found.shape != expected:
            raise DataError(f"it answers {found.shape[1:]}, and there are {expected[1]} classes")
    except Exception as error:
        raise CnnsearchError(
            f"{export.file} does not fit the {MARK} beside it ({reason(error)[:200]}). Export the model again."
        ) from error
    return found
