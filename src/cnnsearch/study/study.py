"""A study: an Optuna study and the facts that cnnsearch stores with it."""

import contextlib
import datetime
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.prior import ORIGIN, projected
from cnnsearch.study import moved
from cnnsearch.study.optuna_distributions import to_optuna
from cnnsearch.study.sampler_view import SamplerView
from cnnsearch.study.training_checkpoints import FACT, TrainingCheckpoints
from cnnsearch.study.trial import ATTRIBUTE, Trial, from_optuna
from cnnsearch.study.write_behind import WriteBehindStorage

FORMAT = 1

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Study:
    """An Optuna study and its stored facts: `info` has space, dataset, seed, versions and more."""

    def __init__(self, study: optuna.Study, folder: Path = Path(), behind: WriteBehindStorage | None = None) -> None:
        self.optuna, self._behind = study, behind
        self.name: str = study.study_name
        known = dict(study.user_attrs.get(ATTRIBUTE, {}))
        self.folder = moved.home(folder.resolve(), known)
        """The folder of the study's files. It is found anew each time, because a runs folder may be moved."""
        self.info: dict[str, Any] = moved.with_current_paths(known, self.folder)
        self._ended: dict[int, Trial] = {}

    @functools.cached_property
    def sampler_view(self) -> SamplerView:
        """The study in the form that its sampler reads."""
        return SamplerView(self.name, self.optuna._storage, self.optuna.sampler, self.optuna.pruner)

    @functools.cached_property
    def training_checkpoints(self) -> TrainingCheckpoints:
        """Where the checkpoints of its trials in training are. A run may name another address."""
        return TrainingCheckpoints(self.folder, self.fact(FACT))

    def use_sampler(self, sampler: Any) -> None:
        """Use this sampler from now on."""
        self.optuna.sampler = self.sampler_view.sampler = sampler

    def write(self) -> None:
        """Write the pending changes to the storage (`WriteBehindStorage`)."""
        if self._behind:
            self._behind.write()

    @property
    def away(self) -> bool:
        """Whether the server of the storage does not answer at present."""
        return self._behind is not None and not self._behind.answers()

    def watch_outages(self, note: Callable[[str], None], hurry: Callable[[], bool]) -> None:
        """Call `note` with a sentence when the server stops to answer; `hurry`: whether the user stopped the search."""
        if self._behind:
            self._behind.outages.note, self._behind.outages.hurry = note, hurry

    @property
    def maximize(self) -> bool:
        """Whether a larger metric is better: the direction in which the study was made."""
        return self.optuna.directions[0] == StudyDirection.MAXIMIZE

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs that are minimized besides the metric, such as `params`."""
        return tuple(self.info.get("costs", ()))

    @property
    def more(self) -> dict[str, bool]:
        """The further values that an Optuna objective returns, by name: whether a larger one is better."""
        return {name: direction == "maximize" for name, direction in self.info.get("values", ())}

    @property
    def precision(self) -> str:
        """The precision of all its trials; empty if no worker has needed Keras yet."""
        return str(self.info.get("machine", {}).get("precision") or "")

    def check_begun(self) -> None:
        """Check that the study has begun.

        Raises:
            StudyError: if no worker has read its data yet.
        """
        if "data" not in self.info:
            raise StudyError(f"Study '{self.name}' has trained nothing yet. Run the command that started it again.")

    def checkpoint(self, kept: Trial) -> Path | None:
        """The model file of a trial; None if it does not exist."""
        path = moved.own_file(self.folder, "checkpoints", kept.checkpoint)
        return path if kept.checkpoint and path.is_file() else None

    def log(self, number: int) -> Path | None:
        """The file with what a trial printed; None if it printed nothing."""
        path = self._log_file(number)
        return path if path.is_file() else None

    def add_to_log(self, number: int, printed: bytes) -> None:
        """Add what a trial printed to its log. A full disk is ignored."""
        if printed:
            with contextlib.suppress(OSError), self._log_file(number).open("ab") as log:
                log.write(printed)

    def _log_file(self, number: int) -> Path:
        return self.folder / "logs" / f"trial-{number:05d}.log"

    def trials(self) -> list[Trial]:
        """Every trial's record, in the order of their numbers."""
        found = []
        for trial in self.optuna.get_trials(deepcopy=False):
            record = self._ended.get(trial.number)
            if record is None:
                record = from_optuna(trial)
                if trial.state.is_finished():
                    # Optuna never changes a trial that has ended
                    self._ended[trial.number] = record
            found.append(record)
        return found

    def reload_info(self) -> None:
        """Read `info` again: another process may have changed it."""
        self.info = moved.with_current_paths(dict(self.optuna.user_attrs.get(ATTRIBUTE, {})), self.folder)

    def remember(self, **facts: Any) -> None:
        """Add facts to `info`."""
        # read again first: an export may have added facts
        known = {**self.optuna.user_attrs.get(ATTRIBUTE, {}), **facts}
        self.optuna.set_user_attr(ATTRIBUTE, known)
        self.info = moved.with_current_paths(known, self.folder)

    def remember_fact(self, name: str, value: Any) -> None:
        """Store one fact under its own key, so that other processes do not overwrite it."""
        self.optuna.set_user_attr(f"{ATTRIBUTE}:{name}", value)

    def remember_fact_later(self, name: str, value: Any) -> None:
        """The same with the next pending writes: it does not wait for a server."""
        if self._behind:
            self._behind.set_study_user_attr_later(f"{ATTRIBUTE}:{name}", value)
        else:
            self.remember_fact(name, value)

    def fact(self, name: str) -> Any:
        """The fact that `remember_fact` stored, or None."""
        return self.optuna.user_attrs.get(f"{ATTRIBUTE}:{name}", self.info.get(name))

    def facts(self, kind: str) -> dict[str, Any]:
        """The facts whose name is `KIND:REST`, by REST. They are read from the storage together."""
        start = f"{ATTRIBUTE}:{kind}:"
        return {key.removeprefix(start): v for key, v in self.optuna.user_attrs.items() if key.startswith(start)}

    def test_results(self) -> list[dict[str, Any]]:
        """The results on test images so far, the oldest first."""
        return sorted(self.facts("test").values(), key=lambda result: str(result["when"]))

    def repeats(self) -> list[dict[str, Any]]:
        """The trainings of trials on new seeds, each with the fields of `confirmation.Repeat`."""
        return list(self.facts("repeat").values())

    def add_repeat(self, repeat: dict[str, Any]) -> None:
        """Store a training on a new seed."""
        self.remember_fact(f"repeat:{repeat['trial']}:{repeat['seed']}", repeat)

    def store_folder(self) -> None:
        """Store the study's present folder and the paths that were moved with it."""
        known = self.fact("mlflow")
        if known and "folder" not in known:
            # its runs were written from the study's first folder
            self.remember_fact("mlflow", {**known, "folder": self.info["folder"]})
        if self.info["folder"] != str(self.folder):
            self.remember(folder=str(self.folder), dataset=self.info["dataset"], space=self.info["space"])

    def add_test_result(self, result: dict[str, Any]) -> None:
        """Store a result on test images, by the name of its `model` or else its trial's number."""
        self.remember_fact(f"test:{result.get('model', result['trial'])}", {**result, "when": now()})


