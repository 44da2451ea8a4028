"""Squeeze-and-excitation: a gate for each channel."""

from cnnsearch import dimension


@dimension
def squeeze_excitation(hp, plan, *, ratio=(0, 8, 4)):
    """How narrow the gate is that scales the channels of each block (Hu et al. 2017, arXiv:1709.01507).

    Its place is after the dimension that makes the blocks; after `residual` the gate scales the sum of the shortcut.

    Args:
        ratio: the gate's first layer has the block's filters divided by this, at least 1; 0 for no gate.
    """
    if any(part < 0 for part in ratio):
        raise ValueError(f"ratio must be numbers of at least 0, got {ratio}")
    part = hp.Choice("ratio", ratio)
    if not part:
        return plan
    gate = (
        ("GlobalAveragePooling2D", {"keepdims": True}),
        ("Conv2D", {"filters": f"=filters/{part}", "kernel_size": 1, "activation": "relu"}),
        ("Conv2D", {"filters": "=filters", "kernel_size": 1, "activation": "sigmoid"}),
    )
    weighed = ("Multiply", {"paths": ["", gate]})
    return plan.replace(blocks=tuple(_with(block, weighed) for block in plan.blocks))


def _with(block, item):
    # without a convolution before it the image has not as many channels as the block
    return block.before_pooling((item,)) if _convolves(block) else block


def _convolves(block):
    return any(item == "conv" or item[0] in ("Conv2D", "SeparableConv2D") for item in block.layers)
