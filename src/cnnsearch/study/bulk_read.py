"""Reads all trials of a study from Optuna's database with one query for each table."""

import datetime
import importlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial

HEAD = ("number", "state", "datetime_start", "datetime_complete")
PARAM = ("param_name", "param_value", "distribution_json")
VALUE = ("objective", "value", "value_type")
STEP = ("step", "intermediate_value", "intermediate_value_type")
ATTRIBUTE = ("key", "value_json")
"""The columns of Optuna's tables that are read."""


class Database(RDBStorage):
    """Optuna's database. It reads many trials in a fraction of the time.

    Optuna makes an object for each row, and reads the distribution of a hyperparameter again for each trial. A study
    of 10,000 trials has more than 300,000 rows.
    """

    def _get_trials(
        self, study_id: int, states: Any, included_trial_ids: set[int], trial_id_greater_than: int
    ) -> list[FrozenTrial]:
        # Optuna asks so for all trials of a study that it has not read yet
        if states is None and not included_trial_ids:
            return trials(self, study_id, trial_id_greater_than)
        found: list[FrozenTrial] = super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        return found


def trials(storage: RDBStorage, study_id: int, after: int = -1) -> list[FrozenTrial]:
    """The trials of a study whose id is larger than `after`, in the order of their ids.

    Raises:
        KeyError: if there is no such study.
    """
    from sqlalchemy import select

    models = _models()
    with storage.engine.connect() as connection:
        study = models.StudyModel.study_id
        if connection.execute(select(study).where(study == study_id)).first() is None:
            raise KeyError(f"there is no study of id {study_id}")
        rows = _Rows(connection, models.TrialModel, study_id, after)
        # first, as a trial that is added meanwhile may have rows below
        heads = rows.heads()
        if not heads:
            return []
        params, distributions = _params(rows.of(models.TrialParamModel, "param_id", *PARAM))
        value, step = models.TrialValueModel, models.TrialIntermediateValueModel
        values = _by_trial(rows.of(value, "objective", *VALUE), value.stored_repr_to_value)
        steps = _by_trial(rows.of(step, "step", *STEP), step.stored_repr_to_intermediate_value)
        user = _by_trial(rows.of(models.TrialUserAttributeModel, "trial_user_attribute_id", *ATTRIBUTE), json.loads)
        system = _by_trial(
            rows.of(models.TrialSystemAttributeModel, "trial_system_attribute_id", *ATTRIBUTE), json.loads
        )
    return [
        FrozenTrial(
            number=number,
            state=state,
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
    """Reads the rows of a study's trials whose id is larger than `after`."""

    connection: Any
    trial: Any
    study_id: int
    after: int

    def heads(self) -> Any:
        """Id, number, state and times of each trial, in the order of their ids."""
        from sqlalchemy import select

        columns = self.trial.__table__.c
        wanted = select(columns.trial_id, *(columns[name] for name in HEAD))
        return self._execute(wanted.order_by(columns.trial_id)).all()

    def of(self, model: Any, order: str, *names: str) -> Any:
        """The id of the trial and these columns of the rows of one table, in this order."""
        from sqlalchemy import select

        columns = model.__table__.c
        wanted = select(columns.trial_id, *(columns[name] for name in names))
        return self._execute(wanted.join(self.trial, self.trial.trial_id == columns.trial_id).order_by(columns[order]))

    def _execute(self, wanted: Any) -> Any:
        return self.connection.execute(
            wanted.where(self.trial.study_id == self.study_id, self.trial.trial_id > self.after)
        )


def latest(storage: BaseStorage) -> dict[int, datetime.datetime]:
    """When a trial of each study last ended or, if it runs, began, by the id of the study."""
    from sqlalchemy import func, select

    database: Any = getattr(storage, "_backend", storage)
    trial = _models().TrialModel
    columns = trial.__table__.c
    moment = func.max(func.coalesce(columns.datetime_complete, columns.datetime_start))
    with database.engine.connect() as connection:
        found = connection.execute(select(trial.study_id, moment).group_by(trial.study_id))
        return {study_id: local for study_id, at in found if (local := _local(at)) is not None}


def _local(stored: datetime.datetime | None) -> datetime.datetime | None:
    """A moment as Optuna gives it, in local time; it is stored in UTC."""
    return stored and stored.replace(tzinfo=datetime.UTC).astimezone().replace(tzinfo=None)


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
