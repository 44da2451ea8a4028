"""Clocks around functions of a running cnnsearch: seconds of each part, for benchmarks alone.

    CLOCKS=FOLDER python benchmarks/clocks.py run --space …

It is `cnnsearch run …` with the functions of PARENT and WORKER timed. As trials end, a line of JSON goes to
FOLDER/parent.jsonl and FOLDER/worker-PID.jsonl: the moment, how many trials ended there, and for every part its wall
seconds, the CPU seconds of its thread, and calls. A part's time is its own, without that of the parts inside.
"""

import functools
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

MLFLOW = "MLflow's thread"

PARENT = {
    "cnnsearch.tuning.launchers.local:LocalLauncher.poll": "waiting for workers",
    "cnnsearch.study.trial_queue:take": "Optuna: ask",
    "cnnsearch.study.study:suggest": "Optuna: draw",
    "optuna:Trial.report": "Optuna: report",
    "optuna:Trial.should_prune": "Optuna: prune",
    "cnnsearch.study.write_behind:WriteBehindStorage.write": "Optuna: write",
    "cnnsearch.tuning.trial_recorder:finish": "Optuna: tell",
    "cnnsearch.tuning.trial_recorder:TrialRecorder._frozen": "Optuna: read back",
    "cnnsearch.tuning.search_source:SearchSource.show_status": "display",
    "cnnsearch.tuning.tuner:Tuner._step": "the loop itself",
    "cnnsearch.tuning.tuner:Tuner.run": "begin and end",
    "cnnsearch.tuning.callbacks.mlflow_runs:StudyRuns.log_epochs": MLFLOW,
    "cnnsearch.tuning.callbacks.mlflow_runs:StudyRuns._log_end": MLFLOW,
}

WORKER = {
    "cnnsearch.training.worker:Worker.__init__": "starting",
    "cnnsearch.training.worker:Worker.describe_machine": "starting",
    "cnnsearch.training.worker_context:load_parts": "data",
    "cnnsearch.training.connection:Connection.receive": "waiting for the parent",
    "cnnsearch.training.connection:Connection.send": "waiting for the parent",
    "cnnsearch.training.worker:Worker._with_seed": "between trials",
    "cnnsearch.training.trial_runner:propose": "drawing",
    "cnnsearch.training.worker_context:WorkerContext.build": "building",
    "cnnsearch.training.trial_runner:_save": "saving",
    "cnnsearch.training.training_data:for_candidate": "data",
    "cnnsearch.training.fitting:train": "around epochs",
    "cnnsearch.training.epoch_callback:EpochReporter._keep_best": "keeping the best weights",
    "cnnsearch.training.checkpoint:CheckpointWriter.on_epoch_end": "keeping the epoch",
}
"""Where the clocks stand, and the part that they count for."""

ENDS_IN_PARENT, ENDS_IN_WORKER = (
    "cnnsearch.tuning.trial_recorder:TrialRecorder.close",
    "cnnsearch.training.worker:Worker._with_seed",
)
"""What is called as often as trials end."""

OFTEN = 0.25
"""Seconds between two lines, at least."""


class Spent(NamedTuple):
    """Wall seconds, CPU seconds of the thread, calls."""

    wall: float = 0.0
    cpu: float = 0.0
    calls: int = 0


class Clocks:
    """Seconds by part, of all threads, written to `path` from time to time."""

    def __init__(self, path: Path) -> None:
        self._path, self._began = path, time.time()
        self._open = threading.local()
        self._spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0])
        self._trials, self._written = 0, 0.0

    def inside(self, part: str, function: Callable[..., Any], *what: Any, **named: Any) -> Any:
        """Call `function`; what it takes without the parts inside it is the part's."""
        frames = self._open.__dict__.setdefault("frames", [])
        wall, cpu = time.perf_counter(), time.thread_time()
        frames.append([0.0, 0.0])
        try:
            return function(*what, **named)
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            wall_inside, cpu_inside = frames.pop()
            spent = self._spent[part]
            spent[0] += wall - wall_inside
            spent[1] += cpu - cpu_inside
            spent[2] += 1
            if frames:
                frames[-1][0] += wall
                frames[-1][1] += cpu

    def add(self, part: str, seconds: float) -> None:
        """Give seconds to a part that were measured otherwise, and take them from the one around."""
        self._spent[part][0] += seconds
        self._spent[part][2] += 1
        if frames := self._open.__dict__.get("frames"):
            frames[-1][0] += seconds

    def trial_ended(self) -> None:
        """Count a trial, and write unless that was done just now."""
        self._trials += 1
        if time.monotonic() - self._written > OFTEN:
            self.write()

    def write(self) -> None:
        """Add a line."""
        self._written = time.monotonic()
        spent = {part: [round(wall, 5), round(cpu, 5), calls] for part, (wall, cpu, calls) in self._spent.items()}
        line = {"began": self._began, "at": time.time(), "trials": self._trials, "spent": spent}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def put(clocks: Clocks, places: dict[str, str]) -> None:
    """Put the clocks around the functions in `places`."""
    for place, part in places.items():
        owner, name = _found(place)
        setattr(owner, name, _timed(clocks, part, getattr(owner, name)))


