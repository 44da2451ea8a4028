"""Creates a study or opens it to be resumed, and checks that configuration and data are the same."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.core import checkpoint_store
from cnnsearch.core.checkpoint_address import redacted
from cnnsearch.core.errors import StudyError
from cnnsearch.core.version import VERSION
from cnnsearch.data.pixel_values import BYTES
from cnnsearch.spaces import source_names
from cnnsearch.spaces.definition import Space
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study import moved, samplers, unwritten
from cnnsearch.study.address import server
from cnnsearch.study.config import SearchConfig, StudyConfig
from cnnsearch.study.lease import refuse_if_held
from cnnsearch.study.storage import make_folder, open_storage, storage_errors
from cnnsearch.study.study import FORMAT, Study, now
from cnnsearch.study.training_checkpoints import FACT, TrainingCheckpoints, new_fact
from cnnsearch.study.trial import ATTRIBUTE, COUNTED, from_optuna
from cnnsearch.study.write_behind import WriteBehindStorage

HINT = "If the data pipeline changes images at random, remove that step: every call must give the same images. "

MORE, LESS = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE


def begin(
    config: SearchConfig, known: Catalog = samplers.NO_PLUGINS, note: Callable[[str], None] = lambda line: None
) -> Study:
    """The study that `config` names, created or opened to be resumed. `known` has the samplers and pruners of plugins.

    `note` is called with a line for the user.

    Raises:
        StudyError: if it began with another configuration, or its storage cannot be opened.
    """
    make_folder(config.study.folder)
    missed = config.study.folder / unwritten.FILE
    with storage_errors(config.study.storage, config.study.runs):
        study = _create(config, known)
        refuse_if_held(Study(study, config.study.folder))
        unwritten.send(missed, study._study_id, study._storage)
        moved.adopt(config.study.folder.resolve(), study.user_attrs.get(ATTRIBUTE, {}))
        if _nothing_done(study, config.study):
            study = _begun_again(study, config, known, note)
    # it depends on the number of trials: the same seed would draw the same first points again
    seed = config.study.seed + 7919 * len(study.get_trials(deepcopy=False))
    sampler = samplers.sampler(config.tuner.sampler, seed, known, config.tuner.prior.weights)
    opened = behind_writes(study, config.study, sampler)
    if opened.info:
        check_same(opened, config.study)
        opened.store_folder()
    else:
        opened.remember(
            **config.study.stored(),
            format=FORMAT,
            version=VERSION,
            folder=str(config.study.folder.resolve()),
            created=now(),
        )
    return opened


def _begun_again(
    study: optuna.Study, config: SearchConfig, known: Catalog, note: Callable[[str], None]
) -> optuna.Study:
    """A new study in place of one without results, which may have had another configuration."""
    if failed := sum(from_optuna(trial).state == "failed" for trial in study.get_trials(deepcopy=False)):
        note(f"Study '{config.study.name}' begins again, because none of its trials completed ({failed} failed).")
    optuna.delete_study(study_name=config.study.name, storage=open_storage(config.study.runs, config.study.storage))
    return _create(config, known)


def behind_writes(study: optuna.Study, config: StudyConfig, sampler: Any = None) -> Study:
    """The study with writes that do not wait, neither for a worker nor for a server (`WriteBehindStorage`)."""
    is_server = server(config.storage) is not None
    behind = WriteBehindStorage(study._storage, study._study_id, is_server, config.folder / unwritten.FILE)
    opened = optuna.load_study(
        study_name=study.study_name, storage=behind, sampler=sampler or study.sampler, pruner=study.pruner
    )
    return Study(opened, config.folder, behind)


def begun(config: StudyConfig) -> dict[str, Any] | None:
    """The stored facts of the study that `config` names; None if it does not exist or has no results."""
    # unlike Path.exists it raises nothing for names that are too long or not valid
    if not config.storage and not os.path.exists(config.runs / "cnnsearch.db"):  # noqa: PTH110
        return None
    with storage_errors(config.storage, config.runs):
        try:
            study = optuna.load_study(study_name=config.name, storage=open_storage(config.runs, config.storage))
        except KeyError:
            return None
        return None if _nothing_done(study, config) else Study(study, config.folder).info or None


def _create(config: SearchConfig, known: Catalog, tries: int = 5) -> optuna.Study:
    import sqlalchemy.exc

    try:
        return _create_once(config, known)
    except sqlalchemy.exc.DatabaseError as error:
        # if two first runs create the tables at the same time, the later one fails and tries again
        if not ("already exists" in str(error) or "alembic_version" in str(error)) or tries == 1:
            raise
    time.sleep(1)
    return _create(config, known, tries - 1)


def _create_once(config: SearchConfig, known: Catalog) -> optuna.Study:
    return optuna.create_study(
        storage=open_storage(config.study.runs, config.study.storage),
        study_name=config.study.name,
        directions=_directions(config.study),
        pruner=samplers.pruner(config.tuner.pruner, config.study.epochs, known),
        load_if_exists=True,
    )


def _directions(config: StudyConfig) -> list[Any]:
    more = (MORE if direction == "maximize" else LESS for _, direction in config.more)
    return [MORE if config.maximize else LESS, *(LESS for _ in config.costs), *more]


def _nothing_done(study: optuna.Study, config: StudyConfig) -> bool:
    """Whether the study was started, but no trial of it ended, is running, or can be resumed.

    Failed trials do not count: whoever gives the command again has mended the cause.
    """
    trials, done = study.get_trials(deepcopy=False), set(COUNTED) - {"failed"}
    busy = any(trial.state == TrialState.RUNNING or from_optuna(trial).state in done for trial in trials)
    return ATTRIBUTE in study.user_attrs and not busy and not _resumable(study, trials, config)


def _resumable(study: optuna.Study, trials: list[FrozenTrial], config: StudyConfig) -> bool:
    """Whether one of the trials has a checkpoint, as far as is known."""
    places = TrainingCheckpoints(config.folder, study.user_attrs.get(f"{ATTRIBUTE}:{FACT}"), config.checkpoints)
    requeued = [trial.user_attrs for trial in trials if trial.state == TrialState.WAITING]
    stored = [known[name] for known in requeued for name in ("state", "earlier") if "state" in known and name in known]
    return bool(places.existing(map(places.found, stored), if_unknown=True))


def use_checkpoints(study: Study, given: str, note: Callable[[str], None]) -> None:
    """Write checkpoints to the address `given`; if it is empty, where the study wrote them before.

    `note` is called with a line for the user.

    Raises:
        CnnsearchError: if the address of an earlier run cannot be used. `given` was tried before.
    """
    known = study.fact(FACT)
    if known is None and not given:
        return
    if not given:
        given = str(known["address"]).removeprefix("file://")
        checkpoint_store.probe(given)
        note(f"Checkpoints are written to {redacted(given)}, as in the run before.")
    fact = new_fact(known or {}, given, study.name, study.folder)
    if fact != known:
        study.remember_fact(FACT, fact)
    study.training_checkpoints = TrainingCheckpoints(study.folder, fact, given)


def note_changed_file(study: Study, space: Space, note: Callable[[str], None]) -> None:
    """Call `note` with a line if the file with the model or the objective has changed since the study's last run."""
    name, found, _ = space.model.rpartition(".py:")
    now = source_names.digest(Path(f"{name}.py")) if found else ""
    before = study.fact("file")
    if now and now != before:
        study.remember_fact("file", now)
    if now and before and now != before and any(trial.state in COUNTED for trial in study.trials()):
        note(
            f"{name}.py has changed since the last run of study '{study.name}', so its trials are of different code. "
            "'--study NAME' begins a new study."
        )


