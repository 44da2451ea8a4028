"""A candidate as frozen plain data: what is built and how it is trained; imports nothing heavy."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

Spec = tuple[str, dict[str, Any]]
"""A Keras object as data: its class name and its configuration."""

Item = str | Spec
"""One step of a sentence: a word of WORDS, or a Spec for any other Keras layer."""

WORDS = {
    "conv": "a convolution, stride 1",
    "down": "a convolution with stride 2",
    "norm": "batch normalisation",
    "act": "the activation",
    "pool": "max pooling",
    "avgpool": "average pooling",
    "up": "enlarging to twice the size by repetition",
    "drop": "dropout",
    "dense": "a dense layer (in a head)",
}
BLOCK_WORDS = tuple(word for word in WORDS if word != "dense")
HEAD_WORDS = ("norm", "act", "drop", "dense")
REDUCTIONS = ("flatten", "average", "max")
MERGES = ("Add", "Average", "Concatenate", "Maximum", "Multiply")
"""Keras' layers that bring the paths of a fork together: `("Add", {"paths": ["", "conv norm act"]})`."""

NEWER = ("value_range", "class_weight")
"""Fields of a plan that version 0.1.0 did not have. At their defaults they are not written, so that the keys of its
plans stay as they are."""

CLASS_WEIGHTS = ("none", "balanced")
"""How much the images of a class count in the loss: each image alike, or each class alike."""

REFERENCE = r"=(?P<field>[a-z_]+)(?:/(?P<part>[1-9]\d*))?"
"""In a layer's configuration: the block's own number, `=filters`, or a whole part of it, `=filters/8`."""


def sentence(layers: tuple[Item, ...] | list[Item] | str) -> tuple[Item, ...]:
    """The items of a sentence, checked: `"conv act"` -> `("conv", "act")`; a pair alone is a sentence of one layer.

    Raises:
        ValueError: if a word is not one of WORDS.
    """
    items: Any = layers.split() if isinstance(layers, str) else layers
    if len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], dict):
        items = (items,)
    return tuple(_word(item) if isinstance(item, str) else spec(item) for item in items)


def spec(item: Any) -> Spec:
    """`item` as (class name, plain configuration), as JSON would give it back.

    Raises:
        ValueError: if it is no such pair.
        TypeError: if the configuration is not plain data.
    """
    pair = isinstance(item, list | tuple) and len(item) == 2
    if not (pair and isinstance(item[0], str) and isinstance(item[1], dict)):
        raise ValueError(f"expected a pair (class name, configuration), got {item!r}")
    config = json.loads(json.dumps(item[1]))
    if "paths" in config:
        _require(item[0] in MERGES, f"only {', '.join(MERGES)} have paths, got {item[0]!r}")
        config["paths"] = [json.loads(json.dumps(sentence(path))) for path in config["paths"]]
    return item[0], config


def paths(item: Item) -> tuple[tuple[Item, ...], ...]:
    """The sentences of a fork's paths, an empty one for the image as it is; none for any other item."""
    return () if isinstance(item, str) else tuple(sentence(path) for path in item[1].get("paths", ()))


def each_item(items: tuple[Item, ...]) -> Iterator[Item]:
    """The items of a sentence, and of the paths of its forks."""
    for item in items:
        yield item
        for path in paths(item):
            yield from each_item(path)


def _word(word: str) -> str:
    _require(word in WORDS, f"there is no layer word {word!r}; the words are {', '.join(WORDS)}")
    return word


def _allow(items: tuple[Item, ...], words: Iterable[str], place: str, fields: Iterable[str]) -> tuple[Item, ...]:
    refused = [item for item in each_item(items) if isinstance(item, str) and item not in words]
    _require(not refused, f"{place} has no place for {', '.join(map(repr, refused))}")
    for value in (value for item in each_item(items) if not isinstance(item, str) for value in item[1].values()):
        found = re.fullmatch(REFERENCE, value) if isinstance(value, str) else None
        _require(not found or found["field"] in fields, f"{place} has no field for {value!r}")
    return items


