"""How many programs a search compiles, with and without programs that plans share, and what a trial takes.

    CNNSEARCH_DATA=DIR python benchmarks/shared_programs.py run [--case CASE]… [--repeats 3]
    python benchmarks/shared_programs.py table

Both arms are the same search with one worker: in `own` only equal plans share a program, as it was before; `shared` is
as shipped. They run in turns under the same seeds. Rows go to `benchmarks/results/shared_programs.json`; a run goes on
where it was stopped.
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import click

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "shared_programs.json"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
CASES: dict[str, tuple[str, ...]] = {
    "numbers": ("--space", str(HERE / "spaces" / "digits_numbers.toml"), "--trials", "24"),
    "mnist_cnn on digits": ("--space", "mnist_cnn", "--dataset", "digits", "--trials", "20"),
    "low-fidelity": ("--space", str(HERE / "spaces" / "mnist_scheduled.toml"), "--trials", "12"),
}
ARMS = ("own", "shared")
FOLDER, ARM = "SHARED_PROGRAMS_FOLDER", "SHARED_PROGRAMS_ARM"
"""Environment variables: where a worker writes what it counted, and the arm."""


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--case", "cases", multiple=True, default=tuple(CASES), type=click.Choice(tuple(CASES)))
@click.option("--repeats", default=3, show_default=True)
def run(cases: tuple[str, ...], repeats: int) -> None:
    """Measure what is missing, both arms of a repeat before the next."""
    for repeat in range(repeats):
        for case in cases:
            for arm in ARMS if repeat % 2 == 0 else ARMS[::-1]:
                asked = {"case": case, "arm": arm, "repeat": repeat}
                if not any(asked.items() <= row.items() for row in rows()):
                    keep({**asked, **measured(case, arm, repeat), "machine": MACHINE})
    click.echo(tables(rows()))


@main.command()
def table() -> None:
    """Print the table."""
    click.echo(tables(rows()))


def measured(case: str, arm: str, seed: int) -> dict[str, Any]:
    """One search: programs, trainings, and seconds of the worker."""
    asked = ["run", *CASES[case], "--seed", str(seed), "--jobs", "1", "--confirm", "0", "--quiet", "--study", "counted"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_RUN", "MLFLOW_"))}
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, __file__, "search", *asked]
        given = {**clean, FOLDER: folder, ARM: arm}
        done = subprocess.run(line, cwd=folder, env=given, capture_output=True, text=True)
        if done.returncode:
            raise click.ClickException((done.stdout + done.stderr)[-2000:])
        parts = [json.loads(path.read_text()) for path in Path(folder).glob("worker-*.json")]
    return {name: round(sum(part[name] for part in parts), 2) for name in parts[0]}


# -- in the processes of the search -------------------------------------------------------------------


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def search(arguments: tuple[str, ...]) -> None:
    """`cnnsearch ARGUMENTS` with a worker that counts."""
    from cnnsearch.cli.main import main as command
    from cnnsearch.tuning.launchers import worker_process

    plain = subprocess.Popen

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(subprocess, name)

        @staticmethod
        def Popen(line: list[str], **options: Any) -> Any:
            return plain([sys.executable, __file__, "worker"], **options)

    os.environ["CNNSEARCH_FORK_SERVER"] = "0"
    worker_process.subprocess = Counting()  # type: ignore[assignment, attr-defined]
    command(list(arguments))


@main.command()
def worker() -> None:
    """A worker that counts its programs and its time."""
    from cnnsearch.training import worker as workers

    counted = {"programs": 0, "trainings": 0, "seconds": 0.0, "cpu": 0.0}
    begin, train = workers.Worker.describe_machine, workers.Worker._with_seed

    def begun(self: Any) -> Any:
        count(counted)
        return begin(self)

    def timed(self: Any, *given: Any) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        with contextlib.suppress(BrokenPipeError):
            train(self, *given)
        counted["seconds"] += time.perf_counter() - wall
        counted["cpu"] += time.process_time() - cpu
        (Path(os.environ[FOLDER]) / f"worker-{os.getpid()}.json").write_text(json.dumps(counted))

    workers.Worker.describe_machine, workers.Worker._with_seed = begun, timed  # type: ignore[method-assign]
    workers.main()


def count(counted: dict[str, Any]) -> None:
    """Count programs and trainings; in the arm `own`, only equal plans share one."""
    from cnnsearch.training import compiled
    from cnnsearch.training.compiled import programs, tensorflow

    made, fitted = tensorflow.Program.__init__, compiled.fit

    def making(self: Any, *given: Any) -> None:
        counted["programs"] += 1
        made(self, *given)

    def fitting(*given: Any, **named: Any) -> None:
        counted["trainings"] += 1
        fitted(*given, **named)

    tensorflow.Program.__init__, compiled.fit = making, fitting  # type: ignore[method-assign]
    if os.environ[ARM] == "own":
        reuse = programs.CompiledCandidates.reuse

        def alone(self: Any, plan: Any, new: Any) -> Any:
            rate = new.model.optimizer._learning_rate
            of_look = getattr(rate, "steps_per_epoch", 0)
            programs.shared_numbers.key = lambda plan: former_key(plan, of_look)  # type: ignore[assignment]
            return reuse(self, plan, new)

        programs.CompiledCandidates.reuse = alone  # type: ignore[method-assign]


def former_key(plan: Any, steps: float) -> str:
    """The key of a program that only equal plans shared. A low-fidelity evaluation has other steps of its schedule."""
    if not plan.schedule:
        plan = plan.configure("optimizer", learning_rate=0)
    return f"{plan.replace(callbacks=(), epochs=1).key} {steps}"


# -- the table ----------------------------------------------------------------------------------------


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def keep(row: dict[str, Any]) -> None:
    """Add a row."""
    RESULTS.write_text(json.dumps([*rows(), row], indent=1) + "\n")
    click.echo(f"{row['case']} {row['arm']} {row['repeat']}: {row['programs']:.0f} programs, {row['cpu']} s of CPU")


def tables(every: list[dict[str, Any]]) -> str:
    """For each case and arm: trainings, programs, seconds of a training; medians with the least and the most."""
    lines = ["| search | programs | n | trainings | compiled | CPU s a training | s a training | CPU beside `own` |"]
    lines.append("| --- " * 8 + "|")
    for case in CASES:
        for arm in ARMS:
            own = [row for row in every if (row["case"], row["arm"]) == (case, arm)]
            if not own:
                continue
            cells = [spread([row[name] for row in own], 0) for name in ("trainings", "programs")]
            cells += [spread([row[name] / row["trainings"] for row in own], 2) for name in ("cpu", "seconds")]
            lines.append(f"| {case} | {arm} | {len(own)} | {' | '.join(cells)} | {beside(every, case, arm)} |")
    return "\n".join(lines)


def beside(every: list[dict[str, Any]], case: str, arm: str) -> str:
    """The ratio of CPU seconds of a training to those of `own` in the same repeat."""
    of = {(row["arm"], row["repeat"]): row["cpu"] / row["trainings"] for row in every if row["case"] == case}
    ratios = [of[arm, repeat] / of["own", repeat] for name, repeat in of if name == arm and ("own", repeat) in of]
    return spread(ratios, 2) if arm != "own" and ratios else ""


def spread(found: list[float], digits: int) -> str:
    """The median, with the least and the most."""
    return f"{median(found):.{digits}f} ({min(found):.{digits}f} to {max(found):.{digits}f})"


if __name__ == "__main__":
    main()
