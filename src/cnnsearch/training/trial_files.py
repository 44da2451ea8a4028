"""What a trial leaves: its model, its predictions for the validation images, and which of them are right."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cnnsearch.core import packed_bits, prediction_file
from cnnsearch.core.errors import reason
from cnnsearch.data.dataset import Images
from cnnsearch.data.splits import Split
from cnnsearch.spaces.plan import Plan
from cnnsearch.training.worker_context import WorkerContext


def save(core: Any, path: str) -> tuple[str, str]:
    """Save a model to `path`, if it is not empty; returns what `saved` does."""
    from cnnsearch.training import model_io

    return saved(lambda file: model_io.save(core, file), path)


def saved(save: Callable[[Path], None], path: str) -> tuple[str, str]:
    """Call `save` with `path`, if it is not empty.

    Returns why the file cannot be written, and why the model cannot be saved; both empty if it was saved.
    """
    try:
        if path:
            save(Path(path))
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}", ""
    except Exception as error:
        # the layers of an author's model may raise any error; its trial is complete nevertheless
        traceback.print_exc()
        return "", f"{type(error).__name__}: {reason(error)}"
    return "", ""


def right(candidate: Any, split: Split, classes: int) -> str:
    """Which validation images the candidate classifies right, packed; empty if they are too many, or it fails."""
    if len(split.x_val) > packed_bits.MOST:
        return ""
    try:
        return packed_bits.packed(_probabilities(candidate, split.x_val, classes).argmax(1) == split.y_val)
    except Exception:
        # an author's model may raise any error; its score is known nevertheless
        traceback.print_exc()
        return ""


def save_predictions(candidate: Any, plan: str, context: WorkerContext, path: Path) -> None:
    """Write what the model in the file `path` predicts for the validation images, and some augmented images.

    A report shows them. Without this file it computes them itself, so errors are ignored.
    """
    from cnnsearch.training import augmented_samples

    split = context.split
    try:
        found = prediction_file.of(_probabilities(candidate, split.x_val, context.classes), split.y_val)
        if plan and (drawn := Plan.from_json(plan)).augment:
            some = split.x[augmented_samples.samples(split.y, context.classes)]
            found = found._replace(augmented=augmented_samples.augmented(drawn, some))
        prediction_file.write(prediction_file.beside(path), found)
    except Exception:
        traceback.print_exc()


def _probabilities(candidate: Any, x: Images, classes: int) -> NDArray[Any]:
    """The candidate's probabilities for images, (n, classes)."""
    from cnnsearch.training import heads, model_io

    return heads.read(model_io.answers_at_once(candidate.core, x), candidate.reads, classes)
