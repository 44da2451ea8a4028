"""`cnnsearch run`: its options to settings, the search from beginning to end, and what is said after it."""

import os
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cnnsearch import (
    catalog,
    gpus,
    leaderboard,
    machine,
    majority,
    metrics,
    mlflow_store,
    objectives,
    queued,
    repeats,
    spaces,
    tables,
    watchdog,
)
from cnnsearch import recipes as recipe_points
from cnnsearch import study as studies
from cnnsearch.confirm import confirmed, optimism
from cnnsearch.display import Display
from cnnsearch.errors import CnnsearchError, NothingCompletedError
from cnnsearch.loop import Search
from cnnsearch.markers import READS
from cnnsearch.metric_names import matching
from cnnsearch.opening import Opening, open_
from cnnsearch.options import options
from cnnsearch.record import COUNTED, Record
from cnnsearch.settings import Settings
from cnnsearch.spaces import Space, Use
from cnnsearch.stopping import Stop
from cnnsearch.storage import hold, storage_errors
from cnnsearch.study import Study
from cnnsearch.tracking import Tracker

UNITS = {"s": 1, "m": 60, "h": 3600}
SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
STATUS = {"complete": "FINISHED", "exhausted": "FINISHED", "timeout": "FINISHED", "interrupted": "KILLED"}
"""The status of a study's run in MLflow, by how the search ended. Any other end is a failure."""

FROM_SPACE = ("epochs", "metric", "max_params", "max_macs")


def settings(
    *,
    space: str | Space,
    study: str | None,
    dataset: str | Use | None,
    settings: tuple[str, ...],
    jobs: int | None,
    timeout: str,
    trial_timeout: str,
    memory: str,
    confirm: str,
    objective: str | None,
    space_from_study: bool,
    recipe: tuple[str, ...],
    recipes: bool,
    image_size: str | None,
    skip_unreadable: bool,
    group_by: str | None,
    **given: Any,
) -> Settings:
    """The checked settings of a command line, or of a call from Python that brings a space and a dataset.

    Raises:
        CnnsearchError: if anything in it is wrong; nothing heavy was imported and nothing written by then.
    """
    known = catalog.load(given["plugins"])
    found = space if isinstance(space, Space) else spaces.load(space, known)
    if dataset:
        use = dataset if isinstance(dataset, Use) else dataset_use(dataset, known)
        found = replace(found, dataset=use, input_shape=(), image_size=found.input_shape[:2])
    found = for_pictures(found, known, image_size, skip_unreadable, group_by)
    found = spaces.check(spaces.override(found, settings), known)
    if found.dataset is None:
        raise CnnsearchError(f"{found.name} names no dataset; say which: --dataset NAME or --dataset PATH.")
    given["metric"], costs = objectives.asked(objective, given["metric"], given["pruner"], bool(found.model))
    given["scheduler"], given["pruner"] = who_stops(given["scheduler"], given["pruner"], costs)
    if given["metric"] is None and found.model and found.defaults["metric"] == spaces.DEFAULTS["metric"]:
        # nobody named it: a model tells which it reports (`opening`)
        given["metric"] = ""
    for name in FROM_SPACE:
        if given[name] is None:
            given[name] = found.defaults[name]
    if not found.model and found.trainer is None:
        # a trainer may report metrics of its own, and a model has its own
        metrics.check(given["metric"])
    workers, threads = share(jobs)
    made = Settings(
        space=found,
        dataset=found.dataset,
        study=_plain_name(study or found.name),
        timeout=seconds(timeout),
        trial_timeout=seconds(trial_timeout),
        memory=_memory(memory) if memory else watchdog.memory_allowed(workers),
        jobs=workers,
        threads=threads,
        costs=costs,
        recipes=recipe_points.chosen(found, known, recipe, recipes),
        only_recipes=bool(recipe) and not recipes,
        confirm=_to_confirm(confirm, 0 if recipe and not recipes else 3),
        **given,
    )
    if not space_from_study:
        return made
    begun = as_begun(studies.load(made.study, made.runs, made.storage), runs=made.runs)
    kept = ("space", "dataset", "epochs", "metric", "costs", "seed", "brought")
    return replace(made, **{name: getattr(begun, name) for name in kept})


