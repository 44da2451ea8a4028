"""Verification of a written file: it predicts what Keras predicts; its size and its latencies are measured."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError, error_line
from cnnsearch.data.dataset import Images, Labels
from cnnsearch.results.export import formats
from cnnsearch.results.export.formats import BATCH, NOTHING_EXPORTED, Format
from cnnsearch.study import disk
from cnnsearch.training import heads, model_io

IMAGES = 512
"""The number of images that a file is compared on."""

MIN_AGREEMENT = 0.9
"""The least share of equal predicted classes for a format without a tolerance."""

SECONDS, MIN_CALLS, MAX_CALLS = 0.5, 7, 200
"""A latency is measured for this many seconds, with at least and at most this many calls."""


def verify(
    form: Format, path: Path, model: Any, images: Images, y: Labels, reads: str = "", classes: int = 0
) -> dict[str, Any]:
    """Open the written file in its own runtime, compare it with `model` on the first IMAGES images, and time it.

    Returns plain data: bytes, the largest difference of a probability, the number of equal predicted classes, and
    the latencies for one image and for a batch in seconds. A format without a tolerance also gets its accuracy on all
    images, whose labels are `y`. `reads` and `classes` say how outputs become probabilities (`heads.read`).

    Raises:
        CnnsearchError: if the file cannot be opened, or its predictions differ too much.
    """

    def probabilities(outputs: NDArray[Any]) -> NDArray[Any]:
        return heads.read(outputs, reads, classes or outputs.shape[-1])

    predict, compared = formats.open_written(form, path), images[:IMAGES]
    expected = probabilities(model_io.answers(model, compared))
    found = probabilities(_outputs(form, predict, compared))
    difference = float(abs(expected - found).max())
    equal = int((expected.argmax(1) == found.argmax(1)).sum())
    _check(form, difference, equal, len(compared))
    facts = {
        "file": form.file,
        "bytes": disk.size(path),
        "difference": difference,
        "equal": equal,
        "images": len(compared),
    }
    if form.tolerance is None:
        before, after = probabilities(model_io.answers(model, images)), probabilities(_outputs(form, predict, images))
        facts |= {"accuracy_before": _accuracy(before, y), "accuracy": _accuracy(after, y), "n": len(y)}
    return {**facts, **latencies(predict, compared)}


def _outputs(form: Format, predict: model_io.Predict, images: Images) -> NDArray[Any]:
    """The outputs of the file for all images, batch by batch."""
    try:
        return np.concatenate([predict(images[at : at + BATCH]) for at in range(0, len(images), BATCH)])
    except Exception as error:
        raise CnnsearchError(f"The written {form.file} does not run: {error_line(error)}.") from error


def _check(form: Format, difference: float, equal: int, count: int) -> None:
    if form.tolerance is None:
        # one of a few images may lie between two classes
        least = min(math.ceil(MIN_AGREEMENT * count), count - 1)
        if equal < least:
            raise CnnsearchError(
                f"The written {form.file} predicts the same class as the trained model on {equal} of {count} images; "
                f"expected {least} or more. {NOTHING_EXPORTED}"
            )
    # written so that a difference of NaN fails, too
    elif not difference < form.tolerance:
        raise CnnsearchError(
            f"The written {form.file} differs from the trained model by {difference:.2g} on {count} images; expected "
            f"under {form.tolerance:g}. Nothing was exported; a layer of the candidate has a state or is random, and "
            "the file does not hold that. An example is augmentation inside the model."
        )


def _accuracy(probabilities: NDArray[Any], y: Labels) -> float:
    return float((probabilities.argmax(1) == y).mean())


def latencies(predict: model_io.Predict, images: Images) -> dict[str, Any]:
    """For one image and for a batch: the median latency and its quartiles in seconds, and the number of calls."""
    facts: dict[str, Any] = {}
    for count in (1, BATCH):
        times = _times(predict, np.resize(images, (count, *images.shape[1:])))
        low, middle, high = (float(value) for value in np.quantile(times, (0.25, 0.5, 0.75)))
        facts |= {f"latency_{count}": middle, f"quartiles_{count}": [low, high], f"repeats_{count}": len(times)}
    return facts


def _times(predict: model_io.Predict, images: Images) -> list[float]:
    """The seconds of each call. Two calls before are not timed, because they compile and allocate."""
    for _ in range(2):
        predict(images)
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < MIN_CALLS or (len(times) < MAX_CALLS and time.perf_counter() < end):
        began = time.perf_counter()
        predict(images)
        times.append(time.perf_counter() - began)
    return times


def stored_facts(measured: dict[str, Any]) -> dict[str, Any]:
    """What a study stores for each format: its bytes, and the seconds for one image and for a batch."""
    kept = ("bytes", "latency_1", f"latency_{BATCH}")
    return {name: {key: facts[key] for key in kept} for name, facts in measured.items()}
