"""Keeps on disk what a storage could not be told because its server did not answer, and tells it in the next run."""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from cnnsearch.core.whole_file import replaced

FILE = "unwritten.json"


class Write(NamedTuple):
    """A call of one of the methods of Optuna's storage that write.

    Attributes:
        method: the method's name.
        arguments: its arguments.
    """

    method: str
    arguments: tuple[Any, ...]

    def to(self, storage: BaseStorage) -> None:
        """Call the method."""
        getattr(storage, self.method)(*self.arguments)


def save(path: Path, study_id: int, writes: Iterable[Write]) -> None:
    """Write these calls to a file."""
    plain = [[write.method, *map(_encoded, write.arguments)] for write in writes]
    with replaced(path) as partial:
        partial.write_text(json.dumps({"study": study_id, "writes": plain}), "utf-8")


def send(path: Path, study_id: int, storage: BaseStorage) -> None:
    """Write what `save` stored to the storage, and delete the file. Nothing is written to another study."""
    try:
        known = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return
    for method, *arguments in known["writes"] if known["study"] == study_id else ():
        # a run on another machine may have requeued the trial since
        with contextlib.suppress(UpdateFinishedTrialError, KeyError):
            Write(method, tuple(map(_decoded, arguments))).to(storage)
    path.unlink()


def _encoded(value: Any) -> Any:
    if isinstance(value, BaseDistribution):
        return {"distribution": distribution_to_json(value)}
    if isinstance(value, TrialState):
        return {"state": value.name}
    return {"value": value}


def _decoded(encoded: dict[str, Any]) -> Any:
    if "distribution" in encoded:
        return json_to_distribution(encoded["distribution"])
    return TrialState[encoded["state"]] if "state" in encoded else encoded["value"]
