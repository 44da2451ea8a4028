"""What a running search prints outside a terminal: plain lines, JSON lines, or nothing."""

import json
import sys

from cnnsearch.study.trial import Trial
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.progress import RepeatResult, TuningStatus, main_choices


class Quiet(TunerCallback):
    """Prints notes only, to stderr. A context manager, so that what is drawn in place is ended after an error."""

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def on_note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Plain(Quiet):
    """Prints one line for each trial that ends, and notes."""

    def on_status(self, progress: TuningStatus) -> None:
        if progress.done is not None:
            print(f"[{progress.counted}] {trial_line(progress.done, progress)}", flush=True)

    def on_repeat_end(self, result: RepeatResult) -> None:
        self.on_note(new_seed_line(result))

    def on_note(self, text: str) -> None:
        print(text, flush=True)


class JsonLines(Quiet):
    """Prints one JSON object for each trial that ends and for each training on a new seed, for programs."""

    def on_status(self, progress: TuningStatus) -> None:
        if progress.done is not None:
            done = progress.done
            fields = {
                "event": "trial",
                "trial": done.number,
                "state": done.state,
                "score": done.score,
                "epochs": done.epochs,
                "seconds": done.seconds,
                "params": done.params,
                "failure": done.failure,
                "reason": done.reason,
                "ended": progress.statistics.ended,
                "trials": progress.trials,
                **({"values": further} if (further := progress.further_values) else {}),
            }
            print(json.dumps(fields), flush=True)

    def on_repeat_end(self, result: RepeatResult) -> None:
        counts = {"ended": result.ended, "trainings": result.trainings}
        facts = {name: value for name, value in result.repeat._asdict().items() if name != "right"}
        print(json.dumps({"event": "repeat", **facts, "first": result.first, **counts}), flush=True)


def trial_line(done: Trial, progress: TuningStatus, most: int = 6) -> str:
    """A trial that ended, in one line, with `most` of its hyperparameters at most."""
    if done.state == "failed":
        return f"trial {done.number} failed ({done.failure}): {done.reason}"
    where = f"epoch {done.best_epoch} of {done.epochs}" if done.epochs else done.reason
    choices = main_choices(done, progress.default, most)
    further = "".join(f" {name} {value:.6g}" for name, value in progress.further_values.items())
    return f"trial {done.number} {done.state} {done.score:.4f}{further} ({where}, {done.seconds:.0f} s): {choices}"


def new_seed_line(done: RepeatResult) -> str:
    """A training on a new seed that ended, in one line."""
    repeat = done.repeat
    score = f"{repeat.score:.4f}" if repeat.score is not None else f"failed ({repeat.reason})"
    return (
        f"[{done.ended}/{done.trainings}] trial {repeat.trial} on a new seed: {score} (search score {done.first:.4f})"
    )