def for_pictures(
    found: Space, known: catalog.Catalog, image_size: str | None, skip_unreadable: bool, group_by: str | None
) -> Space:
    """`found` with the options of its dataset that have options of the command line.

    Raises:
        CnnsearchError: if the dataset has no such option.
    """
    asked: dict[str, Any] = {"image_size": image_size, "skip_unreadable": skip_unreadable, "group_by": group_by}
    asked = {name: value for name, value in asked.items() if value}
    if not asked or found.dataset is None:
        return found
    function = known.get("dataset", found.dataset.name).function
    assert function is not None
    for name in asked:
        if name not in options(function):
            other = " A .npz file may hold an array 'groups'." if name == "group_by" else ""
            raise CnnsearchError(
                f"--{name.replace('_', '-')} is for folders of pictures; the dataset '{found.dataset.name}' "
                f"has no option '{name}'.{other}"
            )
    return replace(found, dataset=Use(found.dataset.name, {**found.dataset.options, **asked}))


def who_stops(scheduler: str, pruner: str | None, costs: tuple[str, ...]) -> tuple[str, str]:
    """Scheduler and pruner, what was not named settled by what was; rungs know of no costs."""
    if scheduler == "auto" and (pruner or costs):
        scheduler = "none"
    return scheduler, pruner or ("median" if scheduler in ("auto", "none") else "none")


def run(settings: Settings, display: Display, line: str) -> tuple[Study, str]:
    """Bring the study to its trials; gives it back with how the search ended. `line` is the command to record.

    Raises:
        CnnsearchError: on anything a user can mend.
        KeyboardInterrupt: at the second Ctrl-C or SIGTERM; the first ends the search in order.
    """
    mlflow_store.check_usable(mlflow_store.tracking_uri())
    with (
        hold(settings.folder, settings.study),
        storage_errors(settings.storage, settings.runs),
        display,
        Stop().listening() as stop,
    ):
        settings, opening = _opened(settings, stop, display)
        try:
            return _searched(settings, opening, display, stop, line)
        finally:
            if opening:
                opening.pool.close()


def _opened(settings: Settings, stop: Stop, display: Display) -> tuple[Settings, Opening | None]:
    """`settings` with their metric settled; with the workers that looked at a model for it, if some did."""
    if not settings.space.model:
        return settings, None
    begun = studies.begun(settings)
    if begun is None:
        opening = open_(settings, stop, display)
        return opening.settings, opening
    metric = str(begun["metric"])
    return replace(settings, metric=matching(settings.metric or metric, [metric]) or settings.metric), None


def _searched(
    settings: Settings, opening: Opening | None, display: Display, stop: Stop, line: str
) -> tuple[Study, str]:
    """The search of `run`, within its lock."""
    opened = studies.begin(settings)
    studies.lease(opened)
    if opening and opening.default:
        opened.remember(default=opening.default)
    if opening and opening.note:
        display.note(opening.note)
    if not settings.twins:
        opened.remember(command=line)
    records = opened.records()
    counted = sum(record.state in COUNTED for record in records)
    settings = _as_it_trains(opened, settings, display)
    if settings.only_recipes:
        settings = replace(settings, trials=counted + len(queued.missing_recipes(opened, settings)))
    if settings.twins:
        settings = replace(settings, trials=counted + len(settings.twins))
    if counted:
        top, seeds = settings.confirm
        chosen = repeats.leaders(records, top, opened.maximize)
        display.note(_going_on(settings, counted, len(repeats.missing(opened, records, chosen, seeds))))
    tracker = Tracker(display.note)
    ended = "error"
    try:
        ended = Search(settings, opened, tracker, display, stop, opening).run()
    finally:
        tracker.close(*_last_words(opened, ended))
        studies.release(opened)
    return opened, ended


def report(opened: Study, ended: str, settings: Settings, json_lines: bool) -> None:
    """Print the top of the leaderboard and what to do next; raise if the search ended for a bad reason."""
    with storage_errors(settings.storage, settings.runs):
        board = leaderboard.rows(opened, top=10, choices=99 if json_lines else 6)
        if json_lines:
            import json

            best = board[0] if board else None
            click.echo(json.dumps({"event": "end", "study": opened.name, "ended": ended, "best": best}))
        else:
            if board:
                _show(opened, [row for row in board if row["score"] is not None] or board)
            _say_next(opened, ended, settings, board)
        if ended == "interrupted":
            click.echo(f"\n{stopped(opened)} The same command goes on.", err=True)
    check_ended(opened, ended)


