"""What a worker may say: each kind of message with the fields that it must bring, checked where it arrives."""

import json
from numbers import Real
from typing import Any

NUMBER, TEXT, LIST, DICT, ANY = Real, str, list, dict, object
TRAINED = {
    "score": NUMBER,
    "best_epoch": int,
    "epochs": int,
    "seconds": NUMBER,
    "params": int,
    "rss": int,
    "reads": TEXT,
}
KINDS: dict[str, dict[str, Any]] = {
    "loading": {"done": NUMBER, "total": NUMBER},
    "ready": {"dataset": DICT, "looks": ANY, "backend": TEXT},
    "described": {"values": DICT, "recipes": DICT, "twins": DICT, "metrics": LIST},
    "draw": {"name": TEXT, "distribution": DICT},
    "plan": {"key": TEXT, "plan": TEXT, "params": int, "macs": int, "epochs": int, "resumable": ANY},
    "looked": TRAINED,
    "waiting": TRAINED,
    "resumed": {"history": LIST},
    "epoch": {"epoch": int, "metrics": DICT},
    "done": {**TRAINED, "stopped": ANY, "format": TEXT},
    "finished": {"problem": TEXT, "unsaved": TEXT},
    "repeated": {"score": NUMBER, "history": LIST, "seconds": NUMBER, "rss": int},
    "failed": {"kind": TEXT, "reason": TEXT, "seconds": NUMBER, "rss": int},
    "fatal": {"message": TEXT},
    "logged": {"problem": TEXT},
}

ANSWERS: dict[str, dict[str, Any]] = {
    "plan": {"go": False, "look": 0},
    "epoch": {"go": False, "wait": False},
    "resumed": {"wait": False},
    "done": {"keep": ""},
}
"""What a worker is told that asks about a trial which it does not have, so that it ends that and goes on."""


def understood(line: bytes) -> dict[str, Any] | None:
    """The message in a line of JSON; None for one of no known kind, or that lacks something."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fields = KINDS.get(str(message.get("say"))) if isinstance(message, dict) else None
    if fields is None:
        return None
    whole = all(name in message and isinstance(message[name], kind) for name, kind in fields.items())
    return message if whole else None


class UnknownTrialError(Exception):
    """A worker spoke of a trial that it does not have."""


def handled(owner: Any, child: Any, message: dict[str, Any]) -> bool:
    """Let `owner` do what a worker's message asks for, by its method `_on_KIND`; whether it could.

    What it cannot do is written to the worker's log.
    """
    say = str(message["say"])
    try:
        handler = getattr(owner, f"_on_{say}", None)
        if handler is None:
            raise UnknownTrialError
        handler(child, message)
    except UnknownTrialError:
        child.note(f"it said '{say}' of a trial that it does not have: {str(message)[:200]}")
        return False
    return True
