"""The sections of a report that show images: the mistakes of the best model, and training images with augmentation."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core import prediction_file
from cnnsearch.core.errors import CnnsearchError, error_line
from cnnsearch.core.prediction_file import Predictions
from cnnsearch.data import pixel_values
from cnnsearch.data.dataset import Images, Labels
from cnnsearch.results.export import exported_model
from cnnsearch.results.origin import Origin, origin_of
from cnnsearch.results.report.facts import Facts
from cnnsearch.results.report.page import Chart, Picture, Section, Table, image, table
from cnnsearch.results.report.payload import Payload
from cnnsearch.spaces.plan import Plan
from cnnsearch.training import augmented_samples
from cnnsearch.training.augmented_samples import SIDE, VERSIONS

MISTAKES = 20
"""The number of mistakes whose images are shown."""

CELLS, PER_CELL, CELL_SIDE = 100, 6, 48
"""The number of images behind the cells of the confusion matrix, the most of one cell, and their pixels."""

MAX_CLASSES = 20
"""With more classes there is no confusion matrix, only the most frequent confusions."""


def model_sections(known: Facts, plugins: tuple[Path, ...]) -> tuple[Section, Section, Payload | None]:
    """The mistakes of the best model on validation, training images, and the data of the charts of mistakes.

    Test images are never used. The data is read; if it or the model is lost, a section says so.
    """
    wrong, samples = ("mistakes", "Mistakes of the best model"), ("samples", "Training images")
    if known.best is None:
        text = ("No trial is complete.",)
        return Section(*wrong, paragraphs=text), Section(*samples, paragraphs=text), None
    try:
        origin = origin_of(known.study, known.best, plugins)
    # a user's plugin may raise any error
    except Exception as error:
        text = (f"Not shown: the data cannot be read again. {_error_line(error)}",)
        return Section(*wrong, paragraphs=text), Section(*samples, paragraphs=text), None
    data: list[Payload] = []
    found = _section(wrong, lambda origin: mistakes(origin, data), origin)
    return found, _section(samples, training_images, origin), data[0] if data else None


def _section(head: tuple[str, str], make: Callable[[Origin], dict[str, Any]], origin: Origin) -> Section:
    try:
        return Section(*head, **make(origin))
    # a user's model may raise any error
    except Exception as error:
        return Section(*head, paragraphs=(f"Not shown: {_error_line(error)}",))


def _error_line(error: Exception) -> str:
    return error.message if isinstance(error, CnnsearchError) else error_line(error)


def mistakes(origin: Origin, data: list[Payload]) -> dict[str, Any]:
    """The fields of the section of mistakes on validation; what its charts show is added to `data`."""
    found = predictions_of(origin)
    if found is None:
        return {"paragraphs": (f"Not shown: the model of trial {origin.chosen.number} is not stored any more.",)}
    x, classes, values = origin.parts.x_val, origin.dataset.classes, pixel_values.value_range(origin.parts.x)
    wrong, count = int((found.predicted != found.labels).sum()), len(found.labels)
    text = [f"{wrong:,} of {count:,} validation images ({wrong / count:.2%}) are misclassified."]
    if wrong:
        text.append(f"The {min(wrong, MISTAKES)} most confident mistakes, and the confusion matrix:")
    labels, predicted = found.labels, found.predicted
    matrix = confusion_table(labels, predicted, classes)
    data.append(
        {
            "classes": list(classes),
            "images": [
                {"true": int(labels[at]), "predicted": int(predicted[at]), "confidence": float(found.confidence[at])}
                | {"address": image(pixel_values.to_bytes(x[at], values), "-", most=CELL_SIDE).address}
                for at in _of_each_cell(found)
            ],
            "calibration": calibration(found),
        }
    )
    more = " Choose a cell of the confusion matrix to see its images." if matrix else ""
    alt = "Calibration: the share of right predictions against the predicted probability"
    return {
        "paragraphs": tuple(text),
        "charts": (
            Chart("calibration", alt, "Above the diagonal: the model is right more often than it says." + more),
        ),
        "tables": tuple(table for table in (matrix, frequent_confusions(labels, predicted, classes)) if table),
        "images": confident_mistakes(x, found, classes, values),
        "widget": "mistakes",
    }


def _of_each_cell(found: Predictions) -> list[int]:
    """The places of the most confident mistakes, at most PER_CELL of each pair of classes and CELLS in all."""
    wrong = np.flatnonzero(found.predicted != found.labels)
    order = wrong[np.argsort(-found.confidence[wrong], kind="stable")]
    counts: Counter[tuple[int, int]] = Counter()
    places = []
    for at in map(int, order):
        pair = int(found.labels[at]), int(found.predicted[at])
        counts[pair] += 1
        if counts[pair] <= PER_CELL:
            places.append(at)
    return places[:CELLS]


def calibration(found: Predictions, parts: int = 10) -> list[dict[str, float]]:
    """Predictions in `parts` groups of equal width of their probability: mean probability, share of right ones, n."""
    right, confidence = found.predicted == found.labels, found.confidence.astype(float)
    group = np.minimum((confidence * parts).astype(int), parts - 1)
    masks = [group == place for place in range(parts)]
    return [
        {"confidence": float(confidence[mask].mean()), "right": float(right[mask].mean()), "n": int(mask.sum())}
        for mask in masks
        if mask.any()
    ]


def predictions_of(origin: Origin) -> Predictions | None:
    """What the trial's model predicts for the validation images; None if neither that nor the model is stored.

    Studies of earlier versions have no file of the predictions, so their model predicts again.
    """
    model = origin.study.checkpoint(origin.chosen)
    if model is None:
        return None
    if found := stored_predictions(origin):
        return found
    probabilities = origin.predict(exported_model.trained_model(origin), origin.parts.x_val)
    return prediction_file.of(probabilities, origin.parts.y_val)


def stored_predictions(origin: Origin) -> Predictions | None:
    """The file of the predictions, if there is one, and if it is of the same validation images."""
    model = origin.study.checkpoint(origin.chosen)
    found = prediction_file.read(prediction_file.beside(model)) if model else None
    return found if found is not None and np.array_equal(found.labels, origin.parts.y_val) else None


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
    x: Images, found: Predictions, classes: Sequence[str], values: pixel_values.Range
) -> tuple[Picture, ...]:
    """The mistakes with the highest predicted probabilities; `values` are shown as black and white."""
    y, predicted, confidence, _ = found
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
    first = augmented_samples.samples(parts.y, len(classes))
    raw, names = parts.x[first], [classes[parts.y[place]] for place in first]
    x = pixel_values.to_bytes(augmented_samples.smaller(raw), pixel_values.value_range(parts.x))
    plan = Plan.from_json(origin.chosen.plan) if origin.chosen.plan else None
    if plan is None or not plan.augment:
        text = f"Trial {number} was trained on the images as they are: its plan has no augmentation."
        images = tuple(image(one, name, name) for one, name in zip(x, names, strict=True))
        return {"paragraphs": (text,), "images": images}
    stored = stored_predictions(origin)
    versions = stored.augmented if stored else None
    strips = np.concatenate([x, *(augmented_samples.augmented(plan, raw) if versions is None else versions)], axis=1)
    images = tuple(
        image(
            strip,
            f"{name}: original, and {VERSIONS} augmented versions",
            name,
            most=(VERSIONS + 1) * SIDE,
        )
        for strip, name in zip(strips, names, strict=True)
    )
    layers = "; ".join(f"{kind} ({', '.join(f'{k} {v}' for k, v in given.items())})" for kind, given in plan.augment)
    text = f"At the top the original image; below it {VERSIONS} examples of trial {number}'s augmentation: {layers}."
    return {"paragraphs": (text,), "images": images}
