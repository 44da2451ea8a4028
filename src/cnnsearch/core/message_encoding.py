"""How a message becomes a line of JSON, and a line of JSON a message."""

import dataclasses
import json
import types
import typing
from typing import Any

from cnnsearch.core.messages import (
    Completed,
    Decision,
    Describe,
    Described,
    Draw,
    Drawn,
    EpochEnded,
    Evaluated,
    Failed,
    Fatal,
    Go,
    Keep,
    Loading,
    Logged,
    LogModel,
    Message,
    Paused,
    Proposed,
    Ready,
    Repeated,
    RepeatTrial,
    Resumed,
    RunTrial,
    Saved,
    SetAttribute,
    Used,
    UseMetric,
    Verdict,
)

FROM_WORKER: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        *(Loading, Ready, Described, Fatal, Logged, Draw, Used, Proposed, Resumed, EpochEnded),
        *(Evaluated, Paused, Completed, Saved, Repeated, Failed, SetAttribute),
    )
}
"""What a worker may send, by the name in the line."""

FROM_PARENT: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Describe, UseMetric, RunTrial, RepeatTrial, LogModel, Drawn, Verdict, Go, Keep)
}
"""What the parent may send, by the name in the line."""


class InvalidMessageError(Exception):
    """A line is not a message: its kind is not known, or a field is missing or has a wrong type."""


def encode(message: Message) -> bytes:
    """The message as a line of JSON, with the line break."""
    return json.dumps({"type": type(message).__name__, **vars(message)}, default=_plain).encode() + b"\n"


def decode(line: bytes, kinds: dict[str, type[Message]]) -> Message:
    """The message in a line of JSON; `kinds` is FROM_WORKER or FROM_PARENT.

    Raises:
        InvalidMessageError: if it is not such a message.
    """
    try:
        found = json.loads(line)
        kind = kinds[found.pop("type")]
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise InvalidMessageError(f"not a message of a known kind: {line[:200]!r}") from error
    name, (allowed, required) = kind.__name__, FIELDS[kind.__name__]
    if not required <= found.keys() <= allowed.keys():
        raise InvalidMessageError(f"{name} with the fields {', '.join(found) or 'none'}: {line[:200]!r}")
    for field, value in found.items():
        if type(value) not in allowed[field]:
            raise InvalidMessageError(f"{name} with a wrong {field}: {line[:200]!r}")
    if kind is Go:
        try:
            found["decision"] = Decision(found["decision"])
        except ValueError as error:
            raise InvalidMessageError(f"{name} with a wrong decision: {line[:200]!r}") from error
    return kind(**found)


def _plain(value: Any) -> Any:
    if isinstance(value, Decision):
        return value.value
    raise TypeError(f"{type(value).__name__} cannot be sent")


JSON_TYPES: frozenset[type] = frozenset({str, int, float, bool, list, dict, types.NoneType})
"""The types of values that JSON gives."""


def _json_types(annotation: Any) -> frozenset[type]:
    """The types that a field with this annotation may have in JSON."""
    if annotation is Any:
        return JSON_TYPES
    if typing.get_origin(annotation) is types.UnionType:
        return frozenset(kind for part in typing.get_args(annotation) for kind in _json_types(part))
    if annotation is float:
        return frozenset({float, int})
    return frozenset({str}) if annotation is Decision else frozenset({typing.get_origin(annotation) or annotation})


def _fields(kind: type[Message]) -> tuple[dict[str, frozenset[type]], frozenset[str]]:
    """The types in JSON of a message's fields, and the fields without a default."""
    allowed = {name: _json_types(annotation) for name, annotation in typing.get_type_hints(kind).items()}
    required = frozenset(field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING)
    return allowed, required


FIELDS = {name: _fields(kind) for name, kind in {**FROM_WORKER, **FROM_PARENT}.items()}
"""What `decode` checks, by the name in the line."""
