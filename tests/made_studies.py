"""Studies whose trials were not trained, for tests of what is shown of a study."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import optuna

from cnnsearch.spaces import plugins
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.space import Use
from cnnsearch.study import opening
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.trial_recorder import finish


def made(folder: Path, records: Iterable[Trial], name: str = "made") -> Study:
    """A study that holds these trials."""
    space = spaces.load("digits_cnn", plugins.load())
    study = opening.begin(
        SearchConfig.of(
            space=space,
            dataset=Use("digits", {}),
            name=name,
            trials=5,
            epochs=10,
            metric="val_accuracy",
            runs=folder / "runs",
        )
    )
    data = {"name": "digits", "fingerprint": "0", "input_shape": [8, 8, 1], "classes": list("0123456789")}
    study.remember(data={**data, "images": {"train": 100, "val": 100, "test": 100}})
    study.optuna.sampler = optuna.samplers.RandomSampler(seed=1)
    for wanted in records:
        end(study, wanted)
    return study


def end(study: Study, wanted: Trial, by: str = "", more: tuple[str, ...] = ()) -> None:
    """One more trial that ended so; its score is what it drew for `by`, if that is named. It also draws `more`."""
    trial = study.optuna.ask()
    for name in ("a/x", "a/y", "a/z", *more):
        trial.suggest_float(name, 0, 1)
    trial.set_user_attr("origin", wanted.origin)
    finish(study, trial, replace(wanted, score=trial.params[by]) if by else wanted)


def complete(number: int, score: float) -> Trial:
    history = tuple({"loss": 1 / (n + 1), "val_loss": 1.0, "accuracy": score, "val_accuracy": score} for n in range(3))
    shape = {"best_epoch": 3, "epochs": 3, "seconds": 6.0, "weights": 100 + number, "macs": 1000 + number}
    return Trial(number, "complete", score=score, history=history, **shape)


def failed(number: int, kind: str, reason: str) -> Trial:
    return Trial(number, "failed", failure=kind, reason=reason, seconds=4.0)
