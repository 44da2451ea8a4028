"""A written file proved: that it answers as Keras does, how fast it does so, and how large it is."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data.dataset import Images, Labels
from cnnsearch.results.export import formats
from cnnsearch.results.export.formats import BATCH, Format
from cnnsearch.training import heads, model_io

IMAGES = 512
"""How many images a file is compared on."""

AGREEING = 0.9
"""The least share of equal decisions of a file that is not compared by its probabilities."""

SECONDS, FEWEST, MOST = 0.5, 7, 200
"""For how long a latency is measured, and how often at least and at most."""


def prove(
    form: Format, path: Path, model: Any, images: Images, y: Labels, reads: str = "", classes: int = 0
) -> dict[str, Any]:
    """Open the written file in its own runtime, compare it with `model` on IMAGES of `images`, and time it.

    Gives back plain data: bytes, the largest difference of a probability, how many decisions are equal, latencies
    in seconds for one image and for a batch. A format without a tolerance is judged on all images and their labels
    `y` too. `reads` and `classes` tell how answers are read as probabilities (`heads.read`).

    Raises:
        CnnsearchError: if it does not open, or answers otherwise.
    """

    def read(found: NDArray[Any]) -> NDArray[Any]:
        return heads.read(found, reads, classes or found.shape[-1])

    answer, shown = formats.reopened(form, path), images[:IMAGES]
    expected = read(model_io.answers(model, shown))
    found = read(_answers(form, answer, shown))
    difference = float(abs(expected - found).max())
    equal = int((expected.argmax(1) == found.argmax(1)).sum())
    _judge(form, difference, equal, len(shown))
    told = {"file": form.file, "bytes": size(path), "difference": difference, "equal": equal, "images": len(shown)}
    if form.tolerance is None:
        told |= _accuracies(read(model_io.answers(model, images)), read(_answers(form, answer, images)), y)
    return {**told, **latencies(answer, shown)}


def _answers(form: Format, answer: model_io.Predict, images: Images) -> NDArray[Any]:
    """What the file answers, a batch at a time."""
    try:
        return np.concatenate([answer(images[at : at + BATCH]) for at in range(0, len(images), BATCH)])
    except Exception as error:
        raise CnnsearchError(f"The written {form.file} does not answer: {formats.said(error)}.") from error


def _judge(form: Format, difference: float, equal: int, count: int) -> None:
    if form.tolerance is None:
        if equal < AGREEING * count:
            raise CnnsearchError(
                f"The written {form.file} decides as the trained model does on {equal} of {count} images; expected "
                f"{math.ceil(AGREEING * count)} or more. {formats.NOTHING}"
            )
    # a difference that is no number must fail too
    elif not difference < form.tolerance:
        raise CnnsearchError(
            f"The written {form.file} differs from the trained model by {difference:.2g} on {count} images; expected "
            f"under {form.tolerance:g}. Nothing was exported; a layer of the candidate keeps state or chance that "
            "the file does not hold, such as augmentation inside the model."
        )


def _accuracies(expected: NDArray[Any], found: NDArray[Any], y: Labels) -> dict[str, Any]:
    """The share of right decisions of the model and of the file."""
    before, after = (float((answers.argmax(1) == y).mean()) for answers in (expected, found))
    return {"accuracy_before": before, "accuracy": after, "n": len(y)}


def size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    return sum(file.stat().st_size for file in files)


def latencies(answer: model_io.Predict, images: Images) -> dict[str, Any]:
    """Seconds for one image and for a batch: the median, its quartiles, and of how many."""
    told: dict[str, Any] = {}
    for count in (1, BATCH):
        times = _times(answer, np.resize(images, (count, *images.shape[1:])))
        low, middle, high = (float(value) for value in np.quantile(times, (0.25, 0.5, 0.75)))
        told |= {f"latency_{count}": middle, f"quartiles_{count}": [low, high], f"repeats_{count}": len(times)}
    return told


def _times(answer: model_io.Predict, images: Images) -> list[float]:
    """Seconds of each call, the first two, which compile and allocate, left out."""
    for _ in range(2):
        answer(images)
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < FEWEST or (len(times) < MOST and time.perf_counter() < end):
        began = time.perf_counter()
        answer(images)
        times.append(time.perf_counter() - began)
    return times


def brief(measured: dict[str, Any]) -> dict[str, Any]:
    """What a study keeps of each format: its bytes, and the seconds for one image and for a batch."""
    kept = ("bytes", "latency_1", f"latency_{BATCH}")
    return {name: {key: facts[key] for key in kept} for name, facts in measured.items()}
