"""cnnsearch against what people use instead, on the same space, builder, split, backend and cores.

    CNNSEARCH_DATA=DIR python benchmarks/peers.py pilot --task digits
    CNNSEARCH_DATA=DIR python benchmarks/peers.py run --task digits --seeds 5
    CNNSEARCH_DATA=DIR python benchmarks/peers.py tested --task digits
    python benchmarks/peers.py table

Arms: A KerasTuner random, B KerasTuner Hyperband, C KerasTuner Bayesian, D Optuna's TPE with its median pruner and a
callback, E one epoch then the best three of a round of TRIALS, F cnnsearch as shipped but in float32 as the others, G
cnnsearch with one of its advantages off or another on. H is D with the space's default point first; I is H in two
processes of one thread each, with `steps_per_execution`; J is B after the default point; K is Ray Tune with ASHA and
its Optuna search, two trials at a time, the default point first. Seeds below 200 were there while cnnsearch was
developed. Each arm is a fresh process; the arms take turns within each seed.
`pilot` fixes the target: the median of what A reaches with TRIALS, or in CAP, on five seeds that are not used again.
In `run` an arm goes on until it has reached the target, but to EQUAL seconds at least and to CAP at most (`--to-end`:
to CAP in any case); what is there already is not run again, so it may be stopped at any time. `tested` trains what an
arm had chosen at any time until EQUAL seconds again and evaluates it on the test set; it has no clock. `run --cap 300`
runs what missed the target once more, with more time. Needs keras-tuner and tensorboard; K needs ray[tune], so it runs
only where it is named. AutoKeras is compared by `auto_keras.py`.

Times are from the launch of the process to the end of the epoch that reached the target, so imports, workers and
tracing are in them. All seconds of an arm, also those without success, are divided by how often it reached the target.
"""

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
from peers_events import began, logged, read, start, summary
from peers_page import write
from peers_results import (
    CAP,
    EQUAL,
    MOST,
    NEAR,
    OURS,
    PEERS,
    PILOT,
    RESULTS,
    TASKS,
    TRIALS,
    USUAL,
    goal,
    reached,
    rows,
)

HERE = Path(__file__).parent
ROOT = HERE.parent
MACHINE = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
EVENTS = "events.jsonl"
"""The file in which an arm of peer_arms.py writes its epochs."""


@click.group()
def main() -> None:
    """Measure, or write down what was measured."""


@main.command()
@click.option("--task", "tasks", multiple=True, default=TASKS, type=click.Choice(TASKS))
def pilot(tasks: tuple[str, ...]) -> None:
    """Fix the targets."""
    for task in tasks:
        for seed in PILOT:
            once(task, "A", seed, TRIALS[task], CAP[task])
        best = [row["best"] for row in rows(task) if row["arm"] == "A" and row["seed"] in PILOT]
        click.echo(f"{task}: A reached {best}, so the target is {median(best)}")


@main.command()
@click.option("--task", "tasks", multiple=True, default=TASKS, type=click.Choice(TASKS))
@click.option("--arm", "arms", multiple=True, default=USUAL, type=click.Choice((*PEERS, *OURS)))
@click.option("--seeds", default=5, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first of the seeds.")
@click.option("--cap", type=float, help="Most seconds of an arm; one that missed with fewer runs anew.")
@click.option("--to-end", is_flag=True, help="Go on when the target is reached.")
def run(tasks: tuple[str, ...], arms: tuple[str, ...], seeds: int, first: int, cap: float | None, to_end: bool) -> None:
    """Run what is missing, all arms of a seed before the next seed."""
    for seed in range(first, first + seeds):
        for task in tasks:
            target = None if to_end else goal(rows(task))
            # another arm begins with each seed
            for arm in (*arms[seed % len(arms) :], *arms[: seed % len(arms)]):
                once(task, arm, seed, MOST, cap or CAP[task], target)


def once(task: str, arm: str, seed: int, trials: int, cap: float, target: float | None = None) -> None:
    """Run one arm in a fresh process and keep its row, unless there is one; to `target`, or to its end.

    An arm that had less than `cap` seconds and missed the target is run again.
    """
    had = next((row for row in rows(task) if (row["arm"], row["seed"]) == (arm, seed)), None)
    if had and (had["cap"] >= cap or (target is not None and reached(had, target)[2])):
        return
    with tempfile.TemporaryDirectory() as name:
        folder, launched = Path(name), time.time()
        memory = launch(folder, task, arm, seed, trials, cap, target)
        wall = time.time() - launched
        events = read(folder / EVENTS) if arm in PEERS else list(logged(folder, launched))
        begun = {} if arm in PEERS else began(folder, launched)
    if not events:
        raise click.ClickException(f"{task} {arm} seed {seed} ended no epoch in {cap:g} seconds")
    row = {"task": task, "arm": arm, "seed": seed, "trials": trials, "cap": cap, "wall": round(wall, 2)}
    row |= summary(sorted(events), memory) | {"start": start(events, begun), "machine": MACHINE}
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f"{task}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    click.echo(
        f"{task} {arm} seed {seed}: {row['best']} in {wall:.1f} s, {row['epochs']} epochs, {row['begun']} trials"
    )


