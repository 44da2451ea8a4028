"""The options of `cnnsearch run`, checked, as the settings of a search."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnsearch.core import host, metrics
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.host import workers_and_threads
from cnnsearch.spaces import plugins
from cnnsearch.spaces import recipes as recipe_points
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.decorators import READS
from cnnsearch.spaces.plugin_options import options
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study import listing, objectives
from cnnsearch.study.config import Settings
from cnnsearch.tuning.run import as_begun

UNITS = {"s": 1, "m": 60, "h": 3600}


SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


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
    known = plugins.load(given["plugins"])
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
    workers, threads = workers_and_threads(jobs)
    made = Settings(
        space=found,
        dataset=found.dataset,
        study=_plain_name(study or found.name),
        timeout=seconds(timeout),
        trial_timeout=seconds(trial_timeout),
        memory=_memory(memory) if memory else host.memory_allowed(workers),
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
    begun = as_begun(listing.load(made.study, made.runs, made.storage), runs=made.runs)
    kept = ("space", "dataset", "epochs", "metric", "costs", "seed", "brought")
    return replace(made, **{name: getattr(begun, name) for name in kept})


def for_pictures(
    found: Space, known: plugins.Catalog, image_size: str | None, skip_unreadable: bool, group_by: str | None
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


def dataset_use(text: str, known: plugins.Catalog) -> Use:
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


def _reader(text: str, path: Path, known: plugins.Catalog) -> str:
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


def masked(line: str, storage: str) -> str:
    """`line` with the password of the storage address hidden."""
    if "@" not in storage:
        return line
    scheme, separator, rest = storage.partition("://")
    return line.replace(storage, f"{scheme}{separator}***@{rest.rpartition('@')[2]}")


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
    if 0 < found < host.LEAST_WORKER_MEMORY:
        raise CnnsearchError(
            f"--memory {text}: this is too little for a worker, which holds 0.4 to 0.9 GiB before it trains anything. "
            f"Expected {host.LEAST_WORKER_MEMORY >> 20}m or more, or 0 for no limit."
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
