"""Reads all trials of a study from Optuna's database with one query for each table."""

import datetime
import importlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

HEAD = ("number", "state", "datetime_start", "datetime_complete")
PARAM = ("param_name", "param_value", "distribution_json")
VALUE = ("objective", "value", "value_type")
STEP = ("step", "intermediate_value", "intermediate_value_type")
ATTRIBUTE = ("key", "value_json")
"""The columns of Optuna's tables that are read."""

NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
"""The values that Optuna stores by their names."""


class Rows(Protocol):
    """Reads the rows of some of a study's trials."""

    def heads(self) -> Any:
        """Id, number, state, start and end of each trial, in the order of their ids."""

    def of(self, table: str, order: str, *names: str) -> Iterable[Any]:
        """The id of the trial and these columns of the rows of one table, in this order."""


def trials(storage: RDBStorage, study_id: int, after: int = -1) -> list[FrozenTrial]:
    """The trials of a study whose id is larger than `after`, in the order of their ids.

    Raises:
        KeyError: if there is no such study.
    """
    from sqlalchemy import select

    with storage.engine.connect() as connection:
        study = _models().StudyModel.study_id
        if connection.execute(select(study).where(study == study_id)).first() is None:
            raise KeyError(f"there is no study of id {study_id}")
        return made(_Rows(connection, _models().TrialModel, study_id, after))


def made(rows: Rows) -> list[FrozenTrial]:
    """The trials of these rows."""
    # first, as a trial that is added meanwhile may have rows below
    heads = rows.heads()
    if not heads:
        return []
    params, distributions = _params(rows.of("trial_params", "param_id", *PARAM))
    values = _by_trial(rows.of("trial_values", "objective", *VALUE), _number)
    steps = _by_trial(rows.of("trial_intermediate_values", "step", *STEP), _number)
    user = _by_trial(rows.of("trial_user_attributes", "trial_user_attribute_id", *ATTRIBUTE), json.loads)
    system = _by_trial(rows.of("trial_system_attributes", "trial_system_attribute_id", *ATTRIBUTE), json.loads)
    return [
        FrozenTrial(
            number=number,
            state=TrialState[_name(state)],
            value=None,
            values=[values[id_][at] for at in sorted(values[id_])] if id_ in values else None,
            datetime_start=_local(start),
            datetime_complete=_local(end),
            params=params.get(id_, {}),
            distributions=distributions.get(id_, {}),
            user_attrs=user.get(id_, {}),
            system_attrs=system.get(id_, {}),
            intermediate_values=steps.get(id_, {}),
            trial_id=id_,
        )
        for id_, number, state, start, end in heads
    ]


class _Rows(NamedTuple):
    """Reads the rows of a study's trials whose id is larger than `after`, with SQLAlchemy."""

    connection: Any
    trial: Any
    study_id: int
    after: int

    def heads(self) -> Any:
        """Id, number, state, start and end of each trial, in the order of their ids."""
        from sqlalchemy import select

        columns = self.trial.__table__.c
        wanted = select(columns.trial_id, *(columns[name] for name in HEAD))
        return self._execute(wanted.order_by(columns.trial_id)).all()

    def of(self, table: str, order: str, *names: str) -> Any:
        """The id of the trial and these columns of the rows of one table, in this order."""
        from sqlalchemy import select

        columns = self.trial.metadata.tables[table].c
        wanted = select(columns.trial_id, *(columns[name] for name in names))
        return self._execute(wanted.join(self.trial, self.trial.trial_id == columns.trial_id).order_by(columns[order]))

    def _execute(self, wanted: Any) -> Any:
        return self.connection.execute(
            wanted.where(self.trial.study_id == self.study_id, self.trial.trial_id > self.after)
        )


def latest(storage: BaseStorage) -> dict[int, datetime.datetime]:
    """When a trial of each study last ended or, if it runs, began, by the id of the study."""
    database: Any = getattr(storage, "_backend", storage)
    return {study_id: local for study_id, at in database.latest() if (local := _local(at)) is not None}


def latest_rows(storage: RDBStorage) -> list[Any]:
    """The id of each study that has trials, and that time in UTC."""
    from sqlalchemy import func, select

    trial = _models().TrialModel
    columns = trial.__table__.c
    moment = func.max(func.coalesce(columns.datetime_complete, columns.datetime_start))
    with storage.engine.connect() as connection:
        return list(connection.execute(select(trial.study_id, moment).group_by(trial.study_id)))


def _local(stored: datetime.datetime | None) -> datetime.datetime | None:
    """A moment as Optuna gives it, in local time; it is stored in UTC."""
    return stored and stored.replace(tzinfo=datetime.UTC).astimezone().replace(tzinfo=None)


def _name(stored: Any) -> str:
    """The name of a member of an enumeration; SQLite stores the name itself."""
    return stored if isinstance(stored, str) else str(stored.name)


def _number(value: float | None, kind: Any) -> float:
    return NOT_FINITE.get(_name(kind), value)  # type: ignore[return-value]


def _params(rows: Iterable[Any]) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, BaseDistribution]]]:
    """The values of the hyperparameters and their distributions, by the id of the trial.

    Trials share the objects of equal distributions: nobody changes one.
    """
    known: dict[str, BaseDistribution] = {}
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    distributions: dict[int, dict[str, BaseDistribution]] = defaultdict(dict)
    for id_, name, stored, text in rows:
        found = known.get(text)
        if found is None:
            found = known[text] = json_to_distribution(text)
        params[id_][name] = found.to_external_repr(stored)
        distributions[id_][name] = found
    return params, distributions


def _by_trial(rows: Iterable[Any], read: Callable[..., Any]) -> dict[int, dict[Any, Any]]:
    """By the id of the trial, the key of each row and what `read` makes of its other columns."""
    found: dict[int, dict[Any, Any]] = defaultdict(dict)
    for id_, key, *stored in rows:
        found[id_][key] = read(*stored)
    return found


def _models() -> Any:
    return importlib.import_module("optuna.storages._rdb.models")
