"""The long form of tests/faults: searches that are killed again and again, and one of many trials.

    python benchmarks/faults.py storm [--trials 30] [--kills 20] [--seeds 5]
    python benchmarks/faults.py endurance [--trials 300]

Each storm is one search on digits with two jobs whose workers and parent get SIGKILL at random moments, its command
begun again until it ends; what must be true then is checked. The figures go to `benchmarks/results/faults.json`.
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


def keep(kind: str, figures: dict[str, Any]) -> None:
    """Add figures to the results, and print them."""
    every = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    RESULTS.write_text(json.dumps([*every, {"kind": kind, "machine": MACHINE, **figures}], indent=1) + "\n")
    click.echo(f"{kind}: {figures}")


if __name__ == "__main__":
    main()
