"""What is known of a study, read once for its report."""

from dataclasses import dataclass
from typing import Any

from cnnsearch.core import metrics
from cnnsearch.results import leaderboard
from cnnsearch.results.export.card import Measured, remembered
from cnnsearch.results.majority import Majority, majority
from cnnsearch.results.report.drawing import brief
from cnnsearch.results.report.importance import Importance, importances
from cnnsearch.results.report.spending import Spending, spending
from cnnsearch.spaces.recipes import ORIGIN
from cnnsearch.study.confirmation import Confirmed, confirmed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Record


@dataclass(frozen=True)
class Facts:
    """A study as its report sees it.

    Attributes:
        rows: its leaderboard.
        complete: the records of the complete trials, in the order of the leaderboard.
        repeats: what trials reached on fresh seeds, by trial.
        looks: the measurements on test, by model: a trial's number, or such as `7+3 refit`.
        elapsed: seconds from the first trial's start to the last one's end.
        where: the options that lead to the study, such as ` --runs DIR`.
        majority: the most frequent class of the validation images, where it is known.
    """

    study: Study
    records: tuple[Record, ...]
    rows: tuple[dict[str, Any], ...]
    complete: tuple[Record, ...]
    repeats: dict[int, Confirmed]
    looks: dict[str, Measured]
    spent: Spending
    importances: tuple[Importance, ...]
    elapsed: float
    where: str
    majority: Majority | None = None

    @property
    def metric(self) -> str:
        """The metric's name as it is read: `validation accuracy`."""
        return metrics.display_name(str(self.study.info["metric"]))

    @property
    def best(self) -> Record | None:
        """The leaderboard's first trial."""
        return self.complete[0] if self.complete else None

    @property
    def again(self) -> Confirmed | None:
        """What the best reached on fresh seeds."""
        return self.repeats.get(self.best.number) if self.best else None

    @property
    def test(self) -> Measured | None:
        """What the best reached on test, if that was looked at."""
        return self.looks.get(str(self.best.number)) if self.best else None

    @property
    def default(self) -> Record | None:
        """The trial of the space's default point, where it is complete."""
        return next((record for record in self.complete if record.origin == "default"), None)

    @property
    def recipes(self) -> list[Record]:
        """The trials that trained a recipe."""
        return [record for record in self.records if record.origin.startswith(ORIGIN)]

    @property
    def lowest(self) -> float | None:
        """The lower end of Wilson's interval of the best's score; None where that is no share of images."""
        if self.best is None or self.best.score is None or self.study.info["metric"] != "val_accuracy":
            return None
        return Measured(self.best.score, 0.0, int(self.study.info["data"]["images"]["val"])).interval[0]

    @property
    def tied(self) -> list[int]:
        """Trials that nothing tells from the best: their intervals overlap; else within the chance of its images."""
        if self.again is not None:
            first = self.again
            return [number for number, other in self.repeats.items() if other != first and first.overlaps(other)]
        low = self.lowest
        return [r.number for r in self.complete[1:] if low is not None and r.score is not None and r.score >= low]

    def reached(self, trial: int) -> float:
        """A complete trial's mean on fresh seeds, or the score of its one training."""
        again = self.repeats.get(trial)
        return again.mean if again else next(r.score or 0.0 for r in self.complete if r.number == trial)

    def score(self, value: float | None) -> str:
        """A score as it is read: `99.61%` for an accuracy, four digits for all else."""
        if value is None:
            return ""
        return f"{value:.2%}" if self.is_share else f"{value:.4g}"

    def gap(self, value: float) -> str:
        """A difference between two scores."""
        return f"{100 * value:.2f} points" if self.is_share else f"{value:.2g}"

    def interval(self, found: Confirmed) -> str:
        """A mean and half the width of its interval."""
        half = "" if found.half is None else f" ± {self.score(found.half)}"
        return self.score(found.mean) + half

    def unlike(self, record: Record, other: dict[str, Any], most: int) -> str:
        """The choices in which a trial differs from `other`, those that matter most first, `most` of them by name."""
        order = [row.name for row in self.importances]
        names = [name for name, value in record.choices.items() if other.get(name) != value]
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
        said = ", ".join(f"{name}={brief(record.choices[name])}" for name in names[:most])
        return said + (f" and {len(names) - most} more" if len(names) > most else "")

    @property
    def is_share(self) -> bool:
        """Whether scores are shares, which are read as percents."""
        return metrics.is_share(str(self.study.info["metric"]))

    @property
    def on_test(self) -> tuple[str, str]:
        """What the best reached on test in the study's metric, where that was measured, else its accuracy: the value,
        and the metric's name. Empty without a look at test."""
        if self.test is None:
            return "", ""
        for name, value in self.test.more.items():
            return self.score(value), metrics.DISPLAY_NAMES[name]
        return f"{self.test.accuracy:.2%}", "accuracy"


def gathered(study: Study, where: str = "") -> Facts:
    """Read a study."""
    records, rows = tuple(study.records()), tuple(leaderboard.rows(study, choices=6))
    known = {record.number: record for record in records}
    return Facts(
        study=study,
        records=records,
        rows=rows,
        complete=tuple(known[row["trial"]] for row in rows if row["state"] == "complete"),
        repeats=confirmed(study),
        looks={str(look.get("model", look["trial"])): remembered(look) for look in study.looks()},
        spent=spending(records, int(study.info["epochs"])),
        importances=importances(study),
        elapsed=_elapsed(study),
        where=where,
        majority=majority(study),
    )


def duration(seconds: float) -> str:
    """`1 h 6 min`, `42 min`, `3 min 20 s`, `12 s`."""
    if seconds >= 600:
        hours, minute = divmod(round(seconds / 60), 60)
        return f"{hours} h {minute} min" if hours else f"{minute} min"
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes} min {second} s" if minutes else f"{second} s"


def _elapsed(study: Study) -> float:
    trials = study.optuna.get_trials(deepcopy=False)
    starts = [trial.datetime_start for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0
