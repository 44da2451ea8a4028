"""Everything that a report needs from a study, read once."""

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cnnsearch.core import metrics
from cnnsearch.results import leaderboard
from cnnsearch.results.export.evaluation import Evaluation, from_stored
from cnnsearch.results.majority import Majority, majority
from cnnsearch.results.report.importance import Importance, importances
from cnnsearch.results.report.study_cost import StudyCost, study_cost
from cnnsearch.spaces.recipes import ORIGIN
from cnnsearch.study.confirmation import Confirmed, confirmed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial


@dataclass(frozen=True)
class Facts:
    """A study as its report shows it.

    Attributes:
        study: the study.
        trials: all its trials.
        rows: its leaderboard.
        complete: the complete trials, in the order of the leaderboard.
        means: the mean over new seeds of each confirmed trial, by its number.
        evaluations: the evaluations on the test set, by model: a trial's number, or a name such as `7+3 refit`.
        cost: time and epochs of the trials.
        importances: the importance of each hyperparameter.
        elapsed: seconds from the start of the first trial to the end of the last one.
        options: the options that a command needs to find the study, such as ` --runs DIR`.
        majority: the most frequent class of the validation images, if it is known.
    """

    study: Study
    trials: tuple[Trial, ...]
    rows: tuple[dict[str, Any], ...]
    complete: tuple[Trial, ...]
    means: dict[int, Confirmed]
    evaluations: dict[str, Evaluation]
    cost: StudyCost
    importances: tuple[Importance, ...]
    elapsed: float
    options: str
    majority: Majority | None = None

    @property
    def metric(self) -> str:
        """The metric's name for people, such as `validation accuracy`."""
        return metrics.display_name(str(self.study.info["metric"]))

    @property
    def best(self) -> Trial | None:
        """The first trial of the leaderboard."""
        return self.complete[0] if self.complete else None

    @property
    def best_mean(self) -> Confirmed | None:
        """The mean of the best trial over new seeds."""
        return self.means.get(self.best.number) if self.best else None

    @property
    def best_on_test(self) -> Evaluation | None:
        """The evaluation of the best trial on the test set, if there is one."""
        return self.evaluations.get(str(self.best.number)) if self.best else None

    @property
    def other_exports(self) -> dict[str, Evaluation]:
        """The evaluations of the best trial's model in other forms: how it was changed, such as `views mirror`."""
        start = f"{self.best.number} " if self.best else ""
        found = self.evaluations.items() if start else ()
        return {name.removeprefix(start): each for name, each in found if name.startswith(start)}

    @property
    def has_test_images(self) -> bool:
        """Whether an export evaluates a model; a function that trains for itself has its own data."""
        return bool(self.study.info["data"]["images"].get("test"))

    @property
    def default_trial(self) -> Trial | None:
        """The trial of the space's default point, if it is complete."""
        return next((record for record in self.complete if record.origin == "default"), None)

    @property
    def recipe_trials(self) -> list[Trial]:
        """The trials that trained a recipe."""
        return [record for record in self.trials if record.origin.startswith(ORIGIN)]

    @property
    def lower_limit(self) -> float | None:
        """The lower end of Wilson's interval of the best trial's score; None if the metric is not accuracy."""
        # a function that trains for itself does not say how many images it validates on
        images = int(self.study.info["data"]["images"].get("val", 0))
        if self.best is None or self.best.score is None or self.study.info["metric"] != "val_accuracy" or not images:
            return None
        return Evaluation(self.best.score, 0.0, images).interval[0]

    @functools.cached_property
    def by_number(self) -> dict[int, Trial]:
        """All trials by their numbers."""
        return {record.number: record for record in self.trials}

    @functools.cached_property
    def times(self) -> dict[int, tuple[float | None, float | None]]:
        """When each trial started and ended, in seconds since the start of the first one, by its number."""
        stored = self.study.optuna.get_trials(deepcopy=False)
        first = min((trial.datetime_start for trial in stored if trial.datetime_start), default=None)

        def since(moment: datetime | None) -> float | None:
            return round((moment - first).total_seconds(), 1) if moment and first else None

        return {trial.number: (since(trial.datetime_start), since(trial.datetime_complete)) for trial in stored}

    @functools.cached_property
    def ties(self) -> list[int]:
        """The trials that may be as good as the best: with new seeds, those that cannot be told from it.

        Without new seeds: their scores are above the lower limit of the best score.
        """
        if self.best_mean is not None:
            return sorted(self.best_mean.ties)
        low = self.lower_limit
        return [r.number for r in self.complete[1:] if low is not None and r.score is not None and r.score >= low]

    def mean_or_score(self, trial: int) -> float:
        """A complete trial's mean over new seeds, or its search score if there are none."""
        found = self.means.get(trial)
        return found.mean if found else self.by_number[trial].score or 0.0

    def score_text(self, value: float | None) -> str:
        """A score as text: `99.61%` for an accuracy, four digits for other metrics."""
        if value is None:
            return ""
        return f"{value:.2%}" if self.is_share else f"{value:.4g}"

    def difference_text(self, value: float) -> str:
        """A difference between two scores as text."""
        return f"{100 * value:.2f} points" if self.is_share else f"{value:.2g}"

    def mean_text(self, found: Confirmed) -> str:
        """A mean as text, with its interval."""
        return self.score_text(found.mean) + (f" ({self.interval_text(found)})" if found.interval else "")

    def interval_text(self, found: Confirmed) -> str:
        """The interval of a mean as text; empty without one."""
        return " to ".join(map(self.score_text, found.interval)) if found.interval else ""

    def differing_choices(self, record: Trial, other: dict[str, Any], most: int) -> str:
        """The hyperparameters in which a trial differs from `other`: the `most` important ones, and how many more."""
        order = [row.name for row in self.importances]
        names = [name for name, value in record.choices.items() if other.get(name) != value]
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
        text = ", ".join(f"{name}={brief(record.choices[name])}" for name in names[:most])
        return text + (f" and {len(names) - most} more" if len(names) > most else "")

    @property
    def is_share(self) -> bool:
        """Whether scores are shares, which are shown as percentages."""
        return metrics.is_share(str(self.study.info["metric"]))

    @property
    def test_score(self) -> tuple[str, str]:
        """The best trial's value on the test set and the name of the metric; both empty without an evaluation.

        The metric is that of the study if it was evaluated, else accuracy.
        """
        if self.best_on_test is None:
            return "", ""
        for name, value in self.best_on_test.more.items():
            return self.score_text(value), metrics.DISPLAY_NAMES[name]
        return f"{self.best_on_test.accuracy:.2%}", "accuracy"


def gather(study: Study, options: str = "", known_importances: tuple[Importance, ...] | None = None) -> Facts:
    """Read a study; `options` are those that a command needs to find it. Known importances are not computed again."""
    records, rows = tuple(study.trials()), tuple(leaderboard.rows(study, choices=6))
    known = {record.number: record for record in records}
    return Facts(
        study=study,
        trials=records,
        rows=rows,
        complete=tuple(known[row["trial"]] for row in rows if row["state"] == "complete"),
        means=confirmed(study),
        evaluations={str(each.get("model", each["trial"])): from_stored(each) for each in study.test_results()},
        cost=study_cost(records, int(study.info["epochs"])),
        importances=importances(study) if known_importances is None else known_importances,
        elapsed=_elapsed(study),
        options=options,
        majority=majority(study),
    )


def brief(value: Any) -> str:
    """A value in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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
