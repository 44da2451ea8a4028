"""What the parent of many workers costs: searches whose trials only sleep, so all other time is the search's own.

    python benchmarks/many_workers.py run --workers 64 --seconds 10 --trials 1500 [--mlflow WHERE] [--nodes 4]
    CNNSEARCH_DATA=DIR python benchmarks/many_workers.py memory [--dataset mnist] [--workers 4] [--ray]
    python benchmarks/many_workers.py table

A row of `benchmarks/results/many_workers.json` has: the share of the workers' time that they slept, from the start of
the first trial to the start of the last one, and the same for the last nine tenths of the trials (`busy_later`), when
all workers have started; trials a second; the CPU seconds of the parent for a trial, in each tenth of the trials; its
memory at the end of each tenth; and the CPU seconds of MLflow's server, if there is one.
"""

import contextlib
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import psutil

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from tests import servers  # noqa: E402

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
@click.option(
    "--mlflow",
    type=click.Choice(["SQLite", "server on SQLite", "server on PostgreSQL"]),
    default="SQLite",
    show_default=True,
)
@click.option("--nodes", default=0, show_default=True, help="A Ray cluster of so many nodes; 0: local processes.")
@click.option("--options", default="", help="More options of `cnnsearch run`.")
@click.option("--source", default="", help="The folder `src` of another version of cnnsearch.")
@click.option("--label", default="", help="What is measured, such as `before`.")
def run(source: str, label: str, mlflow: str, nodes: int, **asked: Any) -> None:
    """Measure one search."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        environment = clean(folder, source, asked["seconds"])
        os.environ |= environment
        server = None
        if mlflow != "SQLite":
            places = {"server on SQLite": f"sqlite:///{folder / 'server.db'}"}
            place = places.get(mlflow) or stack.enter_context(servers.postgres()).database("mlflow")
            server = stack.enter_context(servers.mlflow(folder, place))
            environment |= {"MLFLOW_TRACKING_URI": server.uri}
        if nodes:
            environment |= {"RAY_ADDRESS": stack.enter_context(ray_cluster(nodes, asked["workers"]))}
        row = measured(folder, environment, server and server.pid, bool(nodes), **asked)
    launcher = f"Ray, {nodes} nodes" if nodes else "local"
    keep({"label": label, "mlflow": mlflow, "launcher": launcher, **asked, **row, "machine": MACHINE})


@main.command()
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--workers", default=4, show_default=True)
@click.option("--ray", is_flag=True, help="On a local Ray.")
def memory(dataset: str, workers: int, ray: bool) -> None:
    """Print the memory of each worker that sleeps: MiB in all, and MiB that no other process shares."""
    words = ["--space", f"{HERE / 'sleeping.py'}:Sleeping", "--dataset", dataset, "--jobs", str(workers), "--quiet"]
    words += ["--trials", str(workers), "--epochs", "1", "--confirm", "0"]
    words += ["--launcher", "ray", "--address", "local"] if ray else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = clean(folder, "", 30) | {"CNNSEARCH_DATA": os.environ.get("CNNSEARCH_DATA", "")}
        command = [sys.executable, "-m", "cnnsearch", "run", *words]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        held: list[tuple[float, float]] = []
        while process.poll() is None:
            time.sleep(2)
            found = [each for each in map(held_by, psutil.Process(process.pid).children(recursive=True)) if each]
            held = found if len(found) >= len(held) else held
    for whole, own in held:
        click.echo(f"{dataset} {'Ray' if ray else 'local'}: {whole:.0f} MiB, {own:.1f} MiB of its own")


def held_by(process: psutil.Process) -> tuple[float, float] | None:
    """The memory of a worker, and that of its own, in MiB; None for another process, or one that has ended."""
    try:
        if "cnnsearch.training.worker" not in process.cmdline():
            return None
        info = process.memory_full_info()
        return info.rss / MIB, info.uss / MIB
    except psutil.Error:
        return None


@main.command()
def table() -> None:
    """Print the table."""
    click.echo(markdown(rows()))


def clean(folder: Path, source: str, seconds: float) -> dict[str, str]:
    """The environment of all processes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    (folder / "slept").mkdir()
    # each worker is found by its command line
    other = {"CNNSEARCH_FORK_SERVER": "0", **({"PYTHONPATH": source} if source else {})}
    return {**kept, **other, "SLEEPING_SECONDS": str(seconds), "SLEEPING_LOG": str(folder / "slept"), "COLUMNS": "160"}