def check_same(study: Study, config: StudyConfig) -> None:
    """Refuse to resume a study under another configuration than it was started with.

    Raises:
        StudyError: it names the first difference and what the user can do.
    """
    refuse_newer(study)
    old, new = study.info, json.loads(json.dumps(config.stored()))
    anew = "or start a new study: --study NAME."
    _check_brought(study, new.get("brought", {}))
    keys = ("dimensions", "model", "trainer")
    # in the present form
    begun = json.loads(json.dumps(Space.from_dict(old["space"]).to_dict()))
    # files may have been moved: data are compared by fingerprint, code by name
    begun["model"], new["space"]["model"] = moved.compared(begun["model"], new["space"]["model"])
    for what, before, after in _differences({k: begun[k] for k in keys}, {k: new["space"][k] for k in keys}):
        raise StudyError(
            f"Study '{study.name}' was started with {what} = {before}. The space now has {after}. "
            f"Resume with the study's own space: --space-from-study, {anew}"
        )
    old = {"costs": [], "direction": "", "values": [], **old, "dataset": moved.without_path(old["dataset"])}
    new = {"direction": "", "values": [], **new}
    new["dataset"] = moved.without_path(new["dataset"])
    for key in ("dataset", "epochs", "metric", "direction", "values", "costs", "seed", "validation", "batch_size"):
        if old.get(key, new[key]) != new[key]:
            raise StudyError(
                f"Study '{study.name}' was started with {key} {_brief(old[key])}. This command has "
                f"{_brief(new[key])}. Use the study's value, {anew}"
            )
    _check_direction(study, config)