def _rewrite(items: tuple[Item, ...], old: tuple[Item, ...], new: tuple[Item, ...]) -> tuple[Item, ...]:
    written: list[Item] = []
    at = 0
    while at < len(items):
        found = bool(old) and items[at : at + len(old)] == old
        written.extend(new if found else [_inside(items[at], old, new)])
        at += len(old) if found else 1
    return tuple(written)


def _inside(item: Item, old: tuple[Item, ...], new: tuple[Item, ...]) -> Item:
    """`item` with the paths of a fork rewritten too."""
    if isinstance(item, str) or not paths(item):
        return item
    return item[0], {**item[1], "paths": [list(_rewrite(path, old, new)) for path in paths(item)]}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _whole(stage: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(stage, name)
        _require(type(value) is int, f"{name} must be a whole number, got {value!r}")
        _require(value >= least, f"{name} must be at least {least}, got {value}")


@dataclass(frozen=True)
class Block:
    """A stage of the network, spelled as a sentence: `"conv norm act conv norm act pool drop"`.

    `filters` and `kernel` hold for every `conv`; `down_kernel` (0: as `kernel`) for `down`; `pool` is the
    window and stride of `pool` and `avgpool`; `rate` is the dropout rate of every `drop`.
    """

    layers: tuple[Item, ...] | str
    filters: int = 32
    kernel: int = 3
    down_kernel: int = 0
    padding: str = "same"
    bias: bool = True
    pool: int = 2
    rate: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _allow(sentence(self.layers), BLOCK_WORDS, "a block", self._numbers()))
        object.__setattr__(self, "rate", float(self.rate))
        _whole(self, 1, "filters", "kernel", "pool")
        _whole(self, 0, "down_kernel")
        _require(self.padding in ("same", "valid"), f"padding must be 'same' or 'valid', got {self.padding!r}")
        _require(0 <= self.rate < 1, f"a dropout rate must be in [0, 1), got {self.rate}")

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return dataclasses.replace(self, **changes)

    def rewrite(self, old: str, new: tuple[Item, ...] | str) -> Self:
        """A copy whose sentence has each run of the words `old` replaced by `new` (may be empty), in forks too."""
        return self.replace(layers=_rewrite(sentence(self.layers), sentence(old), sentence(new)))

    def before_pooling(self, items: tuple[Item, ...] | str) -> Self:
        """A copy with `items` after its convolutions: before the `pool`, `avgpool` or `down` that closes it."""
        layers = sentence(self.layers)
        closing = [at for at, item in enumerate(layers) if item in ("pool", "avgpool", "down")]
        at = closing[-1] if closing else len(layers)
        return self.replace(layers=(*layers[:at], *sentence(items), *layers[at:]))

    @staticmethod
    def _numbers() -> tuple[str, ...]:
        """The fields that a layer's configuration may refer to."""
        return ("filters", "kernel", "padding", "bias", "pool", "rate", "activation")