def check_ended(opened: Study, ended: str) -> None:
    """Refuse a search that has no result.

    Raises:
        NothingCompletedError: if no trial completed; it says the commonest reason.
        CnnsearchError: if the search was stopped by a fault.
    """
    nothing = "" if ended == "interrupted" else _nothing_completed(opened, ended)
    if nothing:
        raise NothingCompletedError(nothing)
    if " " in ended:
        raise CnnsearchError(f"The search stopped: {ended}")


def _nothing_completed(opened: Study, ended: str) -> str:
    """Why a search has no result: how its trials ended, and the commonest reason; nothing where it has one."""
    records = [record for record in opened.records() if record.state in (*COUNTED, "refused")]
    if any(record.state == "complete" for record in records):
        return ""
    if not records:
        return f"No trial of {opened.name} completed: {ended if ' ' in ended else 'none had ended in time'}."
    counts = Counter(record.failure or record.state for record in records)
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
    reasons = Counter(f"{record.failure}: {record.reason}" for record in records if record.failure)
    said = f" The commonest reason is {reasons.most_common(1)[0][0]}" if reasons else ""
    if " " in ended:  # it names the reason
        said = f" The search stopped: {ended}"
    return f"No trial of {opened.name} completed ({kinds}).{said.rstrip('.')}{'.' if said else ''}"


def confirm(
    study: str | None,
    top: int,
    seeds: int,
    trials: tuple[int, ...],
    timeout: str,
    jobs: int | None,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
) -> tuple[Study, str]:
    """Train the best of a finished study again on fresh seeds; gives back the study and how that ended.

    Raises:
        CnnsearchError: if there is nothing to confirm, or a dataset, plugin or worker fails.
    """
    opened = studies.load(study, runs, storage)
    workers, threads = share(jobs)
    limits = {"timeout": seconds(timeout), "memory": watchdog.memory_allowed(workers)}
    made = as_begun(opened, runs=runs, storage=storage, plugins=plugins, jobs=workers, threads=threads, **limits)
    records = opened.records()
    chosen = trials or [record.number for record in leaderboard.ranked(opened) if record.state == "complete"][:top]
    known = {record.number for record in records if record.state == "complete"}
    if not chosen or not known.issuperset(chosen):
        raise CnnsearchError(
            f"Study '{opened.name}' has no complete trial {', '.join(map(str, chosen)) or 'to confirm yet'}."
        )
    mlflow_store.check_usable(mlflow_store.tracking_uri())
    with hold(made.folder, opened.name), storage_errors(storage, runs), Stop().listening() as stop:
        studies.refuse_if_held(opened)
        studies.lease(opened)
        tracker = Tracker(click.echo)
        try:
            waiting = repeats.missing(opened, records, chosen, seeds)
            if not waiting:
                click.echo("These trials have had so many seeds already; --seeds asks for more.")
            left = repeats.on_a_pool(made, opened, waiting, tracker, stop)
        finally:
            tracker.close(*_last_words(opened, "interrupted" if stop.asked else "complete"))
            studies.release(opened)
    if left and not stop.asked:
        click.echo(f"{len(left)} trainings did not fit into the time.")
    return opened, "interrupted" if stop.asked else "complete"


def show_top(opened: Study, top: int = 10) -> None:
    """Print the top of the leaderboard and how sure it is."""
    _show(opened, leaderboard.rows(opened, top, choices=6))


def _show(opened: Study, board: list[leaderboard.Row]) -> None:
    tables.show(leaderboard.to_table(board, f"{opened.name}: the best by {opened.info['metric']}", tables.width()))
    click.echo(leaderboard.caption(board))
    for line in majority.lines(opened):
        click.echo(line)
    _say_surety(opened)


def _say_surety(opened: Study) -> None:
    """What the confirmation says of the winner, in a line."""
    best = next((record for record in leaderboard.ranked(opened) if record.state == "complete"), None)
    found = confirmed(opened).get(best.number) if best else None
    if best is None or best.score is None or found is None:
        return
    flattery = optimism(best.score, found, opened.maximize)
    sure = f" ± {found.half:.4f}" if found.half is not None else ""
    by = f"{'too good' if flattery > 0 else 'too modest'} by {abs(flattery):.4f}"
    click.echo(
        f"\nThe best, trial {best.number}: {found.mean:.4f}{sure} over {found.n} fresh seed{'s' * (found.n > 1)}; "
        f"its first score {best.score:.4f} was {by if f'{abs(flattery):.4f}' != '0.0000' else 'just that'}."
    )


