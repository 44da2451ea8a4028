"""What the parent of many workers costs: searches whose trials only sleep, so all other time is the search's own.

    python benchmarks/many_workers.py run --workers 64 --seconds 10 --trials 1500 [--server] [--launcher NAME]
    python benchmarks/many_workers.py table

A row of `benchmarks/results/many_workers.json` has: the share of the workers' time that they slept, from the start of
the first trial to the start of the last one; trials a second; the CPU seconds of the parent for a trial, in each tenth
of the trials; its memory at the end of each tenth; and the CPU seconds of MLflow's server, if `--server` starts one
(else MLflow is written to a SQLite file).
"""

import json
import os
import platform
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import psutil

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "many_workers.json"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
MIB = 1 << 20
PARTS = 10


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--workers", default=64, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="The length of a trial.")
@click.option("--trials", default=1500, show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--sampler", default="tpe", show_default=True)
@click.option("--server", is_flag=True, help="MLflow's server by its address; else MLflow's SQLite file.")
@click.option("--launcher", default="local", show_default=True)
@click.option("--options", default="", help="More options of `cnnsearch run`.")
@click.option("--source", default="", help="The folder `src` of another version of cnnsearch.")
@click.option("--label", default="", help="What is measured, such as `before`.")
def run(source: str, label: str, server: bool, **asked: Any) -> None:
    """Measure one search."""
    with tempfile.TemporaryDirectory() as folder:
        environment = clean(Path(folder), source, asked["seconds"])
        with started_server(Path(folder), environment) if server else no_server() as (uri, process):
            row = measured(Path(folder), {**environment, **uri}, process, **asked)
    keep({"label": label, "mlflow": "server" if server else "SQLite", **asked, **row, "machine": MACHINE})


@main.command()
def table() -> None:
    """Print the table."""
    click.echo(markdown(rows()))


def clean(folder: Path, source: str, seconds: float) -> dict[str, str]:
    """The environment of all processes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    (folder / "slept").mkdir()
    other = {"PYTHONPATH": source} if source else {}
    return {**kept, **other, "SLEEPING_SECONDS": str(seconds), "SLEEPING_LOG": str(folder / "slept"), "COLUMNS": "160"}


@contextmanager
def no_server() -> Iterator[tuple[dict[str, str], None]]:
    """MLflow's SQLite file in the present folder."""
    yield {}, None


@contextmanager
def started_server(
    folder: Path, environment: dict[str, str]
) -> Iterator[tuple[dict[str, str], "subprocess.Popen[bytes]"]]:
    """MLflow's server with one process for requests, on a SQLite file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination",
        str(folder / "art"),
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *words, *places], env=environment, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            time.sleep(0.5)
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1)
                break
            except OSError:
                continue
        yield {"MLFLOW_TRACKING_URI": uri}, process
    finally:
        every = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for each in every:
            each.terminate()
        process.wait()


def measured(folder: Path, environment: dict[str, str], server: Any, **asked: Any) -> dict[str, Any]:
    """One search: what its parent and MLflow's server took."""
    words = ["--space", f"{HERE / 'sleeping.py'}:Sleeping", "--dataset", "digits", "--study", "sleeping", "--quiet"]
    words += ["--jobs", str(asked["workers"]), "--trials", str(asked["trials"]), "--epochs", str(asked["epochs"])]
    words += ["--sampler", asked["sampler"], "--confirm", "0", "--pruner", "none"]
    words += [] if asked["launcher"] == "local" else ["--launcher", asked["launcher"]]
    words += shlex.split(asked["options"])
    began = time.time()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "cnnsearch", "run", *words], cwd=folder, env=environment, stdout=said, stderr=said
        )
    seen: list[tuple[float, float, float]] = []
    served = Watch(server.pid) if server else None
    watcher = threading.Thread(target=watch, args=(process, seen, served))
    watcher.start()
    _, status, _ = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode:
        raise click.ClickException((folder / "said").read_text()[-2000:])
    slept = sorted(tuple(json.loads(line)) for path in (folder / "slept").glob("*") for line in path.open())
    return {"wall": round(time.time() - began, 1), **shares(slept, seen, asked), "server_cpu": served and served.cpu()}