def now() -> str:
    """The present time in ISO 8601, with the time zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def certain(trial: optuna.Trial, asked: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The values of a trial that do not depend on its further questions: those that it used, and what its sampler drew.

    `asked`: the distributions of earlier questions, by name. A value is certain only for an equal distribution.
    """
    values, space = trial.params, trial.distributions
    # the values of a queued trial were chosen before, and its sampler draws none of them
    if not trial._fixed_params:
        values = {**trial.relative_params, **values}
        space = {**(trial.relative_search_space or {}), **space}
    return {name: value for name, value in values.items() if _is_certain(value, space.get(name), asked.get(name))}


def _is_certain(value: Any, known: BaseDistribution | None, asked: dict[str, Any] | None) -> bool:
    """Whether Optuna uses a drawn value: it draws another one if a sampler's value is not in the distribution."""
    if known is None or asked is None:
        return False
    ours = Distribution.from_dict(asked)
    return known == to_optuna(ours) and ours.contains(value)


def _fit_prior(trial: optuna.Trial, name: str, distribution: Distribution) -> None:
    """Give a trial of a prior the nearest value that `distribution` has; the sampler draws it if there is none.

    The hyperparameters of a function are known only now. Optuna would use a value out of the range.
    """
    fixed = trial._fixed_params
    if name not in fixed or distribution.contains(fixed[name]):
        return
    if str(trial.user_attrs.get("origin", "")).startswith(ORIGIN):
        value = projected(fixed.pop(name), distribution)
        if value is not None:
            fixed[name] = value


def suggest(trial: optuna.Trial, name: str, asked: dict[str, Any]) -> Any:
    """The value that Optuna draws for `name`.

    Raises:
        CnnsearchError: if the sampler cannot draw it, or an earlier trial of the study had other choices for it.
    """
    try:
        distribution = Distribution.from_dict(asked)
        _fit_prior(trial, name, distribution)
        known: Any = to_optuna(distribution)
        if isinstance(known, CategoricalDistribution):
            return trial.suggest_categorical(name, known.choices)
        if isinstance(known, IntDistribution):
            return trial.suggest_int(name, known.low, known.high, step=known.step, log=known.log)
        return trial.suggest_float(name, known.low, known.high, step=known.step, log=known.log)
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        mend = "Its choices must be the same in every trial of a study."
        if "dynamic" not in reason:
            mend = "Choose another --sampler: this one cannot draw it."
        raise CnnsearchError(f"{name} cannot be drawn: {reason} {mend}") from error