def _check_direction(study: Study, config: StudyConfig) -> None:
    """Check that the metric is better in the same direction: an earlier version read some names in the other one.

    Raises:
        StudyError: if it is not.
    """
    began = study.optuna.directions[0]
    if began != (MORE if config.maximize else LESS):
        raise StudyError(
            f"Study '{study.name}' was started by an earlier version, to {began.name.lower()} the {config.metric}. It "
            "is better in the other direction. Start a new study: --study NAME."
        )


def _check_brought(study: Study, brought: dict[str, Any]) -> None:
    """Check that a function or arrays from Python are those that the study began with.

    Raises:
        StudyError: if a digest differs; it names what changed.
    """
    began = study.info.get("brought", {})
    ways = "Restore it, or start a new study with study=NAME."
    for kind, what in (("function", "the function"), ("data", "the images or labels")):
        old, now = began.get(kind, {}), brought.get(kind, {})
        changed = [name for name in {**old, **now} if old.get(name) != now.get(name)]
        if not (old and now and changed):
            continue
        python = set(changed) == set(old) == set(now) and began.get("python") != brought.get("python")
        hint = {"function": "To resume with the earlier function, pass space_from_study=True. "}.get(kind, HINT)
        if python:
            hint = "It was started with another version of Python, which compiles the same code differently. "
        where = ", ".join(changed[:5])
        raise StudyError(
            f"Study '{study.name}' was started with other code or data: {what} changed since, in {where}. {hint}{ways}"
        )


def check_same_data(study: Study, found: dict[str, Any]) -> None:
    """Refuse to resume a study on other images.

    Raises:
        StudyError: if the dataset's fingerprint differs, or version 0.1.0 scaled these images in another way.
    """
    known = study.info.get("data")
    if known and known["fingerprint"] != found["fingerprint"]:
        raise StudyError(
            f"Study '{study.name}' was started on other images: the dataset {known['name']} has changed. "
            "Start a new study: --study NAME."
        )
    low, high = found["value_range"]
    if known and "value_range" not in known and (low, high) != BYTES and not study.info["space"]["model"]:
        raise StudyError(
            f"Study '{study.name}' was started by version 0.1.0, which scaled all images from 0 to 255. "
            f"Now they are scaled from {low:g} to {high:g}. Start a new study: --study NAME."
        )


def refuse_newer(study: Study) -> None:
    """Check that the study was not written by a newer version.

    Raises:
        StudyError: if it was.
    """
    if is_newer(study):
        raise StudyError(f"Study '{study.name}' was written by a newer cnnsearch. Upgrade cnnsearch to resume it.")


def is_newer(study: Study) -> bool:
    """Whether a study was written by a newer version, in a form that this one does not know."""
    return bool(study.info.get("format", 0) > FORMAT)


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(what, before, now) for each place where two pieces of plain data differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            name = f"{path}.{key}" if path else str(key)
            yield from _differences(old.get(key), new.get(key), name)
    elif path == "dimensions" and isinstance(old, list) and isinstance(new, list):
        before, now = [use[0] for use in old], [use[0] for use in new]
        if before != now:
            yield "dimensions", ", ".join(before), ", ".join(now)
        else:
            for one, other in zip(old, new, strict=True):
                yield from _differences(one[1], other[1], one[0])
    elif old != new:
        yield path, _brief(old), _brief(new)


def _brief(value: Any) -> str:
    if value is None:
        return "its default"
    return value if isinstance(value, str) else json.dumps(value)
