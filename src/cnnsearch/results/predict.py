"""`cnnsearch predict`: classes and probabilities of picture files and arrays, from an exported model."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import CnnsearchError, DataError
from cnnsearch.data import pixel_values
from cnnsearch.data.arrays import reason
from cnnsearch.data.dataset import Images
from cnnsearch.results import prediction_inputs
from cnnsearch.results.export import MARK
from cnnsearch.results.export.formats import KNOWN
from cnnsearch.results.prediction_inputs import Input
from cnnsearch.spaces import plugins as catalog
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.hyperparameters import HyperParameters, replay

PREFERRED = ("keras", "onnx")
"""The formats of a folder that are used, the first one first: those that need no plugin."""


class Export(NamedTuple):
    """An exported model.

    Attributes:
        file: the model file.
        shape: (height, width, channels) of its images.
        classes: the names of its classes.
        card: the whole card.
        values: the range that the values of picture files are scaled to.
    """

    file: Path
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    card: dict[str, Any]
    values: pixel_values.Range = pixel_values.BYTES


class Answer(NamedTuple):
    """The most probable classes of one image with their probabilities, or the problem with its file in one line."""

    file: Path
    top: tuple[tuple[str, float], ...] = ()
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        if self.problem:
            return {"file": str(self.file), "error": self.problem}
        return {"file": str(self.file), "top": [{"class": name, "probability": p} for name, p in self.top]}


def rows(answers: Iterable[Answer]) -> list[tuple[str, str, str, str]]:
    """Picture, class, probability and the next classes, for a table; pictures with a problem are left out."""
    return [
        (str(file), top[0][0], f"{top[0][1]:.4f}", ", ".join(f"{name} {p:.4f}" for name, p in top[1:]))
        for file, top, problem in answers
        if not problem
    ]


def find(path: Path) -> Export:
    """The export at `path`: its folder, or a model file in it.

    Raises:
        CnnsearchError: if there is no export, or predict cannot use its formats.
    """
    folder = path if (path / MARK).is_file() else path.parent
    if not path.exists() or not (folder / MARK).is_file():
        what = f"it has no {MARK}" if path.exists() else "there is no such file or folder"
        raise CnnsearchError(f"{path}: {what}; expected a folder that `cnnsearch export` wrote.")
    try:
        card = json.loads((folder / MARK).read_text("utf-8"))
        if "study" in card and "classes" not in card:
            raise CnnsearchError(
                f"{folder}: the function of study '{card['study']}' trains for itself, so its card has no "
                "classes, which predict needs. Open the model file in the folder with your own code."
            )
        height, width, channels = (int(side) for side in card["input_shape"])
        if min(height, width, channels) < 1:
            raise ValueError(f"input_shape is {card['input_shape']}")
        values = pixel_values.of_pictures(card.get("data", {}))
        classes, formats = tuple(str(name) for name in card["classes"]), [str(name) for name in card["formats"]]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise CnnsearchError(
            f"{folder / MARK}: this is not a model card ({reason(error)}). Export the model again."
        ) from error
    names = _usable_files(formats)
    if not names:
        raise CnnsearchError(
            f"{folder}: predict needs keras or onnx, and this export has only {', '.join(formats)}. The card shows "
            "how those are used. Export it with --format keras too."
        )
    file = folder / names[0] if path == folder else path
    if file.name not in names:
        raise CnnsearchError(f"{path}: this is not a model of the export. It has {', '.join(names)}.")
    return Export(file, (height, width, channels), classes, card, values)


def _usable_files(formats: list[str]) -> list[str]:
    """The names of the model files that predict can use; those in PREFERRED formats come first."""
    usable = [name for name in formats if name not in KNOWN or name in PREFERRED]
    return [f"model.{name}" for name in sorted(usable, key=lambda name: name not in PREFERRED)]


def predict(export: Export, pictures: Iterable[Path], top: int = 3, plugins: tuple[Path, ...] = ()) -> Iterator[Answer]:
    """The predictions of the exported model for each picture, in their order; folders are searched for pictures.

    The values of a picture file, 0 to 255, are scaled to those of the training images, unless these were picture
    files too. The images of a `.npy` or `.npz` file are used unchanged, and named FILE[0], FILE[1], …

    Raises:
        CnnsearchError: if the model cannot be opened, or does not fit its card.
    """
    given = list(pictures)
    prediction_inputs.check(given, export.shape, export.file.parent)
    model = _open_model(export, plugins)
    size = max(1, min(256, 2**26 // math.prod(export.shape)))
    resize = str(export.card.get("data", {}).get("resize", "stretch"))
    batch: list[Input] = []
    for image in prediction_inputs.read(given, export.shape, export.values, resize):
        batch.append(image)
        if len(batch) == size:
            yield from _answers(export, model, batch, top)
            batch = []
    yield from _answers(export, model, batch, top)


def _open_model(export: Export, plugins: tuple[Path, ...]) -> Callable[[Images], Any]:
    """The model as a function of raw pixels; a `.keras` file is opened in Keras' safe mode."""
    known = catalog.load(plugins)  # before Keras opens the file, since plugins may register layers
    from cnnsearch.training import model_io

    try:
        return model_io.opened(export.file, lambda: _blank_model(export, known))
    except CnnsearchError:
        raise
    except Exception as error:
        raise CnnsearchError(
            f"{export.file}: it cannot be opened ({reason(error)[:200]}); expected a model that `cnnsearch export` "
            "wrote. Export it again; for a layer of your own, add --plugins FILE."
        ) from error


def _blank_model(export: Export, known: catalog.Catalog) -> Any:
    """An untrained network from the export's space, for a file that holds only weights."""
    from cnnsearch.training.candidate import from_hypermodel

    space = spaces.load(str(export.file.with_name("space.toml")), known)
    if not space.model or ":" in space.model:
        raise CnnsearchError(
            f"{export.file}: only '{space.model or space.name}' can read it, and code that an export names is not run; "
            "expected a model.keras or model.onnx, or a space that is a plugin."
        )
    hypermodel = spaces.hypermodel(space, known, export.shape, len(export.classes))
    hp = HyperParameters(replay(export.card["hyperparameters"]))
    shape = tuple(export.card["input_shape"])
    return from_hypermodel(hypermodel, hp, 1, shape, len(export.classes)).core


def _answers(export: Export, model: Callable[[Images], Any], batch: list[Input], top: int) -> Iterator[Answer]:
    images = [pixels for _, pixels in batch if not isinstance(pixels, str)]
    found = iter(_probabilities(export, model, np.stack(images)) if images else ())
    for file, pixels in batch:
        if isinstance(pixels, str):
            yield Answer(file, problem=pixels)
            continue
        probabilities = next(found)
        best = np.argsort(-probabilities, kind="stable")[:top]
        yield Answer(file, tuple((export.classes[n], round(float(probabilities[n]), 6)) for n in best))


def _probabilities(export: Export, model: Callable[[Images], Any], images: Images) -> Any:
    """The model's probabilities (n, classes).

    Raises:
        CnnsearchError: if the model fails, or has another number of outputs than its card.
    """
    from cnnsearch.training import heads

    expected = (len(images), len(export.classes))
    try:
        found = heads.read(model(images), str(export.card.get("reads", "")), expected[1])
        if found.shape != expected:
            raise DataError(f"its output has shape {found.shape[1:]}, and there are {expected[1]} classes")
    except Exception as error:
        raise CnnsearchError(
            f"{export.file} does not fit the {MARK} beside it ({reason(error)[:200]}). Export the model again."
        ) from error
    return found
