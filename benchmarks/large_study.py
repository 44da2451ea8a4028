"""How long the commands that read a study take, for an ordinary study and for one of 10,000 trials.

    python benchmarks/large_study.py make FOLDER [--trials N]
    python benchmarks/large_study.py run FOLDER… [--times N] [--label WORD] [--source FOLDER]
    python benchmarks/large_study.py table

`make` runs a real search of 6 trials of mnist_cnn on digits with new seeds for the best two, and adds trials that were
not trained until there are N: points of the space by chance with their real plans and costs, invented scores and
curves, and states as in a real search (complete, pruned, failed, infeasible). No invented score is better than those
of the real trials, so the best model is a real one. `run` measures each command N times in each of these folders.
Rows go to `benchmarks/results/large_study.json`; `--source` measures another version of cnnsearch.
"""

import importlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from optuna.trial import TrialState
from scaling import Used
from sqlalchemy.orm import Session

from cnnsearch.results.comparison.levels import position_of
from cnnsearch.spaces import plugins, space
from cnnsearch.spaces.cost import Cost, cost
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance
from cnnsearch.spaces.plan import Plan
from cnnsearch.study import bulk_write, listing
from cnnsearch.study.optuna_distributions import to_optuna
from cnnsearch.study.storage import open_storage
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, Trial
from cnnsearch.study.unwritten import Write

RESULTS = Path(__file__).parent / "results" / "large_study.json"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
REAL = 6
EPOCHS = 6
SHARES = {"complete": 0.55, "pruned": 0.35, "failed": 0.06, "refused": 0.04}
FAILURES = {"nan": "the loss was nan in epoch 2", "oom": "the device's memory was exhausted", "timeout": "too slow"}
SEARCH = (
    *("run", "--space", "mnist_cnn", "--dataset", "digits", "--study", "large", "--jobs", "1", "--quiet"),
    *("--trials", str(REAL), "--epochs", str(EPOCHS), "--confirm", "2x2", "--scheduler", "none"),
)
COMMANDS = {
    "leaderboard": ("leaderboard", "large"),
    "leaderboard --top 0": ("leaderboard", "large", "--top", "0"),
    "leaderboard --format csv": ("leaderboard", "large", "--format", "csv"),
    "studies": ("studies",),
    "report": ("report", "large"),
    "compare": ("compare", "large"),
}


