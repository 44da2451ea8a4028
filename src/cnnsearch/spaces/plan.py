"""The plan of a candidate: frozen plain data that says which network is built and how it is trained."""

import dataclasses
import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from typing import Any, Self

from cnnsearch.spaces.sentences import (
    BLOCK_WORDS,
    HEAD_WORDS,
    REDUCTIONS,
    Item,
    Spec,
    check_words,
    require,
    rewrite,
    sentence,
    spec,
)
from cnnsearch.spaces.weight_training import Averaging, check_group, check_patterns, check_whole

NEWER = ("value_range", "class_weight", "schedule_at", "initial", "groups", "mixing", "averaging", "sizes")
"""Fields of a plan that version 0.1.0 did not have. They are not written if they have their defaults, so that plans
of version 0.1.0 keep their keys."""

CLASS_WEIGHTS = ("none", "balanced")
"""What has equal weight in the loss: each image (`none`) or each class (`balanced`)."""


@dataclass(frozen=True)
class Block:
    """A stage of the network.

    Attributes:
        layers: a sentence of words and layers, such as `"conv norm act conv norm act pool drop"`.
        filters: the filters of every `conv` and `down`.
        kernel: the side of the window of `conv`, in pixels.
        down_kernel: the side of the window of `down`, in pixels; 0: the same as `kernel`.
        padding: of every `conv`: "same" or "valid".
        bias: whether every `conv` has a bias.
        pool: the window and stride of `pool` and `avgpool`, in pixels.
        rate: the dropout rate of every `drop`, from 0 to below 1.
        activation: Keras' name of the activation of every `act`.

    Raises:
        ValueError: if a word is unknown, or a value is out of its range.
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
        object.__setattr__(self, "layers", check_words(sentence(self.layers), BLOCK_WORDS, "a block", self._numbers()))
        object.__setattr__(self, "rate", float(self.rate))
        check_whole(self, 1, "filters", "kernel", "pool")
        check_whole(self, 0, "down_kernel")
        require(self.padding in ("same", "valid"), f"padding must be 'same' or 'valid', got {self.padding!r}")
        require(0 <= self.rate < 1, f"a dropout rate must be in [0, 1), got {self.rate}")

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`: fields and their new values."""
        return dataclasses.replace(self, **changes)

    def rewrite(self, old: str, new: tuple[Item, ...] | str) -> Self:
        """A copy with each run of the words `old` replaced by `new` (may be empty), also in forks."""
        return self.replace(layers=rewrite(sentence(self.layers), sentence(old), sentence(new)))

    def before_pooling(self, items: tuple[Item, ...] | str) -> Self:
        """A copy with `items` after its convolutions: before the `pool`, `avgpool` or `down` that ends it."""
        layers = sentence(self.layers)
        found = [at for at, item in enumerate(layers) if item in ("conv", "pool", "avgpool", "down")]
        at = found[-1] if found else len(layers)
        # a pooling inside a convolution, as in "conv pool norm act", does not end the block
        inside = layers[at : at + 1] == ("conv",) or (layers[at + 1 : at + 2] == ("norm",) and layers[at] != "down")
        at = len(layers) if inside else at
        return self.replace(layers=(*layers[:at], *sentence(items), *layers[at:]))

    @staticmethod
    def _numbers() -> tuple[str, ...]:
        """The fields that the configuration of a layer may refer to."""
        return ("filters", "kernel", "padding", "bias", "pool", "rate", "activation")


