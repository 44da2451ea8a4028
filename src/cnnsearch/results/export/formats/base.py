"""A format of an exported model, and the two steps of every format: write the file, and open it again."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError, error_line
from cnnsearch.data.dataset import Images

if TYPE_CHECKING:
    from cnnsearch.training.model_io import Predict

BATCH = 64
"""The number of images in a batch for a written file."""

NOTHING_EXPORTED = "Nothing was exported. Leave this format out of --format."


class Format(NamedTuple):
    """One format of an exported model.

    Attributes:
        file: the name of its file or folder in an export.
        write: writes a model to a path; it also gets the training images.
        open: opens the written path in its own runtime.
        backends: the Keras backends that can write it; empty for any.
        needs: modules that must be installed, in addition to the dependencies of cnnsearch.
        extra: the extra of cnnsearch that installs them.
        tolerance: the largest allowed difference of a probability from Keras; None if predicted classes are compared.
        use: Python code that uses the file without this package; `snippets.program` completes it.
    """

    name: str
    file: str
    write: Callable[[Any, Path, Images], None]
    open: Callable[[Path], "Predict"]
    backends: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    extra: str = "formats"
    tolerance: float | None = 1e-4
    use: str = ""


def write(form: Format, model: Any, folder: Path, images: Images) -> Path:
    """Write `model` into `folder` and return the path. `images` are training images; the int8 format needs them.

    Raises:
        CnnsearchError: if the model cannot be written in this format.
        OSError: if the folder cannot be written.
    """
    path = folder / form.file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            form.write(model, path, images)
    except (CnnsearchError, OSError):
        raise
    except Exception as error:
        reason = error_line(error)
        raise CnnsearchError(f"The model cannot be written as {form.name}: {reason}. {NOTHING_EXPORTED}") from error
    return path


def open_written(form: Format, path: Path) -> "Predict":
    """The written file, opened in its own runtime.

    Raises:
        CnnsearchError: if the runtime cannot open it.
    """
    try:
        return form.open(path)
    except Exception as error:
        reason = error_line(error)
        raise CnnsearchError(f"The written {form.file} cannot be opened again: {reason}. {NOTHING_EXPORTED}") from error