class Watch:
    """The CPU seconds of a process and its children since now."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._first = self._last = self._now()

    def _now(self) -> float:
        one = psutil.Process(self._pid)
        return sum(sum(each.cpu_times()[:2]) for each in (one, *one.children(recursive=True)))

    def note(self) -> None:
        """Read the clock."""
        self._last = self._now()

    def cpu(self) -> float:
        """The seconds so far."""
        return round(self._last - self._first, 2)


def watch(process: "subprocess.Popen[Any]", seen: list[tuple[float, float, float]], served: Watch | None) -> None:
    """Note the CPU seconds and the memory of a process alone, without its children."""
    while process.returncode is None:
        try:
            one = psutil.Process(process.pid)
            seen.append((time.time(), sum(one.cpu_times()[:2]), one.memory_info().rss / MIB))
            if served:
                served.note()
        except psutil.Error:
            pass
        time.sleep(0.2)


def shares(
    slept: list[tuple[float, float, float]], seen: list[tuple[float, float, float]], asked: dict[str, Any]
) -> dict[str, Any]:
    """The workers' busy share, the trials a second, and by tenths of the trials the parent's CPU and memory."""
    first, last = slept[0][0], slept[-1][0]
    # the last trials end after `last`
    asleep = sum(seconds * min(1.0, (last - began) / max(1e-9, ended - began)) for began, ended, seconds in slept)
    ends = sorted(ended for _, ended, _ in slept)
    marks = [first, *(ends[max(0, len(ends) * part // PARTS - 1)] for part in range(1, PARTS + 1))]
    at = [next((each for each in seen if each[0] >= mark), seen[-1]) for mark in marks]
    each = len(ends) / PARTS
    return {
        "busy": round(asleep / asked["workers"] / (last - first), 4),
        "per_second": round((len(slept) - 1) / (last - first), 2),
        "cpu_ms": [round(1000 * (b[1] - a[1]) / each, 1) for a, b in pairwise(at)],
        "cpu_all": round(seen[-1][1], 1),
        "mib": [round(found[2], 1) for found in at],
    }


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def keep(row: dict[str, Any]) -> None:
    """Add a row."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("[\n" + ",\n".join(json.dumps(each) for each in [*rows(), row]) + "\n]\n")
    click.echo(json.dumps(row))


KIND = ("label", "launcher", "mlflow", "workers", "seconds", "trials", "sampler")


def markdown(every: list[dict[str, Any]]) -> str:
    """A row for each kind of search: the median of its runs, with the least and the most in brackets."""
    head = [*KIND, "n", "busy %", "trials/s", "CPU ms a trial", "in the first tenth", "in the last", "MiB", "server ms"]
    lines = [head, ["---"] * len(head)]
    for kind in dict.fromkeys(tuple(row[name] for name in KIND) for row in every):
        same = [row for row in every if tuple(row[name] for name in KIND) == kind]
        server = [1000 * row["server_cpu"] / row["trials"] for row in same if row["server_cpu"]]
        numbers = [
            spread([100 * row["busy"] for row in same], 1),
            spread([row["per_second"] for row in same], 1),
            spread([statistics.fmean(row["cpu_ms"]) for row in same], 0),
            spread([row["cpu_ms"][0] for row in same], 0),
            spread([row["cpu_ms"][-1] for row in same], 0),
            f"{same[0]['mib'][0]:.0f} to {same[0]['mib'][-1]:.0f}",
            spread(server, 0) if server else "",
        ]
        lines.append([*map(str, kind), str(len(same)), *numbers])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: list[float], digits: int) -> str:
    """The median; for several values with the least and the most."""
    text = f"{statistics.median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
