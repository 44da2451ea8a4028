"""`cnnsearch check`: one line for each contract of a plugin, a space, or everything in a file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError, nearest
from cnnsearch.core.host import stderr_to
from cnnsearch.spaces import plugin_options
from cnnsearch.spaces.overrides import setting
from cnnsearch.spaces.plugins import Catalog, Entry, load
from cnnsearch.spaces.space import GIVEN_TO_TRAINERS
from cnnsearch.testing import datasets, dimensions, hypermodels, spaces, trainers
from cnnsearch.testing.contracts import Subject, check_contracts

KINDS: dict[str, Any] = {
    "dimension": dimensions.subject,
    "space": hypermodels.subject,
    "dataset": datasets.subject,
    "trainer": trainers.subject,
}


def check(name: str, settings: tuple[str, ...], plugins: tuple[Path, ...], say: Callable[[str], None]) -> int:
    """Say the result of each contract of `name`. The exit code is returned: 1 if a contract is broken.

    Raises:
        CnnsearchError: if nothing has this name, or there is no such option.
    """
    kept = broken = unchecked = 0
    for title, results in _results(name, settings, plugins):
        say(title)
        for mark, line in results:
            say(f"  {line}")
            kept, broken, unchecked = kept + (mark == "ok"), broken + (mark == "!!"), unchecked + (mark == "--")
    say(f"{kept} kept" + f", {broken} broken" * bool(broken) + f", {unchecked} not checked" * bool(unchecked))
    return 1 if broken else 0


Lines = Iterator[tuple[str, str]]


def _results(name: str, settings: tuple[str, ...], plugins: tuple[Path, ...]) -> Iterator[tuple[str, Lines]]:
    if name.endswith(".toml"):
        known = load(plugins)
        yield f"space {name}", _lines(spaces.File(name, known, settings))
        return
    known = load([*plugins, Path(name)] if name.endswith(".py") else plugins)
    found = [entry for entry in known.entries if _meant(entry, name)]
    if not found:
        names = [entry.name for entry in known.entries]
        hint = "mark a function with @dimension, @space, @dataset or @trainer"
        raise CnnsearchError(
            f"{name} holds no plugin: {hint}."
            if name.endswith(".py")
            else f"There is no plugin or space '{name}'.{nearest(name, names)} `cnnsearch plugins` lists them; "
            "a file is named with its path, such as mine/input_noise.py."
        )
    for entry in found:
        title = f"{entry.kind} {entry.name} ({entry.origin})"
        if entry.problem:
            yield title, iter([("!!", f"!!  It can be loaded. {entry.problem.rstrip('.')}. Correct the file.")])
        else:
            yield title, _lines(_subject(entry, settings, known))


def _meant(entry: Entry, name: str) -> bool:
    if name.endswith(".py"):
        return entry.path is not None and os.path.realpath(entry.path) == os.path.realpath(name)
    return entry.name == name


def _subject(entry: Entry, settings: tuple[str, ...], known: Catalog) -> Subject:
    if entry.function is None:
        return spaces.File(entry.name, known, settings)
    given = dict(setting(text, "OPTION=VALUE, such as first=[16,32]") for text in settings)
    hosted = GIVEN_TO_TRAINERS if entry.kind == "trainer" else ()
    # without settings, the contract of the signature reports a wrong one
    checked = plugin_options.checked(entry.function, given, "--set", entry.name, hosted) if given else {}
    subject: Subject = KINDS[entry.kind](entry.function, checked, known)
    return subject


def _lines(subject: Subject) -> Lines:
    # what backends and plugins print to stderr would appear between the lines
    with stderr_to(Path(os.devnull)):
        for result in check_contracts(subject):
            yield result.mark, str(result)
