"""Opens or resumes a study in Optuna's storage, and reads what it holds."""

import datetime
import functools
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.core.version import VERSION
from cnnsearch.data.pixel_values import BYTES
from cnnsearch.spaces.definition import Space
from cnnsearch.study import moved, samplers
from cnnsearch.study.config import Settings, maximize
from cnnsearch.study.sampler_view import Seen
from cnnsearch.study.storage import make_folder, storage_errors, storage_url
from cnnsearch.study.trial import ATTRIBUTE, COUNTED, Record, record
from cnnsearch.study.write_behind import Behind

FORMAT = 1
MORE, LESS = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
LEASE = 120
"""Seconds after which a run that has not renewed its lease is taken for dead."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Study:
    """An Optuna study with what cnnsearch knows of it: `info` (space, dataset, seed, versions, …)."""

    def __init__(self, study: optuna.Study, folder: Path = Path(), behind: Behind | None = None) -> None:
        self.optuna, self._behind = study, behind
        self.name: str = study.study_name
        known = dict(study.user_attrs.get(ATTRIBUTE, {}))
        self.folder = moved.home(folder.resolve(), known)
        """Where the study keeps its files. It is not stored: a runs folder may be moved."""
        self.info: dict[str, Any] = moved.as_found_here(known, self.folder)

    @functools.cached_property
    def asked(self) -> Seen:
        """The study as its sampler sees it."""
        return Seen(self.name, self.optuna._storage, self.optuna.sampler, self.optuna.pruner)

    def use(self, sampler: Any) -> None:
        """Let this sampler draw from now on."""
        self.optuna.sampler = self.asked.sampler = sampler

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
            raise StudyError(f"Study '{self.name}' has trained nothing yet. Give the command again that began it.")

    def checkpoint(self, kept: Record) -> Path | None:
        """The file of a trial's model, if it is there."""
        path = moved.own_file(self.folder, "checkpoints", kept.checkpoint)
        return path if kept.checkpoint and path.is_file() else None

    def records(self) -> list[Record]:
        """Every trial's record, in the order of their numbers."""
        return [record(trial) for trial in self.optuna.get_trials(deepcopy=False)]

    def remember(self, **facts: Any) -> None:
        """Add facts to `info`."""
        # read again first: an export may have written meanwhile
        known = {**self.optuna.user_attrs.get(ATTRIBUTE, {}), **facts}
        self.optuna.set_user_attr(ATTRIBUTE, known)
        self.info = moved.as_found_here(known, self.folder)

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

    def looks(self) -> list[dict[str, Any]]:
        """Every measurement on test so far, in the order in which they were made."""
        return sorted(self.facts("test").values(), key=lambda look: str(look["when"]))

    def repeats(self) -> list[dict[str, Any]]:
        """Every further training of a trial under another seed, as `confirm.Repeat` wrote it."""
        return list(self.facts("repeat").values())

    def add_repeat(self, repeat: dict[str, Any]) -> None:
        """Record one further training."""
        self.remember_fact(f"repeat:{repeat['trial']}:{repeat['seed']}", repeat)

    def note_place(self) -> None:
        """Store where the study is now, for the paths that are beside it."""
        known = self.fact("mlflow")
        if known and "folder" not in known:
            # its runs were written when the study was where it began
            self.remember_fact("mlflow", {**known, "folder": self.info["folder"]})
        if self.info["folder"] != str(self.folder):
            self.remember(folder=str(self.folder), dataset=self.info["dataset"], space=self.info["space"])

    def add_look(self, look: dict[str, Any]) -> None:
        """Record one measurement on test, under the name of its `model` if that is not simply its trial."""
        self.remember_fact(f"test:{look.get('model', look['trial'])}", {**look, "when": now()})


