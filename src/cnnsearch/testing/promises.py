"""What a promise is, how it is looked at, and those that all plugins give: a summary and plain options."""

import inspect
import unittest
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError, DataError, one_line
from cnnsearch.spaces import plugin_options

Look = Callable[[Any], None]
PLAIN = (int, float, str, bool, type(None))


class BrokenPromise(AssertionError):
    """A promise that is not kept: where, what, and how to mend it, on one line."""


class Unseen(unittest.SkipTest):
    """A promise that cannot be looked at here, and why; pytest takes it for a skip."""


class Promise(NamedTuple):
    """One promise. Where one that is a `basis` is broken, those after it are not looked at."""

    name: str
    look: Look
    basis: bool

    @property
    def text(self) -> str:
        """What is promised, as one sentence."""
        return (inspect.getdoc(self.look) or self.name).partition("\n")[0]


class Result(NamedTuple):
    """What became of a promise: `ok`, `!!` for broken or `--` for not looked at, and why."""

    mark: str
    promise: Promise
    why: str = ""

    def __str__(self) -> str:
        return f"{self.mark}  {self.promise.text}" + (f" {self.why}" if self.why else "")


class Subject:
    """What gives the promises: a plugin or a space, with all that was found out about it."""

    promises: list[Promise]

    def __init__(self, function: Callable[..., Any], given: dict[str, Any], kind: str, hosted: tuple[str, ...]) -> None:
        self.function, self.given, self.hosted = function, given, hosted
        self.name = f"{kind} {function.__name__}"
        self.seen: dict[str, BrokenPromise | Unseen | None] = {}

    def broken(self, what: str, mend: str) -> BrokenPromise:
        """The error for a broken promise; `mend` is left out where `what` says it already."""
        sentences = [part + "." * (part[-1] not in ".?") for part in (f"{self.name}: {what}", mend) if part]
        return BrokenPromise(one_line(" ".join(sentences)))


def promise(into: list[Promise], basis: bool = False) -> Callable[[Look], Look]:
    """Put the marked function, which raises BrokenPromise, at the end of a list of promises."""

    def mark(function: Look) -> Look:
        into.append(Promise(function.__name__, function, basis))
        return function

    return mark


def keep(subject: Subject, wanted: Promise) -> None:
    """Look at one promise.

    Raises:
        BrokenPromise: if it is broken; whatever the plugin raises is put into one line.
        Unseen: if data is missing here, or one that it rests on is broken.
    """
    for earlier in subject.promises[: subject.promises.index(wanted)]:
        if earlier.basis and _problem(subject, earlier):
            raise Unseen(f"(It rests on: {earlier.text})")
    problem = _problem(subject, wanted)
    if problem:
        raise problem


def look(subject: Subject) -> Iterator[Result]:
    """Every promise of a subject with what became of it."""
    for each in subject.promises:
        try:
            keep(subject, each)
            yield Result("ok", each)
        except Unseen as reason:
            yield Result("--", each, str(reason))
        except BrokenPromise as problem:
            yield Result("!!", each, str(problem))


def _problem(subject: Subject, wanted: Promise) -> BrokenPromise | Unseen | None:
    if wanted.name not in subject.seen:
        subject.seen[wanted.name] = _found(subject, wanted)
    return subject.seen[wanted.name]


def _found(subject: Subject, wanted: Promise) -> BrokenPromise | Unseen | None:
    try:
        wanted.look(subject)
    except (BrokenPromise, Unseen) as problem:
        return problem
    except DataError as error:
        return Unseen(f"({error.message})")
    except CnnsearchError as error:
        return subject.broken(error.message, "")
    except Exception as error:
        first = (str(error).strip() or "no reason given").splitlines()[0]
        return subject.broken(f"it raises {type(error).__name__}: {first}", "Mend what raises it")
    return None


def has_a_summary(subject: Subject) -> None:
    """It has a summary."""
    if not (inspect.getdoc(subject.function) or "").partition("\n")[0].strip():
        raise subject.broken("it has no docstring", 'Say in its first line what it is: """How wide it is."""')


def takes_options_by_keyword(subject: Subject) -> None:
    """It takes its options by keyword, each with a plain default."""
    parameters = list(inspect.signature(subject.function).parameters.values())
    places = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    expected = ", ".join(subject.hosted)
    if any(p.kind not in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY) for p in places) or len(places) != len(
        subject.hosted
    ):
        shown = ", ".join(map(str, places)) or "nothing"
        mend = f"Let it be f({expected}{', ' if expected else ''}*, option=value)"
        raise subject.broken(f"it takes {shown} by position, expected {expected or 'nothing'}", mend)
    for name, default in plugin_options.options(subject.function).items():
        if name in _given_by_host(subject):
            continue
        if default is inspect.Parameter.empty:
            raise subject.broken(f"its option {name} has no default", f"Give it one: {name}=1")
        _plain(subject, name, default)


def _given_by_host(subject: Subject) -> tuple[str, ...]:
    from cnnsearch.spaces.space import GIVEN_TO_TRAINERS

    return GIVEN_TO_TRAINERS if subject.name.startswith("trainer ") else ()


def _plain(subject: Subject, name: str, default: Any) -> None:
    if name == "use":
        raise subject.broken("it has an option called use, which is taken in space files", "Give it another name")
    items = default if isinstance(default, tuple) else (default,)
    if any(type(item) not in PLAIN for item in items):
        mend = "A space file can set numbers, texts, true or false, and tuples of these; make it one of them"
        raise subject.broken(f"its option {name} is {type(default).__name__} by default: {default!r}", mend)


def of_every_plugin() -> list[Promise]:
    """The promises that the lists of all kinds of plugins begin with."""
    return [
        Promise("has_a_summary", has_a_summary, False),
        Promise("takes_options_by_keyword", takes_options_by_keyword, True),
    ]
