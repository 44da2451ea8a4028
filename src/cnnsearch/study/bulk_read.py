"""Reads all trials of a study from Optuna's database with one query for each table."""

import datetime
import importlib
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial


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

    models = importlib.import_module("optuna.storages._rdb.models")
    trial = models.TrialModel
    these = (trial.study_id == study_id, trial.trial_id > after)
    with storage.engine.connect() as connection:
        studies = select(models.StudyModel.study_id).where(models.StudyModel.study_id == study_id)
        if connection.execute(studies).first() is None:
            raise KeyError(f"there is no study of id {study_id}")

        def rows(table: Any, order: Any, *columns: Any) -> Any:
            wanted = select(table.trial_id, *columns).join(trial, trial.trial_id == table.trial_id)
            return connection.execute(wanted.where(*these).order_by(order))

        moments = trial.__table__.c
        wanted = select(trial.trial_id, trial.number, trial.state, moments.datetime_start, moments.datetime_complete)
        # first, as a trial that is added meanwhile may have rows below
        heads = connection.execute(wanted.where(*these).order_by(trial.trial_id)).all()
        param, value, step = models.TrialParamModel, models.TrialValueModel, models.TrialIntermediateValueModel
        user, system = models.TrialUserAttributeModel, models.TrialSystemAttributeModel
        params, distributions = _params(
            rows(param, param.param_id, param.param_name, param.param_value, param.distribution_json)
        )
        values = _by_trial(
            (id_, at, value.stored_repr_to_value(stored, kind))
            for id_, at, stored, kind in rows(value, value.objective, value.objective, value.value, value.value_type)
        )
        steps = _by_trial(
            (id_, at, step.stored_repr_to_intermediate_value(stored, kind))
            for id_, at, stored, kind in rows(
                step, step.step, step.step, step.intermediate_value, step.intermediate_value_type
            )
        )
        user_attrs, system_attrs = (
            _by_trial(
                (id_, key, json.loads(text)) for id_, key, text in rows(table, id_column, table.key, table.value_json)
            )
            for table, id_column in ((user, user.trial_user_attribute_id), (system, system.trial_system_attribute_id))
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
            user_attrs=user_attrs.get(id_, {}),
            system_attrs=system_attrs.get(id_, {}),
            intermediate_values=steps.get(id_, {}),
            trial_id=id_,
        )
        for id_, number, state, start, end in heads
    ]


def latest(storage: BaseStorage) -> dict[int, datetime.datetime]:
    """When a trial of each study last ended or, if it runs, began, by the id of the study."""
    from sqlalchemy import func, select

    database = getattr(storage, "_backend", storage)
    trial = importlib.import_module("optuna.storages._rdb.models").TrialModel
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


def _by_trial(rows: Iterable[tuple[int, Any, Any]]) -> dict[int, dict[Any, Any]]:
    found: dict[int, dict[Any, Any]] = defaultdict(dict)
    for id_, key, value in rows:
        found[id_][key] = value
    return found
