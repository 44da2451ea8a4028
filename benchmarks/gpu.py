"""Searches on a GPU with more and more workers beside each other: what they get done, and how busy the GPU is.

    CNNSEARCH_DATA=DIR python benchmarks/gpu.py run [--jobs 1 --jobs 4 …] [--seconds 60] [--repeats 1] [--out FILE]
    CNNSEARCH_DATA=DIR KERAS_BACKEND=jax python benchmarks/gpu.py parts [--plans 2] [--epochs 4] [--options JSON]
    python benchmarks/gpu.py kernels LOG
    python benchmarks/gpu.py table [FILE]…
    CNNSEARCH_DATA=DIR python benchmarks/gpu.py cifar94 [--minutes 10] [--seeds 3] [--share 0.01] [--out FILE]

In `run` each is `cnnsearch run` of random candidates of a space on all its images, all to their end, in a process and a
folder of its own, for so many seconds. It counts the epochs and the trials that ended in that time; `nvidia-smi` is
asked twice a second how much of the time kernels ran and how much memory was taken. What follows `--` goes to
`cnnsearch run` too. `parts` trains random candidates one after another in one process and prints, a line of JSON each,
the seconds that a candidate takes to be built, compiled and trained for an epoch. `kernels` prints what XLA tried out
for each instruction, from what `parts --options '{"xla_gpu_dump_autotune_logs_to": "LOG.textproto"}'` leaves. No
TensorFlow is needed. `cifar94` searches `cifar10_fast` with a target, trains its default point and its recipe
airbench94, and prints a table and what kept the GPU idle; with a small `--share` of the images it runs on a CPU.
"""

import json
import os
import platform
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import click
from gpu_watch import watching

RESULTS = Path(__file__).parent / "results" / "gpu.json"
PLAIN = ("--sampler", "random", "--scheduler", "none", "--pruner", "none", "--confirm", "0", "--no-default", "--quiet")


