"""Writes many changes of running trials to Optuna's database in one transaction, instead of one for each change."""

import datetime
import importlib
import json
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from cnnsearch.study.unwritten import Write

DIALECTS = ("sqlite", "postgresql")
"""The databases that can insert a row or update it in one statement."""

END = "set_trial_state_values"
KINDS = ("set_trial_param", "set_trial_intermediate_value", "set_trial_user_attr", "set_trial_system_attr")
"""The changes of a running trial; END ends it."""

Rows = dict[tuple[int, Any], dict[str, Any]]
"""The rows of a table, by the id of the trial and the key."""


def database(storage: BaseStorage) -> RDBStorage | None:
    """The database behind `storage`, if it can be written in bulk."""
    found = getattr(storage, "_backend", storage)
    return found if isinstance(found, RDBStorage) and found.engine.name in DIALECTS else None


def first(writes: Iterable[Write]) -> list[Write]:
    """The first writes, up to one that is no change or end of a running trial."""
    return list(takewhile(lambda write: write.method in KINDS or _ends(write), writes))


def _ends(write: Write) -> bool:
    return write.method == END and write.arguments[1].is_finished()


def write(to: RDBStorage, writes: Sequence[Write]) -> None:
    """Make all of these writes, which `first` gave, or none. The same writes can be made again."""
    from sqlalchemy.orm import Session

    models = _models()
    with Session(to.engine) as session, session.begin():
        for kind in KINDS:
            # the last write of a key counts
            rows = {each.arguments[:2]: _row(each, models) for each in writes if each.method == kind}
            _insert(session, to.engine.name, *_table(kind, models), rows)
        for trial_id, (state, values) in {e.arguments[0]: e.arguments[1:] for e in writes if e.method == END}.items():
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            trial.state, trial.datetime_complete = state, datetime.datetime.now()
            found = {(trial_id, at): _value(trial_id, at, value, models) for at, value in enumerate(values or ())}
            _insert(session, to.engine.name, models.TrialValueModel, "objective", found)


def waiting(to: RDBStorage, study_id: int) -> list[int]:
    """The ids of the trials that wait in the queue, in the order in which they were queued."""
    from sqlalchemy import select

    trials = _models().TrialModel
    wanted = select(trials.trial_id).where(trials.study_id == study_id, trials.state == TrialState.WAITING)
    with to.engine.connect() as connection:
        return [row[0] for row in connection.execute(wanted.order_by(trials.trial_id))]


def _models() -> Any:
    return importlib.import_module("optuna.storages._rdb.models")


def _insert(session: Any, dialect: str, model: Any, key: str, rows: Rows) -> None:
    """Insert these rows, or update those that exist."""
    if not rows:
        return
    every = list(rows.values())
    statement = importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(model.__table__)
    others = {name: statement.excluded[name] for name in every[0] if name not in ("trial_id", key)}
    session.execute(statement.on_conflict_do_update(index_elements=["trial_id", key], set_=others), every)


def _table(kind: str, models: Any) -> tuple[Any, str]:
    """The table for a kind of change, and the column of its key."""
    return {
        "set_trial_param": (models.TrialParamModel, "param_name"),
        "set_trial_intermediate_value": (models.TrialIntermediateValueModel, "step"),
        "set_trial_user_attr": (models.TrialUserAttributeModel, "key"),
        "set_trial_system_attr": (models.TrialSystemAttributeModel, "key"),
    }[kind]


def _row(write: Write, models: Any) -> dict[str, Any]:
    trial_id, key, value, *distribution = write.arguments
    if distribution:
        json_text = distribution_to_json(distribution[0])
        return {"trial_id": trial_id, "param_name": key, "param_value": value, "distribution_json": json_text}
    if write.method == "set_trial_intermediate_value":
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        return {"trial_id": trial_id, "step": key, "intermediate_value": stored, "intermediate_value_type": kind}
    return {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


def _value(trial_id: int, objective: int, value: float, models: Any) -> dict[str, Any]:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
