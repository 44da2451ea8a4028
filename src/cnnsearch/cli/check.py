"""`cnnsearch check`: one line for each contract of a plugin, a space, or everything in a file."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from cnnsearch.core.errors import CnnsearchError, nearest
from cnnsearch.core.host import stderr_to
from cnnsearch.spaces import plugin_options
from cnnsearch.spaces.overrides import setting
from cnnsearch.spaces.plugins import Catalog, Entry, load
from cnnsearch.spaces.space import GIVEN_TO_TRAINERS
from cnnsearch.testing import (
    callbacks,
    datasets,
    dimensions,
    hypermodels,
    launchers,
    makers,
    schedulers,
    spaces,
    trainers,
)
from cnnsearch.testing.contracts import Subject, check_contracts
from cnnsearch.training.device import import_keras

Lines = Iterator[tuple[str, str]]
"""The mark and the line of each contract."""

SUBJECTS: dict[str, Callable[..., Subject]] = {
    "dimension": dimensions.Dimension,
    "space": hypermodels.Model,
    "dataset": datasets.Data,
    "trainer": trainers.Trainer,
    "scheduler": schedulers.Scheduler,
    "callback": callbacks.Callback,
    "sampler": makers.Sampler,
    "pruner": makers.Pruner,
    "launcher": launchers.Launcher,
}

BUILT = ("dimension", "space", "trainer")
"""The kinds of plugins whose contracts build a Keras model."""


def check(name: str, settings: tuple[str, ...], plugins: tuple[Path, ...], say: Callable[[str], None]) -> int:
    """Check the contracts of `name`; returns the exit code, 1 if a contract is broken.

    Args:
        name: a plugin's or a space's name, or a .py or .toml file.
        settings: options as `OPTION=VALUE`.
        plugins: folders and files of plugins.
        say: called with each line of the output.

    Raises:
        CnnsearchError: if there is nothing of this name, or no such option.
    """
    marks: Counter[str] = Counter()
    for title, results in _checked(name, settings, plugins):
        say(title)
        for mark, line in results:
            say(f"  {line}")
            marks[mark] += 1
    broken, unchecked = marks["!!"], marks["--"]
    say(f"{marks['ok']} kept" + f", {broken} broken" * bool(broken) + f", {unchecked} not checked" * bool(unchecked))
    return 1 if broken else 0


def _checked(name: str, settings: tuple[str, ...], plugins: tuple[Path, ...]) -> Iterator[tuple[str, Lines]]:
    """A title and the lines of each plugin and space that `name` names."""
    if name.endswith(".toml"):
        known = load(plugins)
        _import_keras()
        yield f"space {name}", _lines(spaces.File(name, known, settings))
        return
    known = load([*plugins, Path(name)] if name.endswith(".py") else plugins)
    found = [entry for entry in known.entries if _is_named(entry, name)]
    if not found:
        names = [entry.name for entry in known.entries]
        hint = "mark a function with a decorator such as @dimension or @scheduler"
        raise CnnsearchError(
            f"{name} holds no plugin: {hint}."
            if name.endswith(".py")
            else f"There is no plugin or space '{name}'.{nearest(name, names)} `cnnsearch plugins` lists them. "
            "To check a file, give its path, such as mine/input_noise.py."
        )
    for entry in found:
        title = f"{entry.kind} {entry.name} ({entry.origin})"
        if entry.problem:
            yield title, iter([("!!", f"!!  It can be loaded. {entry.problem.rstrip('.')}. Correct the file.")])
        else:
            yield title, _lines(_subject(entry, settings, known))


def _is_named(entry: Entry, name: str) -> bool:
    if name.endswith(".py"):
        return entry.path is not None and os.path.realpath(entry.path) == os.path.realpath(name)
    return entry.name == name


def _subject(entry: Entry, settings: tuple[str, ...], known: Catalog) -> Subject:
    if entry.function is None:
        _import_keras()
        return spaces.File(entry.name, known, settings)
    if entry.kind in BUILT:
        _import_keras()
    given = dict(setting(text, "OPTION=VALUE, such as first=[16,32]") for text in settings)
    hosted = GIVEN_TO_TRAINERS if entry.kind == "trainer" else ()
    # without settings, the contract of the signature reports a wrong one
    checked = plugin_options.checked(entry.function, given, "--set", entry.name, hosted) if given else {}
    return SUBJECTS[entry.kind](entry.function, checked)


def _import_keras() -> None:
    """Import Keras as a worker does, which takes less time."""
    with stderr_to(Path(os.devnull)):
        import_keras()


def _lines(subject: Subject) -> Lines:
    # backends and plugins print to stderr, which would appear between these lines
    with stderr_to(Path(os.devnull)):
        for result in check_contracts(subject):
            yield result.mark, str(result)