def clock() -> Any:
    """A callback that keeps the seconds of each epoch's training and validation in `train` and `test`."""
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.train: list[float] = []
            self.test: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._began = time.perf_counter()

        def on_test_begin(self, logs: Any = None) -> None:
            self._trained = time.perf_counter()
            self.train.append(self._trained - self._began)

        def on_test_end(self, logs: Any = None) -> None:
            self.test.append(time.perf_counter() - self._trained)

    return Clock()


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--space", default="mnist_cnn", show_default=True)
@click.option("--jobs", "every", multiple=True, type=int, default=(1, 2, 4, 8), show_default=True)
@click.option("--seconds", default=60, show_default=True)
@click.option("--repeats", default=1, show_default=True)
@click.option("--label", default="as shipped", show_default=True, help="What the rows are called.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS)
@click.argument("more", nargs=-1)
def run(
    space: str, every: tuple[int, ...], seconds: int, repeats: int, label: str, out: Path, more: tuple[str, ...]
) -> None:
    """Search with each number of workers, all numbers of a repeat before the next."""
    if shutil.which("nvidia-smi") is None:
        raise click.ClickException("There is no nvidia-smi: this measurement needs an NVIDIA GPU.")
    for repeat in range(repeats):
        for jobs in every:
            row = {"space": space, "label": label, "jobs": jobs, "seconds": seconds, "repeat": repeat}
            row |= measured(space, jobs, seconds, repeat, more) | {"machine": machine()}
            out.write_text(json.dumps([*rows(out), row], indent=1) + "\n")
            click.echo(json.dumps(row))


@main.command()
@click.option("--space", default="mnist_cnn", show_default=True)
@click.option("--plans", default=2, show_default=True, help="How many candidates.")
@click.option("--epochs", default=4, show_default=True, help="For how many epochs each.")
@click.option("--options", help="What XLA is told instead of `cnnsearch.training.compiled.jax.OPTIONS`, as JSON.")
def parts(space: str, plans: int, epochs: int, options: str | None) -> None:
    """Seconds of the parts of a candidate's training, on JAX."""
    import jax
    import keras
    from peer_task import Task

    from cnnsearch.training import fitting
    from cnnsearch.training.candidate import from_plan
    from cnnsearch.training.compiled import jax as compiled_epochs
    from cnnsearch.training.device import auto_precision
    from cnnsearch.training.training_data import TrainingData

    compiled_epochs.OPTIONS = compiled_epochs.OPTIONS if options is None else json.loads(options)
    compiled: list[float] = []

    def hear(event: str, seconds: float, **_: Any) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(hear)
    made = Task(space, 0)
    images = TrainingData(made.x, made.y, made.x_val, made.y_val, 0)
    for number, (plan, macs) in enumerate(islice(drawn(made), plans)):
        keras.config.set_dtype_policy(auto_precision(None))
        keras.utils.set_random_seed(number)
        compiled.clear()
        began = time.perf_counter()
        candidate = from_plan(plan, len(made.x))
        built, times = time.perf_counter() - began, clock()
        compiled_so_far = sum(compiled)
        data = images._replace(batch_size=plan.batch_size)
        fitting.fit(None, candidate.model, data, epochs=epochs, callbacks=[times], by_epochs=True)
        row = {"macs": macs, "batch": plan.batch_size, "build": built, "compiling for it": compiled_so_far}
        row |= {"first epoch": times.train[0], "epoch": median(times.train[1:]), "first validation": times.test[0]}
        row |= {"validation": median(times.test[1:]), "compiling in fit": sum(compiled) - compiled_so_far}
        click.echo(json.dumps({key: round(value, 3) for key, value in row.items()}))
        keras.backend.clear_session(free_memory=False)


@main.command()
@click.argument("log", type=click.Path(exists=True, path_type=Path))
def kernels(log: Path) -> None:
    """Print the microseconds of all kernels that XLA tried, a line of JSON an instruction."""
    for text in log.read_text().split("instruction_profiles {")[1:]:
        times = re.findall(r"run_time \{\s*(?:seconds: (\d+))?\s*(?:nanos: (\d+))?", text)
        library = "cuDNN" if "backend: CUDNN" in text else "cuBLASLt"
        microseconds = [round(1e6 * int(seconds or 0) + int(nanos or 0) / 1e3, 2) for seconds, nanos in times]
        click.echo(json.dumps({"library": library, "microseconds": microseconds}))


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--minutes", default=10.0, show_default=True, help="For how long the search runs; 0: no search.")
@click.option("--target", default=0.94, show_default=True, help="The validation accuracy that is looked for.")
@click.option("--seeds", default=3, show_default=True, help="How often each point is trained; 0: not.")
@click.option("--epochs", default=10, show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Workers of the search, on one GPU.")
@click.option("--share", default=1.0, show_default=True, help="The part of the training images that is used.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS.with_name("cifar94.json"))
@click.argument("more", nargs=-1)
def cifar94(
    minutes: float, target: float, seeds: int, epochs: int, jobs: int, share: float, out: Path, more: tuple[str, ...]
) -> None:
    """Search cifar10_fast and train two of its points; what follows `--` goes to `cnnsearch run` too."""
    import cifar94

    # in this order: a process that has trained keeps most of the GPU's memory
    found = []
    if minutes:
        with watching() as watch:
            row = cifar94.searched(share, epochs, minutes, jobs, target, more)
        found.append(row | watch.facts)
    found = [*cifar94.points(share, epochs, seeds, clock), *found]
    about = {"backend": os.environ.get("KERAS_BACKEND", "tensorflow"), "share": share, "machine": machine()}
    out.write_text(json.dumps([row | about for row in found], indent=1) + "\n")
    click.echo(cifar94.table(found))


def drawn(made: Any) -> Iterator[tuple[Any, int]]:
    """Plans within the limits of the space of a `peer_task.Task`, by chance and always the same, with multiply-adds."""
    from cnnsearch.spaces.cost import cost

    limits, generator = made.space.defaults, random.Random(3)
    while True:
        plan, _ = made.plan(lambda _, distribution: distribution.random(generator))
        price = cost(plan)
        if not (0 < limits["max_params"] < price.params or 0 < limits["max_macs"] < price.macs):
            yield plan, price.macs


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def table(files: tuple[Path, ...]) -> None:
    """Print the table."""
    click.echo(tables([row for file in files or (RESULTS,) for row in rows(file)]))


def measured(space: str, jobs: int, seconds: int, seed: int, more: tuple[str, ...]) -> dict[str, Any]:
    """One search: what ended in its time, and what the GPU did meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        asked = ["--space", space, "--study", "gpu", "--trials", "9999", "--timeout", str(seconds), "--seed", str(seed)]
        log, launched = Path(name) / "log", time.time()
        with log.open("w") as out, watching() as watch:
            command = [sys.executable, "-m", "cnnsearch", "run", *asked, "--jobs", str(jobs), *PLAIN, *more]
            done = subprocess.run(command, cwd=name, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wall = round(time.time() - launched, 1)
        if done.returncode:
            raise click.ClickException(log.read_text()[-2000:])
        if not watch.facts:
            raise click.ClickException("nvidia-smi gave no numbers.")
        return {**counted(Path(name) / "runs" / "cnnsearch.db"), "wall": wall, **watch.facts}


def counted(store: Path) -> dict[str, Any]:
    """Trials by how they ended, and epochs of all of them."""
    with sqlite3.connect(store) as base:
        states = dict(base.execute("select state, count(*) from trials group by state").fetchall())
        epochs = base.execute("select count(*) from trial_intermediate_values").fetchone()[0]
        best = base.execute("select max(value) from trial_values").fetchone()[0]
    return {"complete": states.get("COMPLETE", 0), "failed": states.get("FAIL", 0), "epochs": epochs, "best": best}


def machine() -> str:
    """The class of machine, with its GPU."""
    name = "no GPU"
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        name = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {name}"


def rows(path: Path) -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return found


def tables(every: list[dict[str, Any]]) -> str:
    """A row for each label and number of workers: medians over the repeats."""
    head = ["space", "workers", "what", "n", "trials", "epochs", "epochs a second", "GPU busy", "GPU memory MiB"]
    lines = [head, ["---"] * len(head)]
    for space, label, jobs in dict.fromkeys((row["space"], row["label"], row["jobs"]) for row in every):
        own = [row for row in every if (row["space"], row["label"], row["jobs"]) == (space, label, jobs)]
        trials, epochs = (f"{median(row[name] for row in own):g}" for name in ("complete", "epochs"))
        speed = f"{median(row['epochs'] / row['wall'] for row in own):.2f}"
        busy, taken = (f"{median(row[name] for row in own):.0f}" for name in ("gpu busy %", "gpu MiB"))
        lines.append([space, str(jobs), label, str(len(own)), trials, epochs, speed, f"{busy} %", taken])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