def _to_confirm(text: str, unless_told: int) -> tuple[int, int]:
    """`3x2` as how many trials and on how many seeds.

    Raises:
        CnnsearchError: if it is neither that nor 0.
    """
    if text == "auto":
        return unless_told, unless_told
    parts = text.replace("\N{MULTIPLICATION SIGN}", "x").split("x")
    if text != "0" and not (len(parts) == 2 and all(part.isdecimal() and int(part) for part in parts)):
        raise CnnsearchError(f"'{text}' is nothing to confirm; expected 0, or trials x seeds such as 3x3.")
    return (0, 0) if text == "0" else (int(parts[0]), int(parts[1]))


def dataset_use(text: str, known: catalog.Catalog) -> Use:
    """What `--dataset` names: a dataset (`mnist`), one with its path (`npz:PATH`), or a path that one reads.

    Raises:
        CnnsearchError: if it is none of these.
    """
    name, colon, path = text.partition(":")
    if text in known.names("dataset"):
        return Use(text, {})
    # C:\data is a path
    if colon and name in known.names("dataset"):
        return Use(name, {"path": path and _real(path)})
    if os.path.lexists(given := _real(text)):
        return Use(_reader(text, Path(given), known), {"path": given})
    if any(mark in text for mark in (os.sep, "/", "\\")) or text.startswith("~") or Path(text).suffix:
        raise CnnsearchError(
            f"--dataset {text}: there is no such file or folder. Expected a dataset's name (`cnnsearch datasets` lists "
            "them), a .npz file, a folder of .npy files, or a folder of pictures (PATH/CLASS/*)."
        )
    return Use(name, {})


def _reader(text: str, path: Path, known: catalog.Catalog) -> str:
    """The name of the dataset that reads what is at `path`."""
    readers = [entry.name for entry in known.of("dataset") if _reads(entry.function, path)]
    if len(readers) == 1:
        return readers[0]
    if readers:
        either = " or ".join(f"{name}:{text}" for name in readers)
        raise CnnsearchError(f"--dataset {text}: {' and '.join(readers)} can read it. Say which: {either}.")
    raise CnnsearchError(
        f"--dataset {text}: no dataset reads it. Expected a .npz file, a folder of .npy files such as x_train.npy and "
        "y_train.npy, or a folder of pictures (PATH/CLASS/*)."
    )


def _reads(function: Any, path: Path) -> bool:
    reads = getattr(function, READS, None)
    try:
        return bool(reads and reads(path))
    # a predicate of somebody's may raise anything on a path that was never meant for it
    except Exception:
        return False


def _real(path: str) -> str:
    """The whole path, `~` and links followed; as it is where no path can be so, as with a null character."""
    try:
        # unlike Path's own they raise nothing for a home that is nobody's, or a link that leads to itself
        return os.path.realpath(os.path.expanduser(path))  # noqa: PTH111
    except ValueError:
        return path


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
"""Workers on a CPU unless asked for."""

EACH = 1 << 30
"""Bytes that a worker holds, about: most of it is its backend."""


