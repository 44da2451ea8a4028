"""The activation of the whole network."""

from cnnsearch import dimension

# Keras' names, without those that make no sense between hidden layers (softmax, sigmoid, linear, ...)
_NAMES = (
    *("relu", "gelu", "silu", "swish", "elu", "leaky_relu", "selu", "celu"),
    *("mish", "softplus", "tanh", "relu6", "hard_silu", "hard_swish"),
)


@dimension
def activation(hp, plan, *, choices=("relu", "gelu", "silu", "elu", "leaky_relu")):
    """Which activation comes after convolutions and dense layers.

    Its place is after the dimension that makes the blocks.

    Args:
        choices: names of Keras activations, such as `gelu` (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    """
    if not set(choices) <= set(_NAMES):
        raise ValueError(f"choices must be among {', '.join(_NAMES)}, got {choices}")
    name = hp.Choice("name", choices)
    return plan.each_block(activation=name).replace(head=plan.head.replace(activation=name))