def now() -> str:
    """This moment, in ISO 8601 with the time zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def begin(settings: Settings) -> Study:
    """The study that `settings` name, created or opened to go on.

    Raises:
        StudyError: if it began under other settings, or its storage cannot be opened.
    """
    make_folder(settings.folder)
    with storage_errors(settings.storage, settings.runs):
        study = _create(settings)
        refuse_if_held(Study(study, settings.folder))
        moved.adopt(settings.folder.resolve(), study.user_attrs.get(ATTRIBUTE, {}))
        if _nothing_done(study, settings):
            # a first try that was refused or stopped must not bind the next one to its settings
            optuna.delete_study(study_name=settings.study, storage=storage_url(settings.runs, settings.storage))
            study = _create(settings)
    # derived from the number of trials too: the same seed would replay the same first points
    sampler = samplers.sampler(settings.sampler, settings.seed + 7919 * len(study.get_trials(deepcopy=False)))
    behind = Behind(study._storage, study._study_id)
    study = optuna.load_study(study_name=study.study_name, storage=behind, sampler=sampler, pruner=study.pruner)
    opened = Study(study, settings.folder, behind)
    if opened.info:
        check_same(opened, settings)
        opened.note_place()
    else:
        opened.remember(
            **settings.for_study(),
            format=FORMAT,
            version=VERSION,
            folder=str(settings.folder.resolve()),
            created=now(),
        )
    return opened


def begun(settings: Settings) -> dict[str, Any] | None:
    """What is stored of the study that `settings` name, if it is there with something done in it."""
    # unlike Path.exists it answers for names that no file can have
    if not settings.storage and not os.path.exists(settings.runs / "cnnsearch.db"):  # noqa: PTH110
        return None
    with storage_errors(settings.storage, settings.runs):
        try:
            study = optuna.load_study(study_name=settings.study, storage=storage_url(settings.runs, settings.storage))
        except KeyError:
            return None
        return None if _nothing_done(study, settings) else Study(study, settings.folder).info or None


def refuse_if_held(study: Study) -> None:
    """The lock in the runs folder does not reach other folders and machines; a lease in the storage does.

    Raises:
        StudyError: if another run renewed its lease lately and, as far as can be seen, still lives.
    """
    import psutil

    owner = study.fact("owner")
    # a clock that was set back makes a lease of the future
    if not owner or abs(time.time() - owner["at"]) > LEASE:
        return
    here = owner["host"] == platform.node()
    if here and (owner["pid"] == os.getpid() or not psutil.pid_exists(owner["pid"])):
        return
    raise StudyError(
        f"Study '{study.name}' is being worked on by another run (process {owner['pid']} on {owner['host']}). "
        "Wait for it, or name another with --study NAME."
    )


def lease(study: Study) -> None:
    """Say in the storage that this process works on the study."""
    study.remember_fact("owner", {"host": platform.node(), "pid": os.getpid(), "at": time.time()})


def release(study: Study) -> None:
    """Take the lease back."""
    study.remember_fact("owner", None)


def _create(settings: Settings, tries: int = 5) -> optuna.Study:
    try:
        return _create_once(settings)
    except sqlalchemy.exc.DatabaseError as error:
        # two first runs at one time both make the tables; the later one finds them made
        if not ("already exists" in str(error) or "alembic_version" in str(error)) or tries == 1:
            raise
    time.sleep(1)
    return _create(settings, tries - 1)


def _create_once(settings: Settings) -> optuna.Study:
    return optuna.create_study(
        storage=storage_url(settings.runs, settings.storage),
        study_name=settings.study,
        directions=[MORE if maximize(settings.metric) else LESS, *(LESS for _ in settings.costs)],
        pruner=samplers.pruner(settings.pruner, settings.epochs),
        load_if_exists=True,
    )


def _nothing_done(study: optuna.Study, settings: Settings) -> bool:
    """Whether the study was begun, but no trial of it ended, is running, or can be gone on with.

    Failed trials of a function that was changed since do not count: its author mended it.
    """
    function = study.user_attrs.get(ATTRIBUTE, {}).get("brought", {}).get("function")
    mended = function is not None and settings.brought.get("function", function) != function

    def counts(t: FrozenTrial) -> bool:
        ended = record(t)
        return ended.state in COUNTED and not (mended and ended.state == "failed")

    busy = any(
        t.state == TrialState.RUNNING
        or counts(t)
        or (t.state == TrialState.WAITING and "state" in t.user_attrs and state_of(settings.folder, t).exists())
        for t in study.get_trials(deepcopy=False)
    )
    return ATTRIBUTE in study.user_attrs and not busy


def state_of(folder: Path, trial: FrozenTrial | optuna.Trial) -> Path:
    """The file of a trial that was put back, in which its training is kept; `folder` is the study's."""
    return moved.own_file(folder, "epochs", str(trial.user_attrs["state"]))


