"""The exceptions of cnnsearch.

CnnsearchError          something that the user can correct: one line, exit code 2
├── NothingCompletedError  a search without a completed trial: exit code 1
├── SpaceError          a space file, or an option of a dimension
├── DataError           a dataset that cannot be read or used
├── StudyError          a study that is missing, locked by another run, or begun with another space
├── PluginError         a plugin that does not import or breaks its contract
└── TrialFailure        one candidate that failed, with its kind; the search continues
"""

import difflib
import re
from collections.abc import Iterable

import click

# Surrogates too: they are in file names that are not UTF-8, and terminals and logs cannot show them.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    """`text` with line breaks and other control characters escaped, such as `\\n`."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class CnnsearchError(click.ClickException):
    """An error that the user can correct. `message` is one line: what happened, what was expected, how to correct it.

    All errors of cnnsearch are subclasses. Commands print the message and exit with code 2.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class SpaceError(CnnsearchError):
    """A space file, or an option in one, that cannot be used."""


class DataError(CnnsearchError):
    """A dataset that cannot be read, or whose images and labels are not valid."""


class StudyError(CnnsearchError):
    """A study that is missing, locked, or does not match the command."""


class PluginError(CnnsearchError):
    """A plugin that does not import, or that breaks its contract."""


class NothingCompletedError(CnnsearchError):
    """A search without a completed trial."""

    exit_code = 1


class TrialFailure(CnnsearchError):
    """One candidate that failed.

    `kind` is one of FAILURES: `oom nan timeout too_large invalid killed plugin_error`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OPENING = re.compile(r"(Graph execution error|Exception encountered when calling .*|Exception encountered)[:.]?\s*$")
"""First lines of an error that do not say its cause."""
TRACE = re.compile(r"Detected at node|File \"|\[\[\{\{|defined at|Original stack trace|Arguments received|  \S|<stdin>")


def first_line(error: BaseException) -> str:
    """The first line of an error's text, of at most 200 characters and without a full stop; it may be empty."""
    return str(error).strip().partition("\n")[0][:200].rstrip(" .:")


def error_line(error: BaseException) -> str:
    """The type of an error and the first line of its text, such as `ValueError: there is no such layer`."""
    return f"{type(error).__name__}: {first_line(error)}".rstrip(" :")


def reason(error: BaseException) -> str:
    """The sentence of an error message that says the cause, without introductions and tracebacks."""
    lines = [COLOURS.sub("", line).rstrip() for line in str(error).strip().splitlines()]
    lines = [line for line in lines if line.strip()]
    if lines and OPENING.match(lines[0]):
        lines = [line for line in lines[1:] if not (OPENING.match(line) or TRACE.match(line))]
        # Keras wraps an error again if it was inferring a shape
        inner = next((place for place, line in enumerate(lines) if line.endswith("Error encountered:")), -1)
        lines = lines[inner + 1 :]
    said = lines[0].strip() if lines else ""
    # a sentence may have several lines
    for line in lines[1:3]:
        if said.endswith((".", ":", "!")) or len(said) > 200:
            break
        said += f" {line.strip()}"
    return said[:300]


FAILURES = ("oom", "nan", "timeout", "too_large", "invalid", "killed", "plugin_error")


def out_of_memory(error: BaseException) -> bool:
    """Whether `error`, of any backend, says that memory ran out."""
    words = f"{type(error).__name__} {error}".lower()
    return any(
        word in words
        for word in ("memoryerror", "resourceexhausted", "resource_exhausted", "out of memory", "oom when")
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'filters'?` with the known name nearest to `name`; empty if none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