def share(jobs: int | None) -> tuple[int, int]:
    """How many workers, and how many threads each: by the GPUs (`gpus.workers`); on a CPU one a core, up to MOST_JOBS
    and as far as memory goes.

    Small networks use one thread better than two: two workers of one thread gave 1.5 times the trials of one
    worker of two threads (two cores, networks of 1 to 2 million multiply-adds on MNIST).
    """
    cores, memory = machine.cores(), watchdog.memory()
    on_cpu = min(cores, MOST_JOBS, max(1, memory // EACH - 1))
    workers = jobs or gpus.workers(gpus.gpus(), cores, memory) or on_cpu
    return workers, max(1, cores // workers)


def masked(line: str, storage: str) -> str:
    """`line` with the password of the storage address hidden."""
    if "@" not in storage:
        return line
    scheme, separator, rest = storage.partition("://")
    return line.replace(storage, f"{scheme}{separator}***@{rest.rpartition('@')[2]}")


def where(runs: Path, storage: str = "") -> str:
    """The options that lead a command to these studies, none for the usual place; no address is told."""
    folder = "" if runs == Path("runs") else f" --runs {shlex.quote(str(runs))}"
    return folder + (" --storage ADDRESS" if storage else "")


def as_begun(opened: Study, **others: Any) -> Settings:
    """Settings of a study as it began: its space, dataset, epochs, metric, seed and precision; `others` as told."""
    info = opened.info
    machine = info.get("machine", {})
    return Settings(
        space=Space.from_dict(info["space"]),
        dataset=Use(*info["dataset"]),
        study=opened.name,
        epochs=info["epochs"],
        metric=info["metric"],
        costs=opened.costs,
        seed=info["seed"],
        brought=info.get("brought", {}),
        # studies of before knew Keras' fit alone
        lean=machine.get("lean", False),
        **{"trials": 0, "precision": machine.get("precision", "auto"), **others},
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


def _memory(text: str) -> int:
    """What `--memory` allows a worker.

    Raises:
        CnnsearchError: if no worker could start with it.
    """
    found = size(text)
    if 0 < found < watchdog.LEAST:
        raise CnnsearchError(
            f"--memory {text}: this is too little for a worker, which holds 0.4 to 0.9 GiB before it trains anything. "
            f"Expected {watchdog.LEAST >> 20}m or more, or 0 for no limit."
        )
    return found


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


def _as_it_trains(opened: Study, settings: Settings, display: Display) -> Settings:
    """A study is trained in one way, or its trials could not be compared: as it began."""
    if "machine" not in opened.info:
        return settings
    machine = opened.info["machine"]
    # studies of before knew Keras' fit alone
    lean, precision = bool(machine.get("lean")), machine.get("precision", settings.precision)
    if lean != settings.lean and not settings.space.model:
        display.note("This study is trained as it began: " + ("by whole epochs." if lean else "with Keras' fit."))
    if settings.precision not in (precision, "auto"):
        display.note(f"This study is trained as it began: in {precision}.")
    return replace(settings, lean=lean, precision=precision)


def _going_on(settings: Settings, counted: int, unconfirmed: int) -> str:
    if counted >= settings.trials and not unconfirmed:
        return (
            f"Study '{settings.study}' already has {counted} of {settings.trials} trials. "
            "Raise --trials to go on, or begin anew with --study NAME."
        )
    left = f" {unconfirmed} trainings on fresh seeds are missing." if counted >= settings.trials else ""
    return f"Going on with study '{settings.study}': {counted} of {settings.trials} trials are done.{left}"


def _say_next(opened: Study, ended: str, settings: Settings, board: list[leaderboard.Row]) -> None:
    if ended == "timeout":
        short = "" if board else " No trial had ended: workers take some seconds to start, so give it more of them."
        click.echo(f"\nThe time is up.{short} The same command goes on.")
    if ended == "exhausted":
        click.echo("\nEvery plan of the space that the sampler can find was tried.")
    if not any(row["state"] == "complete" for row in board):
        return
    click.echo("\nSee every trial:   cnnsearch ui")
    click.echo(f"Keep the best:     cnnsearch export --best {opened.name}{where(settings.runs)}")


def stopped(opened: Study) -> str:
    """How far a search came that was stopped."""
    done = sum(record.state in COUNTED for record in opened.records())
    begun = len(queued.to_go_on(opened))
    more = f" {begun} more {'goes' if begun == 1 else 'go'} on from the last epoch." if begun else ""
    return f"Stopped; {done} trial{'' if done == 1 else 's'} {'is' if done == 1 else 'are'} done and kept.{more}"


def _last_words(opened: Study, ended: str) -> tuple[str, list[Record], tuple[Path, ...]]:
    """How the parent run ended ('' if nothing was trained), the ranked trials, and the leaderboard's files."""
    ranked = leaderboard.ranked(opened)
    if not any(record.state in COUNTED for record in ranked):
        return "", [], ()
    board = leaderboard.rows(opened)
    files = []
    for name, write in (("leaderboard.csv", leaderboard.to_csv), ("leaderboard.md", leaderboard.to_markdown)):
        path = opened.folder / name
        path.write_text(write(board), "utf-8")
        files.append(path)
    return STATUS.get(ended, "FAILED"), ranked, tuple(files)
