"""The small files of an export: card, plan, space, labels, leaderboard and pictures."""

import json
from typing import Any

import tomli_w
from numpy.typing import NDArray

from cnnsearch.data import pixel_values
from cnnsearch.data.splits import Split
from cnnsearch.results import leaderboard
from cnnsearch.results.export import card_text
from cnnsearch.spaces import space as spaces
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial


def texts(study: Study, members: list[Trial], space: spaces.Space, card: dict[str, Any]) -> dict[str, bytes]:
    """The text files by name. The plan of an ensemble is the list of its members' plans."""
    board = leaderboard.rows(study)
    written = {
        "leaderboard.csv": leaderboard.to_csv(board),
        "leaderboard.md": leaderboard.to_markdown(board),
        "labels.json": json.dumps(card["classes"], indent=1) + "\n",
        "card.md": card_text.text(card),
        "card.json": json.dumps(card, indent=1) + "\n",
        "space.toml": space_toml(space, study),
    }
    plans = [json.loads(member.plan) for member in members if member.plan]
    if plans:
        written["plan.json"] = json.dumps(plans if len(members) > 1 else plans[0], indent=1) + "\n"
    return {name: text.encode() for name, text in written.items()}


def pictures(chosen: Trial, parts: Split, probabilities: NDArray[Any], classes: tuple[str, ...]) -> dict[str, bytes]:
    """The pictures by file name; `probabilities` are predictions for the validation images.

    No picture shows the test set: whoever sees its mistakes will tune the model for them.
    """
    # Imported here, so that `cnnsearch predict` does not import Matplotlib.
    from cnnsearch.results import figures
    from cnnsearch.study import curves

    values, x, y = pixel_values.value_range(parts.x), parts.x_val, parts.y_val
    drawn = {
        "curves.png": curves.curves(chosen),
        "confusion.png": figures.confusion(y, probabilities, classes, f"validation, {len(y):,} images"),
        "mistakes.png": figures.mistakes(x, y, probabilities, classes, "validation", values),
        "samples.png": figures.samples(parts.x, parts.y, classes, "training images", values),
    }
    return {name: figures.png(figure) for name, figure in drawn.items()}


def space_toml(space: spaces.Space, study: Study) -> str:
    """The space as a file for `cnnsearch run --space FILE`."""
    name, given = study.info["dataset"]
    table: dict[str, Any] = {
        "description": space.description,
        "dataset": {"use": name, **given},
        **({"input_shape": list(space.input_shape)} if space.input_shape else {}),
        **({"model": space.model} if space.model else {}),
        **({"dimensions": [{"use": use.name, **use.options} for use in space.dimensions]} if space.dimensions else {}),
        "defaults": {**space.defaults, "epochs": study.info["epochs"], "metric": study.info["metric"]},
    }
    if space.trainer:
        table["trainer"] = {"use": space.trainer.name, **space.trainer.options}
    if space.recipes:
        table["recipes"] = space.recipes
    return tomli_w.dumps(table)
