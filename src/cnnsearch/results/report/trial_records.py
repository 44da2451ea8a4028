"""What else is kept of a trial: the end of its log, and its run in MLflow."""

import contextlib
import re
import sqlite3
from itertools import chain, islice
from pathlib import Path

from cnnsearch.results.report.facts import Facts
from cnnsearch.study import mlflow_store, schema

LOGS, LOG_BYTES = 40, 3000
"""The logs of so many trials are on the page, and so many bytes of each, its end."""

RUNS = 2000
"""The runs of so many trials are linked."""

CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
"""Control characters, and what terminals understand as colours and movements."""

QUERY = """
select own.value, runs.run_uuid, runs.experiment_id from tags as parent
join tags as own on own.run_uuid = parent.run_uuid and own.key = 'cnnsearch.trial'
join runs on runs.run_uuid = parent.run_uuid
where parent.key = 'mlflow.parentRunId' and parent.value = ? and runs.lifecycle_stage = 'active'
"""


def logs(known: Facts) -> dict[int, str]:
    """The end of what trials printed, by their numbers: of the best trials and of those that failed."""
    failed = (record for record in reversed(known.trials) if record.state == "failed")
    found: dict[int, str] = {}
    # so many of the best that there is room for those that failed
    for record in chain(known.complete[: LOGS // 2], failed):
        path = known.study.log(record.number)
        if path is not None and (text := _end(path)):
            found[record.number] = text
        if len(found) == LOGS:
            break
    return found


def _end(path: Path) -> str:
    """The last LOG_BYTES of a file as text, without control characters; empty if it cannot be read."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - LOG_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    # a line of progress is written again and again, each time after a carriage return
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    if size > LOG_BYTES:
        lines = ["…", *lines[1:]] if len(lines) > 1 else ["…", *lines]
    return CONTROL.sub("", "\n".join(lines)).strip("\n")


def mlflow_runs(known: Facts) -> dict[int, str]:
    """Where each trial's run is in MLflow's pages, by the trial's number: `experiments/1/runs/4da2…`.

    Empty if the store is not a SQLite file: a server is not asked.
    """
    fact = known.study.fact("mlflow") or {}
    parent = str(fact.get("run_id", ""))
    for address in dict.fromkeys((mlflow_store.tracking_uri(), str(fact.get("uri", "")))):
        name = schema.sqlite_file(address)
        if parent and name and Path(name).is_file() and (found := _runs(Path(name), parent)):
            best = [record.number for record in known.complete]
            order = dict.fromkeys((*best, *(record.number for record in known.trials)))
            return {number: found[number] for number in islice(filter(found.__contains__, order), RUNS)}
    return {}


def _runs(store: Path, parent: str) -> dict[int, str]:
    address = f"{store.absolute().as_uri()}?mode=ro"
    with (
        contextlib.suppress(sqlite3.Error, ValueError),
        contextlib.closing(sqlite3.connect(address, timeout=10, uri=True)) as database,
    ):
        found = database.execute(QUERY, (parent,)).fetchall()
        # they become a part of an address
        return {int(n): f"experiments/{int(exp)}/runs/{run}" for n, run, exp in found if re.fullmatch(r"\w+", run)}
    return {}
