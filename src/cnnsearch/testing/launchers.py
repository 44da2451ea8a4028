"""The contracts of a launcher: its worker trains a whole trial, is restarted and stopped, and leaves nothing behind."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnsearch.core.messages import (
    Answer,
    Completed,
    Decision,
    Draw,
    Drawn,
    EpochEnded,
    Failed,
    Fatal,
    Go,
    Keep,
    Message,
    Proposed,
    Ready,
    RunTrial,
    Saved,
    Verdict,
)
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study.config import SearchConfig
from cnnsearch.testing.contracts import BrokenContract, Contract, Subject, contract, has_a_summary
from cnnsearch.tuning.launchers.base import LostWorker

LIMIT = 120.0
"""Seconds that a worker may take to start, and to train."""

CONTRACTS = [Contract("has_a_summary", has_a_summary, False)]


class Launcher(Subject):
    """A function that makes a launcher of workers, whose candidates are small networks in NumPy."""

    contracts = CONTRACTS

    def __init__(
        self, function: Callable[..., Any], given: dict[str, Any] | None = None, resources: dict[str, Any] | None = None
    ) -> None:
        """`resources` are fields of `cnnsearch.study.config.Resources`, such as an address."""
        super().__init__(function, given or {}, "launcher", ("config", "jobs"))
        self.resources = resources or {}

    @contextmanager
    def started(self) -> Iterator[tuple[Any, Path]]:
        """A launcher with one worker, and its study's folder."""
        with tempfile.TemporaryDirectory() as runs:
            config = SearchConfig.of(
                space=Space(name="numpy_mlp", model="numpy_mlp"),
                dataset=Use("digits", {"limit": 200}),
                name="contract",
                epochs=1,
                metric="val_accuracy",
                runs=Path(runs),
                trials=1,
                **self.resources,
            )
            config.study.folder.mkdir(parents=True)
            launcher = self.function(config, 1)
            try:
                yield launcher, config.study.folder
            finally:
                launcher.close()


@contract(CONTRACTS, basis=True)
def carries_a_trial(launcher: Launcher) -> None:
    """Its worker gets ready, draws and trains a trial, and its model is in the study's folder."""
    with launcher.started() as (started, folder):
        next_message(launcher, started, Ready)
        if started.slots != [0] or not started.ready(0):
            raise launcher.broken("after Ready its slot is not ready", "`slots` is [0], and `ready(0)` is true")
        path = folder / "checkpoints" / "trial-00000.npz"
        path.parent.mkdir()
        train(launcher, started, path)
        if not path.is_file():
            raise launcher.broken("the model is not in the study's folder", "Bring it to the path that Keep names")


@contract(CONTRACTS)
def restarts_and_stops_a_worker(launcher: Launcher) -> None:
    """A restarted worker gets ready again, without events of the one before; a stopped slot can be filled again."""
    with launcher.started() as (started, _):
        next_message(launcher, started, Ready)
        started.restart(0)
        if started.ready(0):
            raise launcher.broken("a restarted worker is ready at once", "Only its Ready makes it ready")
        next_message(launcher, started, Ready)
        started.stop(0)
        if started.slots:
            raise launcher.broken(f"after stop(0) it has the slots {started.slots}", "A stopped slot is empty")
        if (event := started.poll(1.0)) is not None:
            raise launcher.broken(f"a stopped worker sent {event}", "Drop the messages of a stopped worker")
        started.fill()
        next_message(launcher, started, Ready)


def next_message(launcher: Launcher, started: Any, kind: type[Message]) -> Any:
    """The next message of this kind. Questions before it get the answers of a search.

    Raises:
        BrokenContract: if none comes, or the worker ends.
    """
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        event = started.poll(0.5)
        if event is None:
            continue
        if isinstance(event.what, kind):
            return event.what
        if isinstance(event.what, LostWorker | Fatal | Failed):
            raise launcher.broken(f"its worker sent {event.what} in place of {kind.__name__}", "")
        if answer := _answer(event.what):
            started.reply(event.slot, answer)
    raise launcher.broken(f"its worker sent no {kind.__name__} within {LIMIT:.0f} s", "")


def train(launcher: Launcher, started: Any, path: Path) -> None:
    """Let the worker train a trial and save its model to `path`.

    Raises:
        BrokenContract: if it does not.
    """
    epochs = str(path.parent / "epochs.npz")
    started.submit(0, RunTrial(trial=0, seed=1, limited=False, state=epochs, resume=False))
    done = next_message(launcher, started, Completed)
    if started.memory(0) < 0:
        raise BrokenContract("the memory of a worker is a number of bytes, or 0")
    started.reply(0, Keep(trial=0, id=done.id, path=str(path)))
    next_message(launcher, started, Saved)


def _answer(question: Any) -> Answer | None:
    match question:
        case Draw(trial=trial, id=number, distribution=distribution):
            return Drawn(trial=trial, id=number, value=Distribution.from_dict(distribution).default)
        case Proposed(trial=trial, id=number):
            return Verdict(trial=trial, id=number, train=True)
        case EpochEnded(trial=trial, id=number):
            return Go(trial=trial, id=number, decision=Decision.CONTINUE)
    return None
