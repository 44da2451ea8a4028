"""The sections of a report that show images: the mistakes of the best model, and training images with augmentation."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data import pixel_values
from cnnsearch.data.dataset import Images, Labels
from cnnsearch.results.export import exported_model
from cnnsearch.results.origin import Origin, origin_of
from cnnsearch.results.report.facts import Facts
from cnnsearch.results.report.page import Picture, Section, Table, image, table
from cnnsearch.spaces.plan import Plan

MISTAKES = 20
SAMPLES = 10
"""The number of images that are shown."""

AUGMENTED = 3
"""How many augmented versions of each sample are shown."""

MAX_CLASSES = 20
"""With more classes there is no confusion matrix, only the most frequent confusions."""


def model_sections(known: Facts, plugins: tuple[Path, ...]) -> tuple[Section, Section]:
    """The mistakes of the best model on validation, and training images. Test images are never used.

    The data is read and the stored model is opened. If one of them is lost, its section says so.
    """
    wrong, samples = ("mistakes", "Mistakes of the best model"), ("samples", "Training images")
    if known.best is None:
        text = ("No trial is complete.",)
        return Section(*wrong, paragraphs=text), Section(*samples, paragraphs=text)
    try:
        origin = origin_of(known.study, known.best, plugins)
    # a user's plugin may raise any error
    except Exception as error:
        text = (f"Not shown: the data cannot be read again. {_error_line(error)}",)
        return Section(*wrong, paragraphs=text), Section(*samples, paragraphs=text)
    return _section(wrong, mistakes, origin), _section(samples, training_images, origin)


def _section(head: tuple[str, str], make: Callable[[Origin], dict[str, Any]], origin: Origin) -> Section:
    try:
        return Section(*head, **make(origin))
    # a user's model may raise any error
    except Exception as error:
        return Section(*head, paragraphs=(f"Not shown: {_error_line(error)}",))


def _error_line(error: Exception) -> str:
    text = error.message if isinstance(error, CnnsearchError) else f"{type(error).__name__}: {error}"
    return text.partition("\n")[0][:300]


def mistakes(origin: Origin) -> dict[str, Any]:
    """The confusion matrix, the most frequent confusions and the most confident mistakes on validation."""
    if origin.study.checkpoint(origin.chosen) is None:
        return {"paragraphs": (f"Not shown: the model of trial {origin.chosen.number} is not stored any more.",)}
    parts, classes = origin.parts, origin.dataset.classes
    probabilities = origin.predict(exported_model.trained_model(origin), parts.x_val)
    predicted = probabilities.argmax(1)
    wrong = int((predicted != parts.y_val).sum())
    count = len(parts.y_val)
    text = [f"{wrong:,} of {count:,} validation images ({wrong / count:.2%}) are misclassified."]
    if wrong:
        text.append(f"The {min(wrong, MISTAKES)} most confident mistakes, and the confusion matrix:")
    matrix = confusion_table(parts.y_val, predicted, classes)
    return {
        "paragraphs": tuple(text),
        "tables": tuple(found for found in (matrix, frequent_confusions(parts.y_val, predicted, classes)) if found),
        "images": confident_mistakes(
            parts.x_val, parts.y_val, probabilities, classes, pixel_values.value_range(parts.x)
        ),
    }


def confusion_table(y: Labels, predicted: NDArray[Any], classes: Sequence[str]) -> Table | None:
    """The confusion matrix, mistakes shaded by their number; None for more than MAX_CLASSES classes."""
    if len(classes) > MAX_CLASSES:
        return None
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (y, predicted), 1)
    errors = counts * (1 - np.eye(len(classes), dtype=int))
    shade = 0.75 * errors / max(1, errors.max())
    rows = tuple(
        (name, *(str(count) if count else "" for count in row)) for name, row in zip(classes, counts, strict=True)
    )
    heat = tuple((0.0, *map(float, row)) for row in shade)
    return Table(("", *classes), rows, "Rows: true class. Columns: predicted class.", heat=heat)


def frequent_confusions(y: Labels, predicted: NDArray[Any], classes: Sequence[str], most: int = 10) -> Table | None:
    """The most frequent pairs of true and predicted class; None if there is no mistake."""
    pairs, counts = np.unique(np.stack([y, predicted])[:, y != predicted], axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    rows = [(classes[pairs[0, place]], classes[pairs[1, place]], counts[place]) for place in order]
    header = ("true class", "predicted class", "images")
    return table(header, rows, "The most frequent confusions", folded=True) if rows else None


def confident_mistakes(
    x: Images, y: Labels, probabilities: NDArray[Any], classes: Sequence[str], values: pixel_values.Range
) -> tuple[Picture, ...]:
    """The mistakes with the highest predicted probabilities; `values` are shown as black and white."""
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != y)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return tuple(
        image(
            pixel_values.to_bytes(x[place], values),
            f"a {classes[y[place]]}, predicted {classes[predicted[place]]}",
            f"{classes[y[place]]}, predicted {classes[predicted[place]]} ({confidence[place]:.0%})",
        )
        for place in worst
    )


def training_images(origin: Origin) -> dict[str, Any]:
    """One training image of each class, and what the best trial's augmentation makes of it."""
    parts, classes, number = origin.parts, origin.dataset.classes, origin.chosen.number
    first = [int(np.flatnonzero(parts.y == label)[0]) for label in range(min(len(classes), SAMPLES))]
    raw, names = parts.x[first], [classes[parts.y[place]] for place in first]
    x = pixel_values.to_bytes(raw, pixel_values.value_range(parts.x))
    plan = Plan.from_json(origin.chosen.plan) if origin.chosen.plan else None
    if plan is None or not plan.augment:
        text = f"Trial {number} was trained on the images as they are: its plan has no augmentation."
        images = tuple(image(one, name, name) for one, name in zip(x, names, strict=True))
        return {"paragraphs": (text,), "images": images}
    strips = np.concatenate([x, *(augmented(plan, raw, seed) for seed in range(AUGMENTED))], axis=1)
    images = tuple(
        image(strip, f"{name}: original, and {AUGMENTED} augmented versions", name, most=(AUGMENTED + 1) * 96)
        for strip, name in zip(strips, names, strict=True)
    )
    layers = "; ".join(f"{kind} ({', '.join(f'{k} {v}' for k, v in given.items())})" for kind, given in plan.augment)
    text = f"At the top the original image; below it {AUGMENTED} examples of trial {number}'s augmentation: {layers}."
    return {"paragraphs": (text,), "images": images}


def augmented(plan: Plan, x: Images, seed: int) -> Images:
    """Images of shape (n, height, width, channels), augmented once as the plan says, in 8 bits."""
    import keras

    from cnnsearch.training import build

    keras.utils.set_random_seed(seed)
    found = keras.ops.convert_to_tensor(pixel_values.to_unit(x, plan.value_range))
    for spec in plan.augment:
        found = build.layer(spec)(found, training=True)
    pixels: Images = np.clip(np.asarray(keras.ops.convert_to_numpy(found)) * 255, 0, 255).astype(np.uint8)
    return pixels
