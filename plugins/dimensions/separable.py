"""Depthwise separable convolutions."""

from cnnsearch import dimension

_DEPTHWISE = ("DepthwiseConv2D", {"kernel_size": "=kernel", "padding": "=padding", "use_bias": False})
_ACROSS = ("Conv2D", {"filters": "=filters", "kernel_size": 1, "use_bias": "=bias"})


@dimension
def separable(hp, plan, *, choices=(False, True)):
    """Whether convolutions are depthwise and then pointwise, for a fraction of the weights (arXiv:1704.04861).

    The first convolution of the network is not changed, as in MobileNet: a grey image has only one channel.

    Its place is after the dimensions that make the blocks and add words next to their convolutions, such as
    `norm_dropout` and `residual`. Dimensions that set sizes may come before or after it.

    Args:
        choices: whether they are.
    """
    if not hp.Choice("use", choices):
        return plan
    return plan.replace(blocks=tuple(_split(block, first=not at) for at, block in enumerate(plan.blocks)))


def _split(block, first):
    if not (first and "conv" in block.layers):
        return block.rewrite("conv", (_DEPTHWISE, _ACROSS))
    at = block.layers.index("conv") + 1
    rest = block.replace(layers=block.layers[at:]).rewrite("conv", (_DEPTHWISE, _ACROSS))
    return block.replace(layers=(*block.layers[:at], *rest.layers))