@dataclass(frozen=True)
class Head:
    """What follows the blocks: a reduction to a vector, then the sentence `layers` once for each width."""

    reduce: str = "flatten"
    widths: tuple[int, ...] = ()
    layers: tuple[Item, ...] | str = "dense act"
    rate: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _allow(sentence(self.layers), HEAD_WORDS, "a head", ("rate",)))
        object.__setattr__(self, "rate", float(self.rate))
        object.__setattr__(self, "widths", tuple(int(width) for width in self.widths))
        _require(self.reduce in REDUCTIONS, f"reduce must be one of {', '.join(REDUCTIONS)}, got {self.reduce!r}")
        _require(all(width >= 1 for width in self.widths), f"widths must be at least 1, got {self.widths}")
        _require(0 <= self.rate < 1, f"a dropout rate must be in [0, 1), got {self.rate}")

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Plan:
    """One candidate. Survives JSON unchanged; equal plans have equal `key`s.

    Attributes:
        input_shape: (height, width, channels) of the raw images.
        classes: how many classes are told apart.
        augment: Keras layers for training alone, on pixels scaled to [0, 1]; never part of an export.
        loss: a Keras loss on one-hot labels and probabilities.
        schedule: factors of the learning rate at the start of epoch 1, 2, … and at the end of the last,
            linear in between; empty for a constant rate.
        callbacks: further Keras callbacks, such as EarlyStopping; they see `val_` metrics.
        epochs: how many epochs the schedule is made for, and the most that are trained.
        stem: blocks before `blocks` that are trained by themselves or bring weights along, such as a denoiser or
            a network trained on other images; part of an export.
        stem_rate: factor of the learning rate for the stem; 0 keeps its weights as they are.
        value_range: (low, high) of the values of training's images, which the model's first layer maps to 0 and 1.
        class_weight: one of CLASS_WEIGHTS. With `balanced` an image of a class counts n / (k * images of the class) in
            the training loss, for n training images of k classes; validation is not weighted.
    """

    input_shape: tuple[int, int, int]
    classes: int
    blocks: tuple[Block, ...] = ()
    head: Head = Head()
    augment: tuple[Spec, ...] = ()
    loss: Spec = ("CategoricalCrossentropy", {})
    optimizer: Spec = ("Adam", {"learning_rate": 0.001})
    schedule: tuple[float, ...] = ()
    callbacks: tuple[Spec, ...] = ()
    batch_size: int = 128
    epochs: int = 10
    stem: tuple[Block, ...] = ()
    stem_rate: float = 1.0
    value_range: tuple[float, float] = (0.0, 255.0)
    class_weight: str = "none"

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "input_shape", tuple(int(side) for side in self.input_shape))
        set_field(self, "blocks", tuple(self.blocks))
        set_field(self, "stem", tuple(self.stem))
        set_field(self, "stem_rate", float(self.stem_rate))
        set_field(self, "schedule", tuple(float(factor) for factor in self.schedule))
        set_field(self, "value_range", tuple(float(end) for end in self.value_range))
        for name in ("augment", "callbacks"):
            set_field(self, name, tuple(spec(item) for item in getattr(self, name)))
        for name in ("loss", "optimizer"):
            set_field(self, name, spec(getattr(self, name)))
        shape = self.input_shape
        _require(len(shape) == 3 and min(shape) >= 1, f"input_shape must be three sides of at least 1, got {shape}")
        _whole(self, 1, "classes", "batch_size", "epochs")
        _require(self.stem_rate >= 0, f"stem_rate must be at least 0, got {self.stem_rate}")
        ends = self.value_range
        right = len(ends) == 2 and -math.inf < ends[0] < ends[1] < math.inf
        _require(right, f"value_range must be a low and a higher number, got {ends}")
        known, got = ", ".join(CLASS_WEIGHTS), self.class_weight
        _require(got in CLASS_WEIGHTS, f"class_weight must be one of {known}, got {got!r}")

    def __eq__(self, other: object) -> bool:
        # by key: 1 == 1.0 inside a configuration would make equal plans with unequal hashes
        return isinstance(other, Plan) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return dataclasses.replace(self, **changes)

    def each_block(self, **changes: Any) -> Self:
        """A copy with these fields changed in every block."""
        return self.replace(blocks=tuple(block.replace(**changes) for block in self.blocks))

    def configure(self, field: str, **changes: Any) -> Self:
        """A copy with these entries added to the configuration of `loss` or `optimizer`."""
        name, config = getattr(self, field)
        return self.replace(**{field: (name, {**config, **changes})})

    @property
    def key(self) -> str:
        """16 hexadecimal digits that tell this plan from every other."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The plan as one line of JSON, its keys sorted; fields of NEWER are left out at their defaults."""
        written = dataclasses.asdict(self)
        for field in dataclasses.fields(self):
            if field.name in NEWER and written[field.name] == field.default:
                del written[field.name]
        return json.dumps(written, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan that `to_json` wrote.

        Raises:
            ValueError: if the text is no plan, or a value is out of its range.
        """
        try:
            fields = json.loads(text)
            stages = {name: tuple(Block(**block) for block in fields.pop(name, ())) for name in ("blocks", "stem")}
            return cls(**fields | stages | {"head": Head(**fields.pop("head"))})
        except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"this is no plan: {' '.join(str(error).split())}") from error