def check_same(study: Study, settings: Settings) -> None:
    """Refuse to go on with a study under other settings than it began with.

    Raises:
        StudyError: it names the first difference and the ways on.
    """
    refuse_newer(study)
    old, new = study.info, json.loads(json.dumps(settings.for_study()))
    anew = "or begin anew with --study NAME."
    _check_brought(study, new.get("brought", {}))
    keys = ("dimensions", "model", "trainer")
    # as it would be written now
    begun = json.loads(json.dumps(Space.from_dict(old["space"]).to_dict()))
    # a file may have been moved: of data the fingerprint is compared, of code the name
    begun["model"], new["space"]["model"] = moved.compared(begun["model"], new["space"]["model"])
    for what, before, now in _differences({k: begun[k] for k in keys}, {k: new["space"][k] for k in keys}):
        raise StudyError(
            f"Study '{study.name}' began with {what} = {before}; the space now says {now}. "
            f"Go on under the old space with --space-from-study, {anew}"
        )
    old = {"costs": [], **old, "dataset": moved.without_path(old["dataset"])}
    new["dataset"] = moved.without_path(new["dataset"])
    for key in ("dataset", "epochs", "metric", "costs", "seed", "validation", "batch_size"):
        if old.get(key, new[key]) != new[key]:
            raise StudyError(
                f"Study '{study.name}' began with {key} {_brief(old[key])}; this command says {_brief(new[key])}. "
                f"Go on with the old value, {anew}"
            )


def _check_brought(study: Study, brought: dict[str, Any]) -> None:
    """Refuse another function, or other arrays, than the study was given from Python; say what changed.

    Raises:
        StudyError: if a digest is not what it was.
    """
    began = study.info.get("brought", {})
    ways = "Bring back what it was, or begin a new study with study=NAME."
    for kind, what in (("function", "the function"), ("data", "the images or labels")):
        old, now = began.get(kind, {}), brought.get(kind, {})
        changed = [name for name in {**old, **now} if old.get(name) != now.get(name)]
        if not (old and now and changed):
            continue
        python = set(changed) == set(old) == set(now) and began.get("python") != brought.get("python")
        hint = {"function": "To resume with the earlier function, pass space_from_study=True. "}.get(kind, HINT)
        raise StudyError(
            f"Study '{study.name}' began with other code or data: {what} changed since, in {', '.join(changed[:5])}. "
            + ("It began under another Python, and the two compile code in different ways. " if python else hint)
            + ways
        )


HINT = "If the data pipeline changes images at random, remove that step: every call must give the same images. "


def check_same_data(study: Study, found: dict[str, Any]) -> None:
    """Refuse to go on with a study on other images.

    Raises:
        StudyError: if the dataset's fingerprint is not what it was, or 0.1.0 scaled these images in another way.
    """
    known = study.info.get("data")
    if known and known["fingerprint"] != found["fingerprint"]:
        raise StudyError(
            f"Study '{study.name}' was made on other images: the dataset {known['name']} has changed. "
            "Begin anew with --study NAME."
        )
    low, high = found["value_range"]
    if known and "value_range" not in known and (low, high) != BYTES and not study.info["space"]["model"]:
        raise StudyError(
            f"Study '{study.name}' was begun by version 0.1.0, which scaled all images from 0 to 255; these are scaled "
            f"from {low:g} to {high:g} now. Begin anew with --study NAME."
        )


def refuse_newer(study: Study) -> None:
    """Refuse a study of a newer version.

    Raises:
        StudyError: if it is one.
    """
    if study.info.get("format", 0) > FORMAT:
        raise StudyError(f"Study '{study.name}' was written by a newer cnnsearch; upgrade to go on with it.")


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
            mend = "Name another --sampler: this one cannot draw it."
        raise CnnsearchError(f"{name} cannot be drawn: {reason} {mend}") from error


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
    return "its default" if value is None else value if isinstance(value, str) else json.dumps(value)
