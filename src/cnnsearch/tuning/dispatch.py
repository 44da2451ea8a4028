"""Calls the method that handles a worker's message, by the message's type."""

from collections.abc import Callable, Mapping
from typing import Any

from cnnsearch.core.messages import Message
from cnnsearch.tuning.launchers.local import Child


class UnknownTrialError(Exception):
    """A worker sent a message about a trial that it does not have."""


def dispatch(handlers: Mapping[type[Message], Callable[..., None]], owner: Any, child: Child, message: Message) -> bool:
    """Call the handler of this message's type; whether it could be handled.

    If it could not, the message is written to the worker's log.
    """
    handler = handlers.get(type(message))
    try:
        if handler is None:
            raise UnknownTrialError
        handler(owner, child, message)
    except UnknownTrialError:
        kind = type(message).__name__
        child.note(f"it sent {kind} about a trial that it does not have: {str(message)[:200]}")
        return False
    return True
