"""The best model looked at: what it confuses, its worst mistakes, and images as it was trained on them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data import pixel_values
from cnnsearch.data.dataset import Images, Labels
from cnnsearch.results.export import made
from cnnsearch.results.origin import Origin, origin_of
from cnnsearch.results.report.facts import Facts
from cnnsearch.results.report.page import Picture, Section, Table, image, table
from cnnsearch.spaces.plan import Plan

MISTAKES = 20
SAMPLES = 10
"""How many images are shown."""

TIMES = 3
"""How often each sample is augmented."""

MOST_CLASSES = 20
"""A matrix of more classes is not shown cell by cell."""


def looked_at(known: Facts, plugins: tuple[Path, ...]) -> tuple[Section, Section]:
    """What the best gets wrong and what it was trained on, on validation and training images, never on test.

    The data is read again and the kept model opened; where one is gone, its section says so.
    """
    wrong, seen = ("mistakes", "What the best gets wrong"), ("samples", "What it was trained on")
    if known.best is None:
        return Section(*wrong, words=("No trial is complete.",)), Section(*seen, words=("No trial is complete.",))
    try:
        origin = origin_of(known.study, known.best, plugins)
    # a plugin of the user's may raise anything
    except Exception as error:
        said = f"Not shown: the data cannot be read again. {_line(error)}"
        return Section(*wrong, words=(said,)), Section(*seen, words=(said,))
    return _shown(wrong, mistakes, origin), _shown(seen, samples, origin)


def _shown(head: tuple[str, str], make: Callable[[Origin], dict[str, Any]], origin: Origin) -> Section:
    try:
        return Section(*head, **make(origin))
    # so may a model of the user's
    except Exception as error:
        return Section(*head, words=(f"Not shown: {_line(error)}",))


def _line(error: Exception) -> str:
    said = error.message if isinstance(error, CnnsearchError) else f"{type(error).__name__}: {error}"
    return said.partition("\n")[0][:300]


def mistakes(origin: Origin) -> dict[str, Any]:
    """The confusion matrix, the commonest confusions and the surest mistakes on validation."""
    if origin.study.checkpoint(origin.chosen) is None:
        return {"words": (f"Not shown: the model of trial {origin.chosen.number} is not kept any more.",)}
    parts, classes = origin.parts, origin.dataset.classes
    probabilities = origin.predict(made.model_of(origin), parts.x_val)
    predicted = probabilities.argmax(1)
    wrong = int((predicted != parts.y_val).sum())
    count = len(parts.y_val)
    words = [f"{wrong:,} of {count:,} validation images ({wrong / count:.2%}) are taken for another class."]
    if wrong:
        words.append(f"The {min(wrong, MISTAKES)} of which it was surest, and the confusion matrix:")
    matrix = confusion(parts.y_val, predicted, classes)
    return {
        "words": tuple(words),
        "tables": tuple(found for found in (matrix, commonest(parts.y_val, predicted, classes)) if found),
        "images": surest(parts.x_val, parts.y_val, probabilities, classes, pixel_values.value_range(parts.x)),
    }


def confusion(y: Labels, predicted: NDArray[Any], classes: Sequence[str]) -> Table | None:
    """The matrix with its mistakes shaded; None for many classes."""
    from sklearn.metrics import confusion_matrix

    if len(classes) > MOST_CLASSES:
        return None
    counts = confusion_matrix(y, predicted, labels=np.arange(len(classes)))
    errors = counts * (1 - np.eye(len(classes), dtype=int))
    depth = 0.75 * errors / max(1, errors.max())
    rows = tuple(
        (name, *(str(count) if count else "" for count in row)) for name, row in zip(classes, counts, strict=True)
    )
    heat = tuple((0.0, *map(float, row)) for row in depth)
    return Table(("", *classes), rows, "Rows: the true class. Columns: what it was taken for.", heat=heat)


def commonest(y: Labels, predicted: NDArray[Any], classes: Sequence[str], most: int = 10) -> Table | None:
    """The most frequent confusions; None where there is no mistake."""
    pairs, counts = np.unique(np.stack([y, predicted])[:, y != predicted], axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    rows = [(classes[pairs[0, place]], classes[pairs[1, place]], counts[place]) for place in order]
    return table(("true class", "taken for", "times"), rows, "The commonest confusions", folded=True) if rows else None


def surest(
    x: Images, y: Labels, probabilities: NDArray[Any], classes: Sequence[str], values: pixel_values.Range
) -> tuple[Picture, ...]:
    """The mistakes of which the model was surest, `values` shown as black and white."""
    predicted, sure = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != y)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    return tuple(
        image(
            pixel_values.to_bytes(x[place], values),
            f"a {classes[y[place]]}, taken for {classes[predicted[place]]}",
            f"{classes[y[place]]}, taken for {classes[predicted[place]]} ({sure[place]:.0%})",
        )
        for place in worst
    )


def samples(origin: Origin) -> dict[str, Any]:
    """Training images, each as it is and three times as the best trial's augmentation changed it."""
    parts, classes, number = origin.parts, origin.dataset.classes, origin.chosen.number
    first = [int(np.flatnonzero(parts.y == label)[0]) for label in range(min(len(classes), SAMPLES))]
    raw, names = parts.x[first], [classes[parts.y[place]] for place in first]
    x = pixel_values.to_bytes(raw, pixel_values.value_range(parts.x))
    plan = Plan.from_json(origin.chosen.plan) if origin.chosen.plan else None
    if plan is None or not plan.augment:
        said = f"Trial {number} was trained on the images as they are: it has no augmentation of its plan."
        return {"words": (said,), "images": tuple(image(one, name, name) for one, name in zip(x, names, strict=True))}
    strips = np.concatenate([x, *(augmented(plan, raw, seed) for seed in range(TIMES))], axis=1)
    images = tuple(
        image(strip, f"{name}: as it is, and {TIMES} times augmented", name, most=(TIMES + 1) * 96)
        for strip, name in zip(strips, names, strict=True)
    )
    layers = "; ".join(f"{kind} ({', '.join(f'{k} {v}' for k, v in given.items())})" for kind, given in plan.augment)
    said = f"On top each image as it is; below, {TIMES} times as trial {number} may have seen it: {layers}."
    return {"words": (said,), "images": images}


def augmented(plan: Plan, x: Images, seed: int) -> Images:
    """Images of shape (n, height, width, channels) once through the plan's augmentation, as 8 bits to look at."""
    import keras

    from cnnsearch.training import build

    keras.utils.set_random_seed(seed)
    found = keras.ops.convert_to_tensor(pixel_values.to_unit(x, plan.value_range))
    for spec in plan.augment:
        found = build.layer(spec)(found, training=True)
    pixels: Images = np.clip(np.asarray(keras.ops.convert_to_numpy(found)) * 255, 0, 255).astype(np.uint8)
    return pixels
