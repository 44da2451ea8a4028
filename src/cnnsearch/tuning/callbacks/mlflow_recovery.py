"""What MLflow did not get and the study does not store: the epochs of repeats. Kept on disk until they are sent."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cnnsearch.study.confirmation import Repeat

FILE = "unsent.json"

Epochs = list[dict[str, float]]


class RepeatHistory(NamedTuple):
    """A repeat and the metrics of its epochs; none if they are not known any more."""

    repeat: Repeat
    history: Epochs


def write(folder: Path, repeats: Iterable[RepeatHistory]) -> None:
    """Keep the epochs of these repeats in the study's folder."""
    known = [[done.repeat.trial, done.repeat.seed, done.history] for done in repeats if done.history]
    if known:
        (folder / FILE).write_text(json.dumps(known), "utf-8")


def read(folder: Path) -> dict[tuple[int, int], Epochs]:
    """The epochs that were kept, by trial and seed."""
    try:
        known = json.loads((folder / FILE).read_text("utf-8"))
        return {(trial, seed): history for trial, seed, history in known}
    except (OSError, ValueError):
        return {}


def clear(folder: Path) -> None:
    """Forget them: they were sent."""
    (folder / FILE).unlink(missing_ok=True)
