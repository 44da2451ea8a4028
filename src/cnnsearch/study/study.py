"""Opens or resumes a study in Optuna's storage, and reads what it holds."""

import datetime
import functools
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.study import moved
from cnnsearch.study.config import maximize
from cnnsearch.study.sampler_view import SamplerView
from cnnsearch.study.trial import ATTRIBUTE, Trial, from_optuna
from cnnsearch.study.write_behind import WriteBehindStorage

FORMAT = 1

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Study:
    """An Optuna study with what cnnsearch knows of it: `info` (space, dataset, seed, versions, …)."""

    def __init__(self, study: optuna.Study, folder: Path = Path(), behind: WriteBehindStorage | None = None) -> None:
        self.optuna, self._behind = study, behind
        self.name: str = study.study_name
        known = dict(study.user_attrs.get(ATTRIBUTE, {}))
        self.folder = moved.home(folder.resolve(), known)
        """Where the study keeps its files. It is not stored: a runs folder may be moved."""
        self.info: dict[str, Any] = moved.with_current_paths(known, self.folder)

    @functools.cached_property
    def sampler_view(self) -> SamplerView:
        """The study as its sampler sees it."""
        return SamplerView(self.name, self.optuna._storage, self.optuna.sampler, self.optuna.pruner)

    def use_sampler(self, sampler: Any) -> None:
        """Let this sampler draw from now on."""
        self.optuna.sampler = self.sampler_view.sampler = sampler

    def write(self) -> None:
        """Write to the storage what was kept back while a worker waited for an answer."""
        if self._behind:
            self._behind.write()

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return maximize(str(self.info["metric"]))

    @property
    def costs(self) -> tuple[str, ...]:
        """What is made small beside the metric."""
        return tuple(self.info.get("costs", ()))

    def check_begun(self) -> None:
        """Refuse a study of which no worker ever read the data.

        Raises:
            StudyError: there is nothing in it to speak of.
        """
        if "data" not in self.info:
            raise StudyError(f"Study '{self.name}' has trained nothing yet. Run the command that started it again.")

    def checkpoint(self, kept: Trial) -> Path | None:
        """The file of a trial's model, if it is there."""
        path = moved.own_file(self.folder, "checkpoints", kept.checkpoint)
        return path if kept.checkpoint and path.is_file() else None

    def trials(self) -> list[Trial]:
        """Every trial's record, in the order of their numbers."""
        return [from_optuna(trial) for trial in self.optuna.get_trials(deepcopy=False)]

    def remember(self, **facts: Any) -> None:
        """Add facts to `info`."""
        # read again first: an export may have written meanwhile
        known = {**self.optuna.user_attrs.get(ATTRIBUTE, {}), **facts}
        self.optuna.set_user_attr(ATTRIBUTE, known)
        self.info = moved.with_current_paths(known, self.folder)

    def remember_fact(self, name: str, value: Any) -> None:
        """Keep one fact by itself, so that no other writer can overwrite it."""
        self.optuna.set_user_attr(f"{ATTRIBUTE}:{name}", value)

    def fact(self, name: str) -> Any:
        """What `remember_fact` kept, or None."""
        return self.optuna.user_attrs.get(f"{ATTRIBUTE}:{name}", self.info.get(name))

    def facts(self, kind: str) -> dict[str, Any]:
        """Every fact called `KIND:REST`, by its rest: one reading of the storage for all of them."""
        start = f"{ATTRIBUTE}:{kind}:"
        return {key.removeprefix(start): v for key, v in self.optuna.user_attrs.items() if key.startswith(start)}

    def test_results(self) -> list[dict[str, Any]]:
        """Every measurement on test so far, in the order in which they were made."""
        return sorted(self.facts("test").values(), key=lambda result: str(result["when"]))

    def repeats(self) -> list[dict[str, Any]]:
        """Every further training of a trial under another seed, as `confirm.Repeat` wrote it."""
        return list(self.facts("repeat").values())

    def add_repeat(self, repeat: dict[str, Any]) -> None:
        """Record one further training."""
        self.remember_fact(f"repeat:{repeat['trial']}:{repeat['seed']}", repeat)

    def store_folder(self) -> None:
        """Store where the study is now, for the paths that are beside it."""
        known = self.fact("mlflow")
        if known and "folder" not in known:
            # its runs were written when the study was where it began
            self.remember_fact("mlflow", {**known, "folder": self.info["folder"]})
        if self.info["folder"] != str(self.folder):
            self.remember(folder=str(self.folder), dataset=self.info["dataset"], space=self.info["space"])

    def add_test_result(self, result: dict[str, Any]) -> None:
        """Record one measurement on test, under the name of its `model` if that is not simply its trial."""
        self.remember_fact(f"test:{result.get('model', result['trial'])}", {**result, "when": now()})


def now() -> str:
    """This moment, in ISO 8601 with the time zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def state_of(folder: Path, trial: FrozenTrial | optuna.Trial) -> Path:
    """The file with the training state of a requeued trial; `folder` is the study's."""
    return moved.own_file(folder, "epochs", str(trial.user_attrs["state"]))


def suggest(trial: optuna.Trial, name: str, asked: dict[str, Any]) -> Any:
    """The value that Optuna draws for `name`.

    Raises:
        CnnsearchError: if the name had other choices earlier in this study.
    """
    try:
        if asked["kind"] == "choice":
            return trial.suggest_categorical(name, asked["choices"])
        if asked["kind"] == "int":
            step = 1 if asked["log"] else int(asked["step"] or 1)
            return trial.suggest_int(name, int(asked["low"]), int(asked["high"]), step=step, log=asked["log"])
        return trial.suggest_float(name, asked["low"], asked["high"], step=asked["step"], log=asked["log"])
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        mend = "Its choices must be the same in every trial of a study."
        if "dynamic" not in reason:
            mend = "Choose another --sampler: this one cannot draw it."
        raise CnnsearchError(f"{name} cannot be drawn: {reason} {mend}") from error