def launch(
    folder: Path, task: str, arm: str, seed: int, trials: int, cap: float, target: float | None
) -> list[tuple[float, int]]:
    """Run the process of an arm in `folder` until it ends, has reached `target`, or has had `cap` seconds.

    Gives the bytes of memory that it held, with the seconds since the launch.
    """
    out, launched = folder / EVENTS, time.time()
    environment = {**os.environ, "PEERS_LAUNCHED": str(launched), "TF_DETERMINISTIC_OPS": "1"}
    memory: list[tuple[float, int]] = []

    def done() -> bool:
        if target is None or time.time() - launched < EQUAL[task]:
            return False
        return best(folder, out) >= target - NEAR

    with (folder / "log").open("wb") as log:
        words = command(task, arm, seed, trials, out)
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)
        threading.Thread(target=watch, args=(process, launched, memory), daemon=True).start()
        code = wait(process, cap, done)
    if code:
        raise click.ClickException((folder / "log").read_text()[-2000:])
    return memory


def wait(process: "subprocess.Popen[bytes]", seconds: float, done: Callable[[], bool]) -> int | None:
    """The exit code of `process`; None if it was killed, because it was `done` or the time was up."""
    until = time.time() + seconds
    while time.time() < until and not done():
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            continue
    end(process)
    return None


def best(folder: Path, out: Path) -> float:
    """The best validation accuracy so far of a run, without a load on it."""
    if out.exists():
        return max((event.value for event in read(out)), default=0.0)
    try:
        store = sqlite3.connect(f"file:{folder}/mlflow.db?mode=ro", uri=True)
        found = store.execute("select max(value) from metrics where key = 'val_accuracy'").fetchone()[0]
    except sqlite3.Error:
        return 0.0
    # as rows have it, and so the target
    return round(float(found or 0.0), 6)


def command(task: str, arm: str, seed: int, trials: int, out: Path) -> list[str]:
    """The command line of an arm."""
    if arm in PEERS:
        script = HERE / ("peer_pair.py" if arm == "I" else "peer_arms.py")
        return [sys.executable, str(script), arm, task, str(seed), str(trials), str(out)]
    space = str(HERE / "spaces" / f"{task}_small.toml")
    words = ["run", "--space", space, "--study", "peers", "--seed", str(seed), "--trials", str(trials)]
    # no peer confirms its winner
    return [sys.executable, "-m", "cnnsearch", *words, "--confirm", "0", "--quiet", *OURS[arm]]


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and those that it began."""
    import psutil

    every = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for each in every:
        each.kill()
    process.wait()


def watch(process: "subprocess.Popen[bytes]", launched: float, memory: list[tuple[float, int]]) -> None:
    """Note every half second how much memory the process and its children hold."""
    import psutil

    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            held = sum(each.memory_info().rss for each in [parent, *parent.children(recursive=True)])
            memory.append((time.time() - launched, held))
        except psutil.Error:
            pass
        time.sleep(0.5)


@main.command()
@click.option("--task", "tasks", multiple=True, default=TASKS, type=click.Choice(TASKS))
@click.option("--arm", "arms", multiple=True, default=USUAL, type=click.Choice((*PEERS, *OURS)))
def tested(tasks: tuple[str, ...], arms: tuple[str, ...]) -> None:
    """Train the plans that the arms had chosen at each time again, and evaluate them on the test set."""
    from peers_tested import measure

    for task in tasks:
        measure(task, arms)


@main.command()
def table() -> None:
    """Write docs/benchmarks/peers.md and its plot."""
    measured = {task: rows(task) for task in TASKS}
    write({task: found for task, found in measured.items() if any(row["seed"] not in PILOT for row in found)})


if __name__ == "__main__":
    main()
