"""The Keras layer of each word of a sentence. Both the cost and the network are made from these layers."""

import re
from collections.abc import Callable
from typing import Any

from cnnsearch.spaces.plan import Block, Head
from cnnsearch.spaces.sentences import REFERENCE, Item, Spec, sentence

NORM_MOMENTUM = 0.9
"""The momentum of the moving averages in batch normalisation. Keras' 0.99 needs about 500 steps to adapt. On small data
the validation scores of the first epochs, which pruning uses, would be too low (0.10 instead of 0.95 on digits)."""


def _conv(block: Block, _: int) -> Spec:
    config = {"filters": block.filters, "kernel_size": block.kernel}
    return "Conv2D", {**config, "padding": block.padding, "use_bias": block.bias}


def _down(block: Block, _: int) -> Spec:
    config = {"filters": block.filters, "kernel_size": block.down_kernel or block.kernel}
    # padded, so that it accepts the smallest image
    return "Conv2D", {**config, "strides": 2, "padding": "same"}


Stage = Block | Head
WORDS: dict[str, Callable[[Any, int], Spec | None]] = {
    "conv": _conv,
    "down": _down,
    "norm": lambda stage, width: ("BatchNormalization", {"momentum": NORM_MOMENTUM}),
    "act": lambda stage, width: ("Activation", {"activation": stage.activation}),
    "pool": lambda block, width: ("MaxPooling2D", {"pool_size": block.pool}),
    "avgpool": lambda block, width: ("AveragePooling2D", {"pool_size": block.pool}),
    "up": lambda block, width: ("UpSampling2D", {"size": 2}),
    "drop": lambda stage, width: ("Dropout", {"rate": stage.rate}) if stage.rate else None,
    "dense": lambda head, width: ("Dense", {"units": width}),
}
"""For each word a function that gives its layer, from the block or head and the width of a dense layer."""

REDUCTIONS: dict[str, Spec] = {
    "flatten": ("Flatten", {}),
    "average": ("GlobalAveragePooling2D", {}),
    "max": ("GlobalMaxPooling2D", {}),
}


def specs(stage: Stage, width: int = 0, items: tuple[Item, ...] | None = None) -> list[Spec | None]:
    """The layer of each item of a stage's sentence (or of `items`); None for dropout with rate 0."""
    spelled = sentence(stage.layers) if items is None else items
    return [WORDS[item](stage, width) if isinstance(item, str) else _resolved(item, stage) for item in spelled]


def along(path: tuple[Item, ...], stage: Stage) -> list[Spec]:
    """The layers of a path of a fork. Its convolutions keep the image's size, so that the paths fit together."""
    padded = stage.replace(padding="same") if isinstance(stage, Block) else stage
    return [spec for spec in specs(padded, items=path) if spec is not None]


def _resolved(spec: Spec, stage: Stage) -> Spec:
    """`spec` with references such as `=filters` and `=filters/8` replaced by the numbers of the stage."""
    return spec[0], {key: _number(value, stage) for key, value in spec[1].items()}


def _number(value: Any, stage: Stage) -> Any:
    found = re.fullmatch(REFERENCE, value) if isinstance(value, str) else None
    if not found:
        return value
    own = getattr(stage, found["field"])
    return max(1, own // int(found["part"])) if found["part"] else own
