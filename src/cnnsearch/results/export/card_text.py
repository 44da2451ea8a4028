"""The card of an exported model as Markdown, for people."""

from collections.abc import Iterable, Sequence
from typing import Any

from cnnsearch.core.metric_names import SHARES_RIGHT
from cnnsearch.data import pixel_values
from cnnsearch.results.export import snippets
from cnnsearch.results.export.card import accuracy_losses, confirmed_rows, format_table, model_notes, score_rows
from cnnsearch.results.majority import ADVICE


def text(card: dict[str, Any]) -> str:
    """The whole card."""
    parts = (_summary(card), _files(card), _use(card), _data(card), _hyperparameters(card), _versions(card))
    return "\n\n".join(parts) + "\n"


def _summary(card: dict[str, Any]) -> str:
    members, macs = card["members"], card["macs"]
    name = f"trial {members[0]}" if len(members) == 1 else f"trials {', '.join(map(str, members))} averaged"
    rows = [
        *score_rows(card, "test"),
        *score_rows(card, "validation"),
        *confirmed_rows(card),
        ("a constant answer", _constant_answer(card)),
        ("parameters", f"{card['params']:,}"),
        ("multiply-adds", f"{macs:,}" if macs else "unknown"),
        ("epochs", f"best {card['best_epoch']} of {card['epochs']}"),
        ("origin", card["origin"]),
    ]
    note = ""
    if card["test_looks"] > 1:
        note = (
            f" {card['test_looks']} models of this study were evaluated on the test set. If you choose among them by "
            "their test scores, the best of these is too optimistic."
        )
    notes = "".join(f"\n\n{line}." for line in (*model_notes(card), *accuracy_losses(card)))
    return f"""# {card["study"]}, {name}

{_markdown_table(("", ""), rows)}

This model was chosen by its validation score, so that score is too optimistic. The test set was not used for this choice.{note}{notes}

![Learning curves](curves.png)
![Confusion matrix on validation](confusion.png)
![The most confident mistakes on validation](mistakes.png)
![Samples of the training images](samples.png)"""  # noqa: E501


def _constant_answer(card: dict[str, Any]) -> str:
    """The share of the most frequent class, with a warning if the model is not better than always predicting it."""
    found = card["majority"]
    text = f"{found['validation']:.2%} of validation, {found['test']:.2%} of test are of class '{found['class']}'"
    if card["metric"] in SHARES_RIGHT and card["validation"]["accuracy"] <= found["validation"]:
        text += f" **WARNING: a constant answer is correct as often as this model. {ADVICE}**"
    return text


def _files(card: dict[str, Any]) -> str:
    header, *rows = format_table(card)
    return f"""## Files

{_markdown_table(header, rows)}

Each file was opened again in its own runtime, and its probabilities were compared with those of the trained model.
Latencies are the median and the quartiles of repeated calls after a warm-up, on {card["machine"]}."""


def _use(card: dict[str, Any]) -> str:
    return f"""## Use

{input_sentence(card)}
{snippets.meaning(card.get("reads", ""), card.get("outputs", 0), card["classes"])}

These programs run in this folder without cnnsearch. `cnnsearch predict . picture.png` gives the same result, except for
pictures with 16 bits per channel: the programs clip their values. `cnnsearch predict . images.npy` takes raw images.

{programs(card)}"""


def _data(card: dict[str, Any]) -> str:
    data, images, options = card["data"], card["data"]["images"], card["data"]["options"]
    given = f" ({', '.join(f'{name} = {value}' for name, value in options.items())})" if options else ""
    return f"""## Data

{data["name"]}{given}, fingerprint `{data["fingerprint"]}`:
{images["train"]:,} images for training, {images["val"]:,} for validation, {images["test"]:,} for test. They were split
once, stratified by class, with seed {card["seed"]}."""


def _hyperparameters(card: dict[str, Any]) -> str:
    return f"## Hyperparameters\n\n{_markdown_table(('hyperparameter', 'value'), card['hyperparameters'].items())}"


def _versions(card: dict[str, Any]) -> str:
    versions, commands = card["versions"], "\n".join(card["commands"])
    keras = f"Keras {versions['keras']} on {versions['backend']}, trained in {card['precision']}"
    return f"""## Made with

cnnsearch {versions["cnnsearch"]}, {keras if card["precision"] else "trained without Keras"}

```
{commands}
```"""


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    first = "| " + " | ".join(header) + " |" if any(header) else "|" + " |" * len(header)
    return "\n".join([first, "|" + " --- |" * len(header), *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def programs(card: dict[str, Any]) -> str:
    """A Python program for each written model that uses it without this package, as blocks of code."""
    shape = card["input_shape"]
    values = pixel_values.of_pictures(card["data"]) if shape[-1] in (1, 3) else value_range(card)
    read = snippets.reading(card.get("reads", ""), card.get("outputs", 0), len(card["classes"]))
    found = [snippets.program(use, shape, values, read) for use in card["use"].values() if use]
    resize = card["data"].get("resize", "")
    return "\n\n".join(f"```python\n{snippets.resized(program, resize)}\n```" for program in found)


def value_range(card: dict[str, Any]) -> pixel_values.Range:
    """(low, high) of the training images' values; 0 to 255 for a card of an earlier version."""
    low, high = card.get("data", {}).get("value_range", pixel_values.BYTES)
    return float(low), float(high)


def input_sentence(card: dict[str, Any]) -> str:
    """Which images the model takes."""
    low, high = value_range(card)
    shape = " x ".join(map(str, card["input_shape"]))
    dtype = card["data"].get("dtype", "uint8")
    values = f"{dtype} from {low:g} to {high:g}"
    text = f"The model takes raw images of {shape} with the values of training: {values}. It scales them itself."
    if pixel_values.of_pictures(card["data"]) == pixel_values.BYTES:
        return text
    return f"{text} The values of a picture file, 0 to 255, are scaled to {low:g} to {high:g}."
