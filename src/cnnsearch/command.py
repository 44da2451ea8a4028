"""`cnnsearch run`: its options to settings, the search from beginning to end, and what is said after it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cnnsearch import catalog, leaderboard, spaces, study, tables, watchdog
from cnnsearch import recipes as recipe_points
from cnnsearch.display import Display
from cnnsearch.errors import CnnsearchError
from cnnsearch.pool import gpus
from cnnsearch.record import COUNTED, Record
from cnnsearch.search import Search
from cnnsearch.settings import Settings
from cnnsearch.spaces import Space, Use
from cnnsearch.stopping import Stop
from cnnsearch.study import Study
from cnnsearch.tracking import Tracker

UNITS = {"s": 1, "m": 60, "h": 3600}
SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
FROM_SPACE = ("epochs", "metric", "max_params", "max_macs")


def settings(
    *,
    space: str,
    study: str | None,
    dataset: str | None,
    settings: tuple[str, ...],
    jobs: int | None,
    timeout: str,
    trial_timeout: str,
    memory: str,
    space_from_study: bool,
    recipe: tuple[str, ...],
    recipes: bool,
    **given: Any,
) -> Settings:
    """The checked settings of a command line.

    Raises:
        CnnsearchError: if anything in it is wrong; nothing heavy was imported and nothing written by then.
    """
    known = catalog.load(given["plugins"])
    found = spaces.load(space, known)
    if dataset:
        found = replace(found, dataset=dataset_use(dataset), input_shape=())
    found = spaces.check(spaces.override(found, settings), known)
    if found.dataset is None:
        raise CnnsearchError(f"{space} names no dataset; say which: --dataset NAME, npz:PATH or folder:PATH.")
    for name in FROM_SPACE:
        if given[name] is None:
            given[name] = found.defaults[name]
    workers, threads = share(jobs)
    made = Settings(
        space=found,
        dataset=found.dataset,
        study=_plain_name(study or found.name),
        timeout=seconds(timeout),
        trial_timeout=seconds(trial_timeout),
        memory=size(memory) if memory else watchdog.memory_allowed(workers),
        jobs=workers,
        threads=threads,
        recipes=recipe_points.chosen(found, known, recipe, recipes),
        only_recipes=bool(recipe) and not recipes,
        **given,
    )
    return _as_begun(made) if space_from_study else made


def run(settings: Settings, display: Display, line: str) -> tuple[Study, str]:
    """Bring the study to its trials; gives it back with how the search ended. `line` is the command to record.

    Raises:
        CnnsearchError: on anything a user can mend.
        KeyboardInterrupt: at the second Ctrl-C or SIGTERM; the first ends the search in order.
    """
    hold, errors = study.hold(settings.folder, settings.study), study.storage_errors(settings.storage)
    with hold, errors, display, Stop().listening() as stop:
        opened = study.begin(settings)
        study.lease(opened)
        if not settings.twins:
            opened.remember(command=line)
        counted = sum(record.state in COUNTED for record in opened.records())
        if settings.only_recipes:
            settings = replace(settings, trials=counted + len(study.missing_recipes(opened, settings)))
        if settings.twins:
            settings = replace(settings, trials=counted + len(settings.twins))
        if counted:
            display.note(_going_on(settings, counted))
        tracker = Tracker(display.note)
        ended = "error"
        try:
            ended = Search(settings, opened, tracker, display, stop).run()
        finally:
            status, best, files = _last_words(opened, ended)
            tracker.close(status, best, files)
            study.release(opened)
    return opened, ended


def report(opened: Study, ended: str, settings: Settings, json_lines: bool) -> None:
    """Print the top of the leaderboard and what to do next; raise if the search ended for a bad reason."""
    board = leaderboard.rows(opened, top=10, choices=99 if json_lines else 6)
    if json_lines:
        import json

        best = board[0] if board else None
        click.echo(json.dumps({"event": "end", "study": opened.name, "ended": ended, "best": best}))
    else:
        board = [row for row in board if row["score"] is not None] or board
        tables.show(leaderboard.to_table(board, f"{opened.name}: the best by {opened.info['metric']}"))
        _say_next(opened, ended, settings)
    if " " in ended:
        raise CnnsearchError(f"The search stopped: {ended}")


def dataset_use(text: str) -> Use:
    """`mnist`, `npz:PATH` or `folder:PATH` as a dataset with its options."""
    name, colon, path = text.partition(":")
    # unlike Path's own they raise nothing for a home that is nobody's, or a link that leads to itself
    return Use(name, {"path": os.path.realpath(os.path.expanduser(path))} if colon else {})  # noqa: PTH111


def seconds(text: str) -> float:
    """`90`, `30m` or `2h` in seconds.

    Raises:
        CnnsearchError: if it is no duration.
    """
    value = _amount(text, UNITS)
    if not 0 <= value < float("inf"):
        raise CnnsearchError(f"'{text}' is no duration; expected seconds, or such as 30m or 2h.")
    return value


MOST_JOBS = 4
"""Workers on a CPU unless asked for: each holds the data and a backend, about 1 GB."""


def share(jobs: int | None) -> tuple[int, int]:
    """How many workers, and how many threads each: one a GPU; on a CPU one a core, up to MOST_JOBS.

    Small networks use one thread better than two: two workers of one thread gave 1.5 times the trials of one
    worker of two threads (two cores, networks of 1 to 2 million multiply-adds on MNIST).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = jobs or len(gpus()) or min(cores, MOST_JOBS)
    return workers, max(1, cores // workers)


def masked(line: str, storage: str) -> str:
    """`line` with the password of the storage address hidden."""
    if "@" not in storage:
        return line
    scheme, separator, rest = storage.partition("://")
    return line.replace(storage, f"{scheme}{separator}***@{rest.rpartition('@')[2]}")


def _as_begun(made: Settings) -> Settings:
    """`made` with what the study began with: its space, dataset, epochs, metric and seed."""
    info = study.load(made.study, made.runs, made.storage).info
    return replace(
        made,
        space=Space.from_dict(info["space"]),
        dataset=Use(*info["dataset"]),
        epochs=info["epochs"],
        metric=info["metric"],
        seed=info["seed"],
    )


def size(text: str) -> int:
    """`800m` or `2g` in bytes; 0 for no limit.

    Raises:
        CnnsearchError: if it is no size.
    """
    value = _amount(text.lower(), SIZES)
    if not 0 <= value < float("inf"):
        raise CnnsearchError(f"'{text}' is no size of memory; expected bytes, or such as 800m or 2g.")
    return int(value)


def _amount(text: str, units: dict[str, int]) -> float:
    """A number with one of these units or none; -1 for anything else."""
    number, factor = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        return float(number) * factor
    except ValueError:
        return -1.0


def _plain_name(name: str) -> str:
    if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or name[0] in ".-":
        raise CnnsearchError(f"'{name}' is no name for a study; use letters, digits, '-', '_' and '.'.")
    return name


def _going_on(settings: Settings, counted: int) -> str:
    if counted >= settings.trials:
        return (
            f"Study '{settings.study}' already has {counted} of {settings.trials} trials. "
            "Raise --trials to go on, or begin anew with --study NAME."
        )
    return f"Going on with study '{settings.study}': {counted} of {settings.trials} trials are done."


def _say_next(opened: Study, ended: str, settings: Settings) -> None:
    if ended == "timeout":
        click.echo("\nThe time is up. The same command goes on.")
    if ended == "exhausted":
        click.echo("\nEvery plan of the space that the sampler can find was tried.")
    where = "" if settings.runs == Path("runs") else f" --runs {settings.runs}"
    click.echo("\nSee every trial:   cnnsearch ui")
    click.echo(f"Keep the best:     cnnsearch export --best {opened.name}{where}")


def _last_words(opened: Study, ended: str) -> tuple[str, Record | None, tuple[Path, ...]]:
    """How the parent run ended ('' if nothing was trained), the best trial, and the leaderboard's files."""
    ranked = leaderboard.ranked(opened)
    if not any(record.state in COUNTED for record in ranked):
        return "", None, ()
    board = leaderboard.rows(opened)
    files = []
    for name, write in (("leaderboard.csv", leaderboard.to_csv), ("leaderboard.md", leaderboard.to_markdown)):
        path = opened.folder / name
        path.write_text(write(board), "utf-8")
        files.append(path)
    best = next((record for record in ranked if record.state == "complete"), None)
    return ("FINISHED" if ended in ("complete", "exhausted") else "KILLED"), best, tuple(files)