def count(clocks: Clocks, place: str) -> None:
    """Take each end of the function at `place` for that of a trial."""
    owner, name = _found(place)
    setattr(owner, name, _then(getattr(owner, name), clocks.trial_ended))


def _timed(clocks: Clocks, part: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def called(*what: Any, **named: Any) -> Any:
        return clocks.inside(part, plain, *what, **named)

    return called


def _then(plain: Callable[..., Any], after: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def called(*what: Any, **named: Any) -> Any:
        try:
            return plain(*what, **named)
        finally:
            after()

    return called


def _found(place: str) -> tuple[Any, str]:
    """The owner and the name of what is at `module:name` or `module:Class.name`."""
    module, _, names = place.partition(":")
    *above, name = names.split(".")
    return functools.reduce(getattr, above, importlib.import_module(module)), name


def watch_epochs(clocks: Clocks) -> None:
    """Tell training from validation, and each trial's first epoch from the others, by the callback all trials have."""
    from cnnsearch.training.epoch_callback import EpochReporter

    def train_begin(watch: Any, logs: Any = None) -> None:
        watch.marks = {"training": [], "validation": []}

    def epoch_begin(watch: Any, epoch: int, logs: Any = None) -> None:
        watch.mark = time.perf_counter()

    def test_begin(watch: Any, logs: Any = None) -> None:
        watch.marks["training"].append(time.perf_counter() - watch.mark)
        watch.mark = time.perf_counter()

    def test_end(watch: Any, logs: Any = None) -> None:
        watch.marks["validation"].append(time.perf_counter() - watch.mark)

    def train_end(watch: Any, logs: Any = None) -> None:
        for part, (first, *later) in watch.marks.items():
            # the first epoch traces the program and trains; the later ones only train
            usual = min(first, sorted(later)[len(later) // 2]) if later else first
            clocks.add(part, usual + sum(later))
            clocks.add("tracing and compiling", first - usual)

    for name, hook in {
        "on_train_begin": train_begin,
        "on_epoch_begin": epoch_begin,
        "on_test_begin": test_begin,
        "on_test_end": test_end,
        "on_train_end": train_end,
    }.items():
        setattr(EpochReporter, name, hook)


def parent(arguments: list[str]) -> None:
    """`cnnsearch ARGUMENTS` under the clocks, its workers too."""
    import atexit

    clocks = Clocks(Path(os.environ["CLOCKS"]) / "parent.jsonl")
    from cnnsearch.cli import main
    from cnnsearch.tuning.launchers import worker_process

    plain = subprocess.Popen

    def begun(line: list[str], **options: Any) -> Any:
        if line[1:] == ["-m", "cnnsearch.training.worker"]:
            line = [sys.executable, __file__, "--worker"]
        return plain(line, **options)

    put(clocks, PARENT)
    count(clocks, ENDS_IN_PARENT)
    # the clocks begin with the process
    os.environ["CNNSEARCH_FORK_SERVER"] = "0"
    worker_process.subprocess = _Shim(begun)  # type: ignore[attr-defined]
    atexit.register(clocks.write)
    sys.argv = ["cnnsearch", *arguments]
    main.main()


class _Shim:
    """The module `subprocess` with another `Popen`."""

    def __init__(self, popen: Callable[..., Any]) -> None:
        self.Popen = popen

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


def child() -> None:
    """A worker under the clocks."""
    clocks = Clocks(Path(os.environ["CLOCKS"]) / f"worker-{os.getpid()}.jsonl")
    from cnnsearch.training import worker

    put(clocks, {place: part for place, part in WORKER.items() if "training.worker" in place})
    count(clocks, ENDS_IN_WORKER)
    ready = worker.Worker.describe_machine

    def with_keras(self: Any) -> Any:
        # a wrong dataset is told before Keras is imported, so what needs it gets its clocks here
        put(clocks, {place: part for place, part in WORKER.items() if "training.worker" not in place})
        watch_epochs(clocks)
        return ready(self)

    worker.Worker.describe_machine = with_keras  # type: ignore[method-assign]
    worker.main()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines that were written to `path`."""
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        child()
    else:
        parent(sys.argv[1:])
