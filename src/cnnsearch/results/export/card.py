"""The card of an exported model: what it is, how good, from which data and how to make it again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core import metrics
from cnnsearch.core.version import VERSION
from cnnsearch.data import pixel_values
from cnnsearch.data.dataset import Dataset, Labels
from cnnsearch.data.splits import Split
from cnnsearch.results.export import snippets
from cnnsearch.results.export.ensemble import Compared
from cnnsearch.results.export.formats import BATCH
from cnnsearch.results.majority import ACCURACIES, ADVICE
from cnnsearch.study.study import FORMAT, Study
from cnnsearch.study.trial import Record


@dataclass(frozen=True)
class Measured:
    """An accuracy over `n` images; `more` are other metrics of the same answers, such as `auc`."""

    accuracy: float
    loss: float
    n: int
    more: dict[str, float] = field(default_factory=dict)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the accuracy (Wilson 1927)."""
        z, n, p = 1.959964, self.n, self.accuracy
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {self.n:,})"


def measure(probabilities: NDArray[Any], y: Labels, metric: str = "") -> Measured:
    """Accuracy and cross-entropy of probabilities (n, classes) against integer labels, and `metric` where it is one of
    `metrics.COMPUTED`."""
    right = probabilities.argmax(1) == y
    likely = probabilities[np.arange(len(y)), y].astype("float64")
    computed = metrics.measured(y, probabilities) if metric in metrics.COMPUTED else {}
    more = {metric.removeprefix("val_"): computed[metric]} if metric in computed else {}
    return Measured(float(right.mean()), float(-np.log(np.maximum(likely, 1e-12)).mean()), len(y), more)


def remembered(look: dict[str, Any]) -> Measured:
    """A measurement on test as a study keeps it."""
    more = {name: look[name] for metric in metrics.COMPUTED if (name := metric.removeprefix("val_")) in look}
    return Measured(look["accuracy"], look["loss"], look["n"], more)


def most_frequent(parts: Split, classes: Sequence[str]) -> dict[str, Any]:
    """The most frequent class of the validation images, and its share of them and of test's."""
    label = int(np.bincount(parts.y_val).argmax())
    shares = {"validation": float((parts.y_val == label).mean()), "test": float((parts.y_test == label).mean())}
    return {"class": classes[label], **shares}


