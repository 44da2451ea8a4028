"""Keeps the epochs of repeats on disk until MLflow has them; the study does not store them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cnnsearch.core.whole_file import replaced
from cnnsearch.study.confirmation import Repeat

FILE = "unsent.json"

Epochs = list[dict[str, float]]


class RepeatHistory(NamedTuple):
    """A repeat and the metrics of its epochs; an empty list if they are not known."""

    repeat: Repeat
    history: Epochs


def write(folder: Path, repeats: Iterable[RepeatHistory]) -> None:
    """Write the epochs of these repeats to the study's folder."""
    known = [[done.repeat.trial, done.repeat.seed, done.history] for done in repeats if done.history]
    if known:
        with replaced(folder / FILE) as partial:
            partial.write_text(json.dumps(known), "utf-8")


def read(folder: Path) -> dict[tuple[int, int], Epochs]:
    """The epochs that `write` stored, by trial and seed."""
    try:
        known = json.loads((folder / FILE).read_text("utf-8"))
        return {(trial, seed): history for trial, seed, history in known}
    except (OSError, ValueError):
        return {}


def clear(folder: Path) -> None:
    """Delete the stored epochs, because MLflow has them."""
    (folder / FILE).unlink(missing_ok=True)
