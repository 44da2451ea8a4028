"""What cnnsearch raises.

CnnsearchError          anything a user can mend: one line, exit code 2
├── SpaceError          a space file, or an option of a dimension
├── DataError           a dataset that cannot be read or used
├── StudyError          a study that is missing, held by another run, or begun under another space
├── PluginError         a plugin that does not import or breaks its contract
└── TrialFailure        one candidate that failed, with its kind; the search goes on
"""

import difflib
import re
from collections.abc import Iterable

import click

# Surrogates too, which stand in names of files that are no UTF-8: no terminal and no log takes them.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    """`text` with line breaks, and whatever else no terminal should be sent, spelled out: `\\n`."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class CnnsearchError(click.ClickException):
    """What happened, what was expected and how to mend it, on one line."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class SpaceError(CnnsearchError):
    """A space file, or an option in one, that cannot be used."""


class DataError(CnnsearchError):
    """A dataset that cannot be read, or whose content does not fit."""


class StudyError(CnnsearchError):
    """A study that is missing, busy, or does not match the command."""


class PluginError(CnnsearchError):
    """A plugin that does not import, or that breaks its contract."""


class TrialFailure(CnnsearchError):
    """One candidate that failed.

    `kind` is one of FAILURES: `oom nan timeout too_large invalid killed plugin_error`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


FAILURES = ("oom", "nan", "timeout", "too_large", "invalid", "killed", "plugin_error")


def out_of_memory(error: BaseException) -> bool:
    """Whether `error`, of any backend, speaks of memory that was not to be had."""
    words = f"{type(error).__name__} {error}".lower()
    return any(
        word in words
        for word in ("memoryerror", "resourceexhausted", "resource_exhausted", "out of memory", "oom when")
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'filters'?` for the known name nearest to `name`, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
