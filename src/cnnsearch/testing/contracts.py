"""What a contract is, how it is checked, and the contracts that hold for every kind of plugin."""

import inspect
import unittest
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError, DataError, one_line
from cnnsearch.spaces import plugin_options
from cnnsearch.spaces.space import GIVEN_TO_TRAINERS

Check = Callable[[Any], None]
PLAIN = (int, float, str, bool, type(None))


class BrokenContract(AssertionError):
    """A contract does not hold. The message is one line: which plugin, what is wrong, and how to correct it."""


class NotChecked(unittest.SkipTest):
    """A contract cannot be checked here. The message says why. Pytest shows it as a skipped test."""


class Contract(NamedTuple):
    """One contract.

    Attributes:
        name: the name of the function that checks it.
        check: raises BrokenContract for a subject that breaks it.
        basis: if this contract is broken, the contracts after it are not checked.
    """

    name: str
    check: Check
    basis: bool

    @property
    def text(self) -> str:
        """The contract as one sentence."""
        return (inspect.getdoc(self.check) or self.name).partition("\n")[0]


class Result(NamedTuple):
    """The result for one contract: `ok`, `!!` for broken or `--` for not checked, and the reason."""

    mark: str
    contract: Contract
    why: str = ""

    def __str__(self) -> str:
        return f"{self.mark}  {self.contract.text}" + (f" {self.why}" if self.why else "")


class Subject:
    """The plugin or space that is checked, with what earlier checks found.

    Attributes:
        function: the plugin's function.
        given: the options that it is called with.
        hosted: the parameters that cnnsearch gives by position.
        problems: by the name of each contract that was checked, its problem or None.
    """

    contracts: list[Contract]

    def __init__(self, function: Callable[..., Any], given: dict[str, Any], kind: str, hosted: tuple[str, ...]) -> None:
        self.function, self.given, self.hosted = function, given, hosted
        self.name = f"{kind} {function.__name__}"
        self.problems: dict[str, BrokenContract | NotChecked | None] = {}

    def broken(self, what: str, mend: str) -> BrokenContract:
        """The error for a broken contract. `mend` is empty if `what` already says how to correct it."""
        sentences = [part + "." * (part[-1] not in ".?") for part in (f"{self.name}: {what}", mend) if part]
        return BrokenContract(one_line(" ".join(sentences)))


def contract(into: list[Contract], basis: bool = False) -> Callable[[Check], Check]:
    """Add the decorated function, which raises BrokenContract, to the end of a list of contracts."""

    def mark(function: Check) -> Check:
        into.append(Contract(function.__name__, function, basis))
        return function

    return mark


def check_contract(subject: Subject, wanted: Contract) -> None:
    """Check one contract.

    Raises:
        BrokenContract: if it is broken. Any error that the plugin raises becomes one line.
        NotChecked: if data is missing here, or if a contract that it is based on is broken.
    """
    for earlier in subject.contracts[: subject.contracts.index(wanted)]:
        if earlier.basis and _problem(subject, earlier):
            raise NotChecked(f"(It is based on: {earlier.text})")
    problem = _problem(subject, wanted)
    if problem:
        raise problem


def check_contracts(subject: Subject) -> Iterator[Result]:
    """Check every contract of a subject."""
    for each in subject.contracts:
        try:
            check_contract(subject, each)
            yield Result("ok", each)
        except NotChecked as reason:
            yield Result("--", each, str(reason))
        except BrokenContract as problem:
            yield Result("!!", each, str(problem))


def _problem(subject: Subject, wanted: Contract) -> BrokenContract | NotChecked | None:
    if wanted.name not in subject.problems:
        subject.problems[wanted.name] = _found(subject, wanted)
    return subject.problems[wanted.name]


def _found(subject: Subject, wanted: Contract) -> BrokenContract | NotChecked | None:
    try:
        wanted.check(subject)
    except (BrokenContract, NotChecked) as problem:
        return problem
    except DataError as error:
        return NotChecked(f"({error.message})")
    except CnnsearchError as error:
        return subject.broken(error.message, "")
    except Exception as error:
        first = (str(error).strip() or "no reason given").splitlines()[0]
        return subject.broken(f"it raises {type(error).__name__}: {first}", "Correct what raises it")
    return None


def has_a_summary(subject: Subject) -> None:
    """It has a summary."""
    # inspect.getdoc would take the docstring of a base class
    if not (subject.function.__doc__ or "").strip():
        raise subject.broken("it has no docstring", 'Say in its first line what it is: """How wide it is."""')


def takes_options_by_keyword(subject: Subject) -> None:
    """It takes its options by keyword, each with a plain default."""
    parameters = list(inspect.signature(subject.function).parameters.values())
    positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    named = all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY) for p in positional)
    if not named or len(positional) != len(subject.hosted):
        expected = ", ".join(subject.hosted)
        shown = ", ".join(map(str, positional)) or "nothing"
        mend = f"Write it as f({expected}{', ' if expected else ''}*, option=value)"
        raise subject.broken(f"it takes {shown} by position, expected {expected or 'nothing'}", mend)
    by_host = GIVEN_TO_TRAINERS if subject.name.startswith("trainer ") else ()
    for name, default in plugin_options.options(subject.function).items():
        if name in by_host:
            continue
        if default is inspect.Parameter.empty:
            raise subject.broken(f"its option {name} has no default", f"Give it one: {name}=1")
        _check_default(subject, name, default)


def _check_default(subject: Subject, name: str, default: Any) -> None:
    if name == "use":
        raise subject.broken("it has an option called use, which has another meaning in space files", "Rename it")
    items = default if isinstance(default, tuple) else (default,)
    if any(type(item) not in PLAIN for item in items):
        mend = "A space file can set numbers, texts, true or false, and tuples of these; use one of them"
        raise subject.broken(f"its option {name} is {type(default).__name__} by default: {default!r}", mend)


def of_every_plugin() -> list[Contract]:
    """The contracts that the list of every kind of plugin begins with."""
    return [
        Contract("has_a_summary", has_a_summary, False),
        Contract("takes_options_by_keyword", takes_options_by_keyword, True),
    ]
