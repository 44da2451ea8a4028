"""The small files of an export: card, plan, space, labels, leaderboard and pictures."""

import json
from typing import Any

import tomli_w
from numpy.typing import NDArray

from cnnsearch.data import pixel_values
from cnnsearch.data.splits import Split
from cnnsearch.results import leaderboard
from cnnsearch.results.export import card as cards
from cnnsearch.spaces import space as spaces
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Record


def texts(study: Study, members: list[Record], space: spaces.Space, card: dict[str, Any]) -> dict[str, bytes]:
    """The texts by the names of their files; the plan of an ensemble is the list of its members' plans."""
    board = leaderboard.rows(study)
    written = {
        "leaderboard.csv": leaderboard.to_csv(board),
        "leaderboard.md": leaderboard.to_markdown(board),
        "labels.json": json.dumps(card["classes"], indent=1) + "\n",
        "card.md": cards.text(card),
        "card.json": json.dumps(card, indent=1) + "\n",
        "space.toml": space_toml(space, study),
    }
    plans = [json.loads(member.plan) for member in members if member.plan]
    if plans:
        written["plan.json"] = json.dumps(plans if len(members) > 1 else plans[0], indent=1) + "\n"
    return {name: text.encode() for name, text in written.items()}


def drawn(chosen: Record, parts: Split, probabilities: NDArray[Any], classes: tuple[str, ...]) -> dict[str, bytes]:
    """The pictures. Of validation, never of test: who looks at test's mistakes will tune for them."""
    from cnnsearch.results import figures as pictures
    from cnnsearch.study import curves

    values = pixel_values.value_range(parts.x)
    x, y, training = pixel_values.to_bytes(parts.x_val, values), parts.y_val, pixel_values.to_bytes(parts.x, values)
    figures = {
        "curves.png": curves.curves(chosen),
        "confusion.png": pictures.confusion(y, probabilities, classes, f"validation, {len(y):,} images"),
        "mistakes.png": pictures.mistakes(x, y, probabilities, classes, "validation"),
        "samples.png": pictures.samples(training, parts.y, classes, "training images"),
    }
    return {name: pictures.png(figure) for name, figure in figures.items()}


def space_toml(space: spaces.Space, study: Study) -> str:
    """The space as a file that `cnnsearch run --space FILE` takes."""
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