def card(
    study: Study,
    chosen: Record,
    dataset: Dataset,
    validation: Measured,
    looks: list[dict[str, Any]],
    facts: dict[str, Any],
    options: str = "",
) -> dict[str, Any]:
    """The card as plain data; `facts` are what is known of the model as it was made and written, `options` those of
    the export's command."""
    import keras

    info, test = study.info, looks[-1]
    measured = remembered(test)
    return {
        "format": FORMAT,
        "study": study.name,
        "trial": chosen.number,
        "origin": chosen.origin,
        "score": chosen.score,
        "metric": info["metric"],
        "best_epoch": chosen.best_epoch,
        "epochs": chosen.epochs,
        "params": chosen.weights,
        "macs": chosen.macs,
        "hyperparameters": chosen.params,
        "classes": list(dataset.classes),
        "input_shape": list(dataset.input_shape),
        "data": {**info["data"], "options": info["dataset"][1]},
        "seed": info["seed"],
        "validation": _plain(validation),
        "test": _plain(measured),
        "test_looks": len(looks),
        "test_again": bool(test.get("again")),
        "precision": info["machine"].get("precision", "float32"),
        "versions": {
            "cnnsearch": VERSION,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
        "commands": [str(info.get("command", "")), _export_command(study, chosen, options)],
        **facts,
    }


def _plain(found: Measured) -> dict[str, Any]:
    return {"accuracy": found.accuracy, "interval": found.interval, "n": found.n, **found.more}


def test_rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    """What was measured on test, by the names of it: the metric that was searched for, and the accuracy."""
    return _rows(card, "test")


def _rows(card: dict[str, Any], part: str) -> list[tuple[str, str]]:
    told, name = card[part], card["metric"].removeprefix("val_")
    rows = [(f"{part} accuracy", str(Measured(told["accuracy"], 0, told["n"])))]
    if name in told and name != "accuracy":
        value = f"{told[name]:.2%}" if metrics.is_share(name) else f"{told[name]:.4f}"
        rows.insert(0, (f"{part} {metrics.DISPLAY_NAMES[name]}", f"{value} (n = {told['n']:,})"))
    return rows


def _constant(card: dict[str, Any]) -> str:
    """What the card says of a constant answer, as a row; a warning where the model is not above it."""
    found = card["majority"]
    said = f"{found['validation']:.2%} of validation, {found['test']:.2%} of test are of class '{found['class']}'"
    low = card["validation"]["accuracy"] <= found["validation"]
    warned = f" **WARNING: a constant answer is right as often as this model. {ADVICE}**" if low else ""
    return said + (warned if card["metric"] in ACCURACIES else "")


def _export_command(study: Study, chosen: Record, options: str) -> str:
    runs = study.folder.parent
    where = "" if runs == Path.cwd() / "runs" else f" --runs {_near(runs)}"
    which = "" if "--ensemble" in options else f" --trial {chosen.number}"
    return f"cnnsearch export{which}{options} {study.name}{where}"


def _near(path: Path) -> Path:
    """`path` from the current folder, where it lies inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _options(given: dict[str, Any]) -> str:
    """` (noise = 1.0)`, or nothing."""
    return f" ({', '.join(f'{name} = {value}' for name, value in given.items())})" if given else ""


def _snippets(card: dict[str, Any]) -> str:
    """How each written model is used without this package."""
    shape = card["input_shape"]
    values = pixel_values.of_pictures(card["data"]) if shape[-1] in (1, 3) else value_range(card)
    read = snippets.reading(card.get("reads", ""), card.get("outputs", 0), len(card["classes"]))
    programs = [snippets.program(use, shape, values, read) for use in card["use"].values() if use]
    resize = card["data"].get("resize", "")
    return "\n\n".join(f"```python\n{snippets.resized(program, resize)}\n```" for program in programs)


def value_range(card: dict[str, Any]) -> pixel_values.Range:
    """(low, high) of the values that the training images had, 0 to 255 where a card of before does not say."""
    low, high = card.get("data", {}).get("value_range", pixel_values.BYTES)
    return float(low), float(high)


def _values(card: dict[str, Any]) -> str:
    """What the model takes, in a sentence."""
    low, high = value_range(card)
    shape = " x ".join(map(str, card["input_shape"]))
    kind = card["data"].get("dtype", "uint8")
    said = f"The model takes raw images of {shape} as they were in training: {kind} from {low:g} to {high:g}."
    if pixel_values.of_pictures(card["data"]) == pixel_values.BYTES:
        return f"{said} It scales them itself."
    return f"{said} It scales them itself. The values of a picture file, 0 to 255, are brought to {low:g} to {high:g}."


def table(card: dict[str, Any]) -> list[tuple[str, ...]]:
    """A header and a row for each format: its file, what was compared, bytes and latencies."""
    header = ("format", "file", "largest difference", "equal decisions", "bytes", "one image", f"batch of {BATCH}")
    rows = [
        (
            name,
            facts["file"],
            f"{facts['difference']:.1g}",
            f"{facts['equal']} of {facts['images']}",
            f"{facts['bytes']:,}",
            _milliseconds(facts, 1),
            _milliseconds(facts, BATCH),
        )
        for name, facts in card["measured"].items()
    ]
    return [header, *rows]


def _milliseconds(facts: dict[str, Any], count: int) -> str:
    low, high = (1000 * seconds for seconds in facts[f"quartiles_{count}"])
    return f"{1000 * facts[f'latency_{count}']:.3g} ms ({low:.3g} to {high:.3g})"


def losses(card: dict[str, Any]) -> list[str]:
    """One line for each format that was judged by its decisions: the accuracy that it costs."""
    lines = []
    for name, facts in card["measured"].items():
        if "accuracy" in facts:
            cost = facts["accuracy_before"] - facts["accuracy"]
            lines.append(
                f"{name}: {facts['accuracy']:.2%} of validation's {facts['n']:,} images right, Keras "
                f"{facts['accuracy_before']:.2%}: a loss of {100 * cost:.2f} points"
            )
    return lines


def origin_notes(card: dict[str, Any]) -> list[str]:
    """What else must be known of a model that is not simply one trial's."""
    notes, compared = [], card.get("ensemble")
    if compared:
        found = Compared(*(compared[name] for name in Compared._fields))
        gain = f"on validation the mean of the best {found.models} is {found} against the best alone"
        chosen = f"An ensemble of trials {', '.join(map(str, card['members']))}"
        notes.append(f"{chosen}: {gain}" if compared["better"] else f"The best alone: {gain}, which is no sure gain")
    if card.get("refit"):
        notes.append(
            "Trained again on training and validation together, for its best number of epochs: figures on validation "
            "are from before that, or of images that it has learnt"
        )
    return notes


def text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    scores = "\n".join(f"| {name} | {said} |" for name, said in (*_rows(card, "test"), *_rows(card, "validation")))
    images, versions = card["data"]["images"], card["versions"]
    looks = card["test_looks"]
    note = (
        ""
        if looks == 1
        else f" Test was looked at for {looks} models of this study; choosing among them by it is optimistic."
    )
    rows = ["| " + " | ".join(row) + " |" for row in table(card)]
    rows.insert(1, "|" + " --- |" * len(table(card)[0]))
    known = "".join(f"\n\n{note}." for note in (*origin_notes(card), *losses(card)))
    choices = "\n".join(f"| {name} | {value} |" for name, value in card["hyperparameters"].items())
    members = card["members"]
    named = f"trial {members[0]}" if len(members) == 1 else f"trials {', '.join(map(str, members))} averaged"
    return f"""# {card["study"]}, {named}

| | |
| --- | --- |
{scores}
| a constant answer | {_constant(card)} |
| parameters | {card["params"]:,} |
| multiply-adds | {f"{card['macs']:,}" if card["macs"] else "unknown"} |
| epochs | best {card["best_epoch"]} of {card["epochs"]} |
| origin | {card["origin"]} |

Validation chose this model, so its figure is optimistic; test had no part in the choice.{note}{known}

![Learning curves](curves.png)
![Confusion matrix on validation](confusion.png)
![The worst mistakes on validation](mistakes.png)
![Samples of the training images](samples.png)

## Files

{chr(10).join(rows)}

Each file was opened again in its own runtime and compared with the trained model, probability by probability.
Latencies are the median and the quartiles of some dozens of warm calls on {card["machine"]}.

## Use

{_values(card)}
{snippets.meaning(card.get("reads", ""), card.get("outputs", 0), card["classes"])}

In this folder, without cnnsearch; `cnnsearch predict . picture.png` says the same. (Not of pictures of 16 bits a
channel, which this would clip.) `cnnsearch predict . images.npy` takes raw images.

{_snippets(card)}

## Data

{card["data"]["name"]}{_options(card["data"]["options"])}, fingerprint `{card["data"]["fingerprint"]}`:
{images["train"]:,} images for training, {images["val"]:,} for validation, {images["test"]:,} for test; split once,
stratified, by seed {card["seed"]}.

## Choices

| hyperparameter | value |
| --- | --- |
{choices}

## Made with

cnnsearch {versions["cnnsearch"]}, Keras {versions["keras"]} on {versions["backend"]}, trained in {card["precision"]}

```
{chr(10).join(card["commands"])}
```
"""