@contextlib.contextmanager
def ray_cluster(nodes: int, workers: int) -> Iterator[str]:
    """The address of a Ray cluster on this machine, whose nodes together have a core for each worker."""
    with servers.ray_nodes(0) as cluster:
        for _ in range(nodes):
            cluster.add(num_cpus=math.ceil(workers / nodes))
        yield cluster.address


def measured(folder: Path, environment: dict[str, str], server: int | None, ray: bool, **asked: Any) -> dict[str, Any]:
    """One search: what its parent and MLflow's server took."""
    words = ["--space", f"{HERE / 'sleeping.py'}:Sleeping", "--dataset", "digits", "--study", "sleeping", "--quiet"]
    words += ["--jobs", str(asked["workers"]), "--trials", str(asked["trials"]), "--epochs", str(asked["epochs"])]
    words += ["--sampler", asked["sampler"], "--confirm", "0", "--pruner", "none"]
    words += ["--launcher", "ray"] if ray else []
    words += shlex.split(asked["options"])
    began = time.time()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "cnnsearch", "run", *words], cwd=folder, env=environment, stdout=said, stderr=said
        )
    seen: list[tuple[float, float, float]] = []
    served = Watch(server) if server else None
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
        time.sleep(1)


def shares(
    slept: list[tuple[float, float, float]], seen: list[tuple[float, float, float]], asked: dict[str, Any]
) -> dict[str, Any]:
    """The workers' busy share, the trials a second, and by tenths of the trials the parent's CPU and memory."""
    first, last, later = slept[0][0], slept[-1][0], slept[len(slept) // PARTS][0]
    ends = sorted(ended for _, ended, _ in slept)
    marks = [first, *(ends[max(0, len(ends) * part // PARTS - 1)] for part in range(1, PARTS + 1))]
    at = [next((each for each in seen if each[0] >= mark), seen[-1]) for mark in marks]
    each = len(ends) / PARTS
    return {
        "busy": round(asleep(slept, first, last) / asked["workers"] / (last - first), 4),
        "busy_later": round(asleep(slept, later, last) / asked["workers"] / (last - later), 4),
        "per_second": round((len(slept) - 1) / (last - first), 2),
        "cpu_ms": [round(1000 * (b[1] - a[1]) / each, 1) for a, b in pairwise(at)],
        "cpu_all": round(seen[-1][1], 1),
        "mib": [round(found[2], 1) for found in at],
    }


def asleep(slept: list[tuple[float, float, float]], first: float, last: float) -> float:
    """The seconds that all workers slept between two moments."""
    return sum(
        seconds * max(0.0, min(last, ended) - max(first, began)) / max(1e-9, ended - began)
        for began, ended, seconds in slept
    )


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
    head = [
        *KIND,
        "n",
        "busy %",
        "later %",
        "trials/s",
        "CPU ms a trial",
        "in the first tenth",
        "in the last",
        "MiB",
        "server ms",
    ]
    lines = [head, ["---"] * len(head)]
    for kind in dict.fromkeys(tuple(row[name] for name in KIND) for row in every):
        same = [row for row in every if tuple(row[name] for name in KIND) == kind]
        server = [1000 * row["server_cpu"] / row["trials"] for row in same if row["server_cpu"]]
        numbers = [
            spread([100 * row["busy"] for row in same], 1),
            spread([100 * row["busy_later"] for row in same if "busy_later" in row], 1),
            spread([row["per_second"] for row in same], 1),
            spread([statistics.fmean(row["cpu_ms"]) for row in same], 0),
            spread([row["cpu_ms"][0] for row in same], 0),
            spread([row["cpu_ms"][-1] for row in same], 0),
            f"{same[0]['mib'][0]:.0f} to {same[0]['mib'][-1]:.0f}",
            spread(server, 0),
        ]
        lines.append([*map(str, kind), str(len(same)), *numbers])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: list[float], digits: int) -> str:
    """The median; for several values with the least and the most. Empty without values."""
    if not values:
        return ""
    text = f"{statistics.median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
