"""Turns any error of a candidate into a failure with its kind."""

from collections.abc import Callable
from typing import TypeVar

from cnnsearch.core.errors import CnnsearchError, DataError, PluginError, TrialFailure, out_of_memory, reason

Made = TypeVar("Made")


def failure(error: BaseException, otherwise: str) -> TrialFailure:
    """`error` as a failure with a kind: `oom` if it is about memory, else `otherwise`."""
    if isinstance(error, TrialFailure):
        return error
    if isinstance(error, CnnsearchError):
        return TrialFailure(otherwise, error.message)
    message = f"{type(error).__name__}: {reason(error)}"
    return TrialFailure("oom" if out_of_memory(error) else otherwise, message)


def with_kind(kind: str, make: Callable[[], Made]) -> Made:
    """What `make` returns.

    Raises:
        TrialFailure: of this kind (or `oom`), for an error in `make`.
        PluginError, DataError: if `make` raised it; these are not a candidate's failures.
    """
    try:
        return make()
    except (PluginError, DataError):
        raise
    except Exception as error:
        raise failure(error, kind) from error
