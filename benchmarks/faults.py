"""The long form of tests/faults: searches that are killed again and again, and one of many trials.

    python benchmarks/faults.py storm [--trials 30] [--kills 20] [--seeds 5]
    python benchmarks/faults.py endurance [--trials 300]
    python benchmarks/faults.py cluster [--trials 60] [--every 10 20] [--checkpoints ray|s3] [--seeds 1]

Each storm is one search on digits with two jobs whose workers and parent get SIGKILL at random moments, its command
begun again until it ends; what must be true then is checked. The figures go to `benchmarks/results/faults.json`.

`cluster` is a search on three Ray nodes, with PostgreSQL and an MLflow server. A random node is killed again and again,
and another one is added; PostgreSQL is restarted once, and MLflow is stopped for 30 seconds. What must be true then is
checked by `tests/faults/cluster.py`.
"""

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "faults.json"
MACHINE = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


@click.group()
def main() -> None:
    """Run one of the long forms."""


@main.command()
@click.option("--trials", default=30, show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--pause", default=20.0, show_default=True, help="Most seconds between two kills.")
def storm(trials: int, kills: int, seeds: int, pause: float) -> None:
    """Kill workers and the parent at random moments."""
    from tests.faults import storm as storms

    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            done = storms.rage(Path(folder), trials, kills, seed, pause)
            storms.check(Path(folder), trials)
        seconds = round(time.monotonic() - started)
        keep("storm", {"seed": seed, "trials": trials, **done._asdict(), "seconds": seconds})


@main.command()
@click.option("--trials", default=300, show_default=True)
def endurance(trials: int) -> None:
    """Look at memory and open files over many tiny trials."""
    from tests.faults import endurance as long

    with tempfile.TemporaryDirectory() as folder:
        held = long.watch(Path(folder), trials)
    marks = [each._asdict() for each in held if each.trials in (1, 10, trials // 2, trials)]
    keep("endurance", {"held": marks, "worst_worker": max(each.worker for each in held)})


@main.command()
@click.option("--trials", default=60, show_default=True)
@click.option("--epochs", default=8, show_default=True)
@click.option("--seconds", default=1.0, show_default=True, help="The length of an epoch.")
@click.option("--nodes", default=3, show_default=True)
@click.option("--every", nargs=2, default=(10.0, 20.0), show_default=True, help="Least and most seconds between kills.")
@click.option("--parents", default=0, show_default=True, help="How often the command is killed and begun again.")
@click.option("--checkpoints", type=click.Choice(("ray", "s3")), default="ray", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--most", default=3600.0, show_default=True, help="The run fails if it takes more seconds.")
def cluster(
    trials: int,
    epochs: int,
    seconds: float,
    nodes: int,
    every: tuple[float, float],
    parents: int,
    checkpoints: str,
    seed: int,
    most: float,
) -> None:
    """Kill nodes of a Ray cluster at random moments."""
    from tests.faults import cluster as clusters

    asked = {"trials": trials, "epochs": epochs, "epoch_seconds": seconds, "nodes": nodes, "every": list(every)}
    harm = clusters.Harm(kills=10**6, every=every, parents=parents)
    with (
        tempfile.TemporaryDirectory() as folder,
        clusters.site(Path(folder), nodes, checkpoints == "s3", seconds) as here,
    ):
        started = time.monotonic()
        clusters.rage(here, trials, epochs, seed, harm, most)
        took = round(time.monotonic() - started)
        found = clusters.check(here, trials)
    did = {what: harm.count(what) for what in ("node", "postgres", "mlflow", "parent")}
    keep("cluster", {"seed": seed, "checkpoints": checkpoints, **asked, "done": did, **found, "seconds": took})


def keep(kind: str, figures: dict[str, Any]) -> None:
    """Add figures to the results, and print them."""
    every = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    RESULTS.write_text(json.dumps([*every, {"kind": kind, "machine": MACHINE, **figures}], indent=1) + "\n")
    click.echo(json.dumps({"kind": kind, **figures}))


if __name__ == "__main__":
    main()
