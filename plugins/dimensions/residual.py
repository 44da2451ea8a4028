"""Residual units: convolutions with a shortcut."""

from cnnsearch import dimension

_UNITS = {"plain": ("conv", "act"), "norm": ("conv", "norm", "act")}


@dimension
def residual(hp, plan, *, convs=(0, 2, 1), units=("norm", "plain")):
    """How many convolutions with a shortcut follow the convolutions of each block (He et al. 2015, arXiv:1512.03385).

    They stand before the block's pooling, are as wide as the block, and what goes in is added to what comes out, so
    that no weights are needed on the shortcut.

    Its place is after the dimension that makes the blocks.

    Args:
        convs: convolutions of one shortcut; 0 for none.
        units: `norm` for convolutions with batch normalisation and activation, `plain` without normalisation.
    """
    if not all(0 <= count <= 16 for count in convs):
        raise ValueError(f"convs must be numbers from 0 to 16, got {convs}")
    if not set(units) <= set(_UNITS):
        raise ValueError(f"units must be among {', '.join(_UNITS)}, got {units}")
    count = hp.Choice("convs", convs)
    if not count:
        return plan
    path = _UNITS[hp.Choice("unit", units)] * count
    around = ("Add", {"paths": ["", path]})
    return plan.replace(blocks=tuple(_with(block, around) for block in plan.blocks))


def _with(block, item):
    # without a convolution before it the image has not as many channels as the block
    return block.before_pooling((item,)) if "conv" in block.layers else block
