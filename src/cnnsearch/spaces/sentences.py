"""Sentences such as `"conv norm act pool"`: how a plan spells the layers of a block or a head."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

Spec = tuple[str, dict[str, Any]]
"""A Keras object as data: its class name and its configuration."""

Item = str | Spec
"""One layer of a sentence: a word of WORDS, or a Spec for any other Keras layer."""

WORDS = {
    "conv": "a convolution, stride 1",
    "down": "a convolution with stride 2",
    "norm": "batch normalisation",
    "act": "the activation",
    "pool": "max pooling",
    "avgpool": "average pooling",
    "up": "doubling the size by repetition",
    "drop": "dropout",
    "dense": "a dense layer (in a head)",
}

BLOCK_WORDS = tuple(word for word in WORDS if word != "dense")

HEAD_WORDS = ("norm", "act", "drop", "dense")

REDUCTIONS = ("flatten", "average", "max")

MERGES = ("Add", "Average", "Concatenate", "Maximum", "Multiply")
"""The Keras layers that merge the paths of a fork: `("Add", {"paths": ["", "conv norm act"]})`."""

SIMPLE = (str, int, float, bool, type(None))
"""The types of values that are one word of JSON."""

REFERENCE = r"=(?P<field>[a-z_]+)(?:/(?P<part>[1-9]\d*))?"
"""A reference in a layer's configuration: to a number of its block (`=filters`), or to a part of it (`=filters/8`)."""


def sentence(layers: tuple[Item, ...] | list[Item] | str) -> tuple[Item, ...]:
    """The items of a sentence, checked: `"conv act"` -> `("conv", "act")`. A pair alone is a sentence of one layer.

    Raises:
        ValueError: if a word is not one of WORDS.
    """
    items: Any = layers.split() if isinstance(layers, str) else layers
    if len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], dict):
        items = (items,)
    return tuple(_word(item) if isinstance(item, str) else spec(item) for item in items)


def spec(item: Any) -> Spec:
    """`item` as (class name, plain configuration), in the form that JSON reads it.

    Raises:
        ValueError: if it is not such a pair.
        TypeError: if the configuration is not plain data.
    """
    pair = isinstance(item, list | tuple) and len(item) == 2
    if not (pair and isinstance(item[0], str) and isinstance(item[1], dict)):
        raise ValueError(f"expected a pair (class name, configuration), got {item!r}")
    config = dict(item[1])
    # these are the same in JSON
    if not all(type(key) is str and type(value) in SIMPLE for key, value in config.items()):
        config = json.loads(json.dumps(config))
    if "paths" in config:
        require(item[0] in MERGES, f"only {', '.join(MERGES)} have paths, got {item[0]!r}")
        config["paths"] = [json.loads(json.dumps(sentence(path))) for path in config["paths"]]
    return item[0], config


def paths(item: Item) -> tuple[tuple[Item, ...], ...]:
    """The sentences of a fork's paths; an empty sentence passes the image on unchanged. Other items have no paths."""
    return () if isinstance(item, str) else tuple(sentence(path) for path in item[1].get("paths", ()))


def each_item(items: tuple[Item, ...]) -> Iterator[Item]:
    """The items of a sentence and of the paths of its forks."""
    for item in items:
        yield item
        for path in paths(item):
            yield from each_item(path)


def _word(word: str) -> str:
    require(word in WORDS, f"there is no layer word {word!r}; the words are {', '.join(WORDS)}")
    return word


def check_words(items: tuple[Item, ...], words: Iterable[str], place: str, fields: Iterable[str]) -> tuple[Item, ...]:
    """`items`, if all their words are among `words` and all their references among `fields`.

    Raises:
        ValueError: if one is not; the message names it and the `place`.
    """
    unknown = [item for item in each_item(items) if isinstance(item, str) and item not in words]
    require(not unknown, f"{place} has no word {', '.join(map(repr, unknown))}")
    for value in (value for item in each_item(items) if not isinstance(item, str) for value in item[1].values()):
        found = re.fullmatch(REFERENCE, value) if isinstance(value, str) else None
        require(not found or found["field"] in fields, f"{place} has no field for {value!r}")
    return items


def rewrite(items: tuple[Item, ...], old: tuple[Item, ...], new: tuple[Item, ...]) -> tuple[Item, ...]:
    """`items` with each run of `old` replaced by `new`, also in the paths of forks."""
    written: list[Item] = []
    at = 0
    while at < len(items):
        found = bool(old) and items[at : at + len(old)] == old
        written.extend(new if found else [_inside(items[at], old, new)])
        at += len(old) if found else 1
    return tuple(written)


def _inside(item: Item, old: tuple[Item, ...], new: tuple[Item, ...]) -> Item:
    """`item`; if it is a fork, with its paths rewritten."""
    if isinstance(item, str) or not paths(item):
        return item
    return item[0], {**item[1], "paths": [list(rewrite(path, old, new)) for path in paths(item)]}


def require(condition: bool, message: str) -> None:
    """Raise a ValueError with this message unless the condition holds."""
    if not condition:
        raise ValueError(message)