@click.group()
def main() -> None:
    """Make a large study, measure, or show what was measured."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--trials", default=10_000, show_default=True)
def make(folder: Path, trials: int) -> None:
    """Make a study of so many trials in FOLDER/runs."""
    folder.mkdir(parents=True, exist_ok=True)
    call(folder, SEARCH)
    study = listing.load("large", folder / "runs")
    fill(study, folder / "runs", trials - len(study.trials()))
    click.echo(f"{len(study.trials())} trials are in {folder / 'runs'}")


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--times", default=3, show_default=True)
@click.option("--label", default="now", show_default=True, help="What is measured, such as `before`.")
@click.option("--source", default="", help="The folder `src` of another version of cnnsearch.")
@click.option("--only", multiple=True, type=click.Choice([*COMMANDS]), help="Measure only this command.")
def run(folders: tuple[Path, ...], times: int, label: str, source: str, only: tuple[str, ...]) -> None:
    """Measure the commands on the studies that `make` made."""
    for folder in folders:
        trials = len(listing.load("large", folder / "runs").trials())
        for name in only or COMMANDS:
            used = [call(folder, COMMANDS[name], source) for _ in range(times)]
            keep({"label": label, "trials": trials, "command": name, "used": used, "machine": MACHINE})


@main.command()
def table() -> None:
    """Print the table."""
    click.echo(markdown(rows()))


def call(folder: Path, words: Iterable[str], source: str = "") -> Used:
    """Run `cnnsearch` with these words in `folder`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    environment = {**clean, "COLUMNS": "160", **({"PYTHONPATH": source} if source else {})}
    began = time.time()
    with (folder / "said").open("w") as said:
        line = [sys.executable, "-m", "cnnsearch", *words]
        process = subprocess.Popen(line, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException((folder / "said").read_text()[-2000:])
    cpu = usage.ru_utime + usage.ru_stime
    return Used(round(time.time() - began, 2), round(cpu, 2), round(usage.ru_maxrss / 1024))


# -- trials that were not trained ------------------------------------------------------------------


def fill(study: Study, runs: Path, count: int) -> None:
    """Add so many trials to a study; they are written to Optuna's tables together."""
    real = study.trials()
    worst = min(record.score for record in real if record.score is not None)
    to = bulk_write.database(open_storage(runs))
    assert to is not None
    models = importlib.import_module("optuna.storages._rdb.models")
    first, began = len(real), datetime.now()
    with Session(to.engine) as session, session.begin():
        stored = [
            models.TrialModel(
                number=first + place, study_id=study.optuna._study_id, state=TrialState.RUNNING, datetime_start=began
            )
            for place in range(count)
        ]
        session.add_all(stored)
        session.flush()
        ids = [each.trial_id for each in stored]
    drawn = invented(study, range(first, first + count), worst)
    for place in range(0, count, 500):
        some = ids[place : place + 500]
        bulk_write.write(to, [write for id_ in some for write in writes(id_, *next(drawn))])
    with Session(to.engine) as session, session.begin():
        for place, id_ in enumerate(ids):
            trial = session.get(models.TrialModel, id_)
            trial.datetime_start = began + timedelta(seconds=place)
            trial.datetime_complete = began + timedelta(seconds=place + 1)


def invented(study: Study, numbers: Iterable[int], worst: float) -> Iterator[tuple[Trial, HyperParameters]]:
    """Trials with these numbers, by chance, with scores below `worst`."""
    chance = random.Random(0)
    known, data = plugins.load(), study.info["data"]
    used = space.Space.from_dict(study.info["space"])
    shape, classes = tuple(data["input_shape"]), len(data["classes"])
    start = space.start_plan(used, shape, classes, EPOCHS, tuple(data["value_range"]))
    for number in numbers:
        hp = HyperParameters(by_chance(number))
        plan = space.draw(used, known, hp, start)
        price, state = price_of(plan), chance.choices([*SHARES], [*SHARES.values()])[0]
        state = state if price else "refused"
        epochs = {"complete": EPOCHS, "pruned": chance.randint(1, EPOCHS - 1), "failed": 1, "refused": 0}[state]
        curve = history(worst * quality(hp, chance), epochs)
        best = max(range(epochs), key=lambda at: curve[at]["val_accuracy"]) if state in ("complete", "pruned") else None
        kind = chance.choice([*FAILURES]) if state == "failed" else "too_large" if state == "refused" else ""
        price = price or Cost()
        yield (
            Trial(
                number=number,
                state=state,
                score=None if best is None else curve[best]["val_accuracy"],
                best_epoch=0 if best is None else best + 1,
                epochs=epochs,
                seconds=round(epochs * (0.2 + price.macs / 1e7), 3),
                weights=price.params,
                macs=price.macs,
                key=plan.key,
                plan=plan.to_json(),
                seed=number,
                failure=kind,
                reason=FAILURES.get(kind, f"{price.params:,} parameters are above the limit" if kind else ""),
                history=tuple(curve),
            ),
            hp,
        )


def price_of(plan: Plan) -> Cost | None:
    """The cost of a plan; None if its layers shrink the image to nothing."""
    try:
        return cost(plan)
    except ValueError:
        return None


def quality(hp: HyperParameters, chance: random.Random) -> float:
    """A number from 0 to 1 that depends on some hyperparameters more than on others, and on chance."""
    loss = 0.0
    for name, distribution in hp.space.items():
        own = random.Random(name)
        weight, middle = own.random() ** 4, own.random()
        loss += weight * abs(place(distribution, hp.values[name]) - middle)
    return max(0.05, 1 - 0.1 * loss - 0.05 * abs(chance.gauss(0, 1)))


def place(distribution: Distribution, value: Any) -> float:
    """The place of a value in its range, from 0 to 1."""
    if distribution.kind == "choice":
        return distribution.choices.index(value) / max(1, len(distribution.choices) - 1)
    return position_of(distribution, value) if distribution.high > distribution.low else 0.0


def history(score: float, epochs: int) -> list[dict[str, float]]:
    """The metrics of each epoch of a training that would end with this score."""
    curve = [score * (1 - 0.5 ** (epoch + 1)) for epoch in range(epochs)]
    return [
        {"accuracy": value, "loss": 2 - 2 * value, "val_accuracy": value, "val_loss": 2 - value, "learning_rate": 0.001}
        for value in curve
    ]


def writes(trial_id: int, done: Trial, hp: HyperParameters) -> Iterator[Write]:
    """What a search writes to Optuna for this trial."""
    for name, distribution in hp.space.items():
        kind = to_optuna(distribution)
        yield Write("set_trial_param", (trial_id, name, kind.to_internal_repr(hp.values[name]), kind))
    for epoch, metrics in enumerate(done.history, 1):
        yield Write("set_trial_intermediate_value", (trial_id, epoch, metrics["val_accuracy"]))
    yield Write("set_trial_user_attr", (trial_id, ATTRIBUTE, done.to_attribute()))
    ended = {"complete": TrialState.COMPLETE, "refused": TrialState.PRUNED, "failed": TrialState.PRUNED}
    values = [done.score] if done.state == "complete" else None
    yield Write(bulk_write.END, (trial_id, ended.get(done.state, TrialState.PRUNED), values))


# -- results ---------------------------------------------------------------------------------------


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def keep(row: dict[str, Any]) -> None:
    """Add a row; it replaces an earlier row of the same label, size and command."""
    same = ("label", "trials", "command")
    others = [each for each in rows() if any(each[name] != row[name] for name in same)]
    every = sorted([*others, row], key=lambda each: (each["trials"], [*COMMANDS].index(each["command"]), each["label"]))
    RESULTS.write_text(json.dumps(every, indent=1) + "\n")
    click.echo(f"{row['label']} {row['trials']} {row['command']}: {row['used']}")


def markdown(every: list[dict[str, Any]]) -> str:
    """A row a command and size: median CPU seconds, wall seconds and memory, with the least and the most."""
    lines = ["| | trials | command | n | CPU s | time s | memory MiB |", "|" + " --- |" * 7]
    for row in every:
        cells = [span([used[at] for used in row["used"]], digits) for at, digits in ((1, 1), (0, 1), (2, 0))]
        first = [row["label"], f"{row['trials']:,}", f"`{row['command']}`", str(len(row["used"]))]
        lines.append("| " + " | ".join([*first, *cells]) + " |")
    return "\n".join(lines)


def span(numbers: list[float], digits: int) -> str:
    """The median, and the least and the most of several numbers."""
    middle = f"{statistics.median(numbers):.{digits}f}"
    return f"{middle} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})" if len(numbers) > 1 else middle


if __name__ == "__main__":
    main()