@dataclass(frozen=True)
class Head:
    """The layers after the blocks: a reduction to a vector, then the sentence `layers` once for each width.

    Attributes:
        reduce: how the last image becomes a vector: "flatten", or the global "average" or "max" of each filter.
        widths: the units of each dense layer; empty for none.
        layers: a sentence of the words `dense`, `norm`, `act` and `drop`.
        rate: the dropout rate of every `drop`, from 0 to below 1.
        activation: Keras' name of the activation of every `act`.

    Raises:
        ValueError: if a word is unknown, or a value is out of its range.
    """

    reduce: str = "flatten"
    widths: tuple[int, ...] = ()
    layers: tuple[Item, ...] | str = "dense act"
    rate: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", check_words(sentence(self.layers), HEAD_WORDS, "a head", ("rate",)))
        object.__setattr__(self, "rate", float(self.rate))
        object.__setattr__(self, "widths", tuple(int(width) for width in self.widths))
        require(self.reduce in REDUCTIONS, f"reduce must be one of {', '.join(REDUCTIONS)}, got {self.reduce!r}")
        require(all(width >= 1 for width in self.widths), f"widths must be at least 1, got {self.widths}")
        require(0 <= self.rate < 1, f"a dropout rate must be in [0, 1), got {self.rate}")

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`: fields and their new values."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Plan:
    """One candidate. It is the same after JSON, and equal plans have equal `key`s.

    Attributes:
        input_shape: (height, width, channels) of the raw images.
        classes: the number of classes.
        blocks: the stages of the network.
        head: the layers after the blocks.
        augment: Keras layers for training only, on pixels scaled to [0, 1]; not part of an export.
        loss: a Keras loss on one-hot labels and probabilities.
        optimizer: a Keras optimizer.
        schedule: factors of the learning rate at the start of epoch 1, 2, … and at the end of the last epoch,
            linear in between; empty for a constant rate.
        callbacks: further Keras callbacks, such as EarlyStopping; they see `val_` metrics.
        batch_size: images in a training step.
        epochs: the number of epochs of the schedule, and the most that are trained.
        stem: blocks before `blocks` that are trained separately or have weights already, such as a denoiser or
            a pretrained network; part of an export.
        stem_rate: factor of the learning rate for the stem; 0 leaves its weights unchanged.
        value_range: (low, high) of the pixels of the training images; the model's first layer maps them to 0 and 1.
        class_weight: one of CLASS_WEIGHTS. With `balanced` an image of a class counts n / (k * images of the class) in
            the training loss, for n training images of k classes; validation is not weighted.
        schedule_at: the epochs of the factors in `schedule`, if they are not 0, 1, 2, …; such as (0, 2.3, 10).
        initial: how the first weights of layers are computed: pairs of a regular expression and an initializer. The
            first expression that is found in the name of a layer, such as `block1_1_conv2d`, is used. Some
            initializers compute the weights from the training images.
        groups: weights that are trained differently: pairs of a regular expression and a part of GROUP. The first
            expression that is found in the path of a weight, such as `block1_2_batchnormalization/beta`, is used.
        mixing: Keras layers for training only that change the images and the labels of a batch together, after
            `augment`, such as MixUp.
        averaging: how the trained weights are averaged; None: they are not.
        sizes: factors of both sides of the training images in epoch 1, 2, …, above 0 and at most 1; later epochs and
            validation have whole images. The head must reduce by "average" or "max", else the model cannot be built.

    Raises:
        ValueError: if a value is out of its range.
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
    schedule_at: tuple[float, ...] = ()
    initial: tuple[tuple[str, Spec], ...] = ()
    groups: tuple[Spec, ...] = ()
    mixing: tuple[Spec, ...] = ()
    averaging: Averaging | None = None
    sizes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "input_shape", tuple(int(side) for side in self.input_shape))
        set_field(self, "blocks", tuple(self.blocks))
        set_field(self, "stem", tuple(self.stem))
        set_field(self, "stem_rate", float(self.stem_rate))
        set_field(self, "schedule", tuple(float(factor) for factor in self.schedule))
        set_field(self, "value_range", tuple(float(end) for end in self.value_range))
        set_field(self, "schedule_at", tuple(float(epoch) for epoch in self.schedule_at))
        set_field(self, "sizes", tuple(float(size) for size in self.sizes))
        set_field(self, "initial", tuple((pattern, spec(item)) for pattern, item in self.initial))
        for name in ("augment", "callbacks", "groups", "mixing"):
            set_field(self, name, tuple(spec(item) for item in getattr(self, name)))
        for name in ("loss", "optimizer"):
            set_field(self, name, spec(getattr(self, name)))
        shape = self.input_shape
        require(len(shape) == 3 and min(shape) >= 1, f"input_shape must be three sides of at least 1, got {shape}")
        check_whole(self, 1, "classes", "batch_size", "epochs")
        require(self.stem_rate >= 0, f"stem_rate must be at least 0, got {self.stem_rate}")
        ends = self.value_range
        right = len(ends) == 2 and -math.inf < ends[0] < ends[1] < math.inf
        require(right, f"value_range must be a low and a higher number, got {ends}")
        known, got = ", ".join(CLASS_WEIGHTS), self.class_weight
        require(got in CLASS_WEIGHTS, f"class_weight must be one of {known}, got {got!r}")
        self._check_schedule()
        require(all(0 < size <= 1 for size in self.sizes), f"sizes must be above 0 and at most 1, got {self.sizes}")
        check_patterns("initial", (pattern for pattern, _ in self.initial))
        check_patterns("groups", (pattern for pattern, _ in self.groups))
        for pattern, group in self.groups:
            check_group(pattern, group)

    def _check_schedule(self) -> None:
        at, factors = self.schedule_at, self.schedule
        if at:
            require(len(at) == len(factors), f"schedule_at must have {len(factors)} epochs as schedule, got {len(at)}")
            rising = at[0] == 0 and all(a < b < math.inf for a, b in itertools.pairwise(at))
            require(rising, f"schedule_at must begin with 0 and rise, got {at}")

    def __eq__(self, other: object) -> bool:
        # by key: 1 == 1.0 inside a configuration would make equal plans with unequal hashes
        return isinstance(other, Plan) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`: fields and their new values."""
        return dataclasses.replace(self, **changes)

    def each_block(self, **changes: Any) -> Self:
        """A copy with these fields changed in every block; `changes` are fields of `Block`."""
        return self.replace(blocks=tuple(block.replace(**changes) for block in self.blocks))

    def configure(self, field: str, **changes: Any) -> Self:
        """A copy with `changes` added to the configuration of `field`, which is "loss" or "optimizer"."""
        name, config = getattr(self, field)
        return self.replace(**{field: (name, {**config, **changes})})

    @property
    def key(self) -> str:
        """The 16 hexadecimal digits that identify this plan."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The plan as one line of JSON with sorted keys; fields of NEWER are left out if they have their defaults."""
        written = dataclasses.asdict(self)
        for field in dataclasses.fields(self):
            if field.name in NEWER and written[field.name] == field.default:
                del written[field.name]
        return json.dumps(written, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan that `to_json` wrote.

        Raises:
            ValueError: if the text is not a plan, or a value is out of its range.
        """
        try:
            fields = json.loads(text)
            stages = {name: tuple(Block(**block) for block in fields.pop(name, ())) for name in ("blocks", "stem")}
            if fields.get("averaging"):
                fields["averaging"] = Averaging(**fields["averaging"])
            return cls(**fields | stages | {"head": Head(**fields.pop("head"))})
        except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"this is not a plan: {' '.join(str(error).split())}") from error
