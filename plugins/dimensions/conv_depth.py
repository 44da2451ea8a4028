"""The blocks of the network: convolutions, then pooling."""

from cnnsearch import Block, dimension


@dimension
def conv_depth(hp, plan, *, min=1, max=3, convs=(1, 2), padding=("same",), bias=(True,)):
    """How many blocks there are, and how many convolutions each has.

    It makes the blocks, so its place is before every dimension that edits them. Never more blocks than the
    image bears: 8x8 pixels can be halved three times.

    Args:
        min: the fewest blocks; with 0 some candidates have only dense layers.
        max: the most blocks; fewer for images that are too small.
        convs: convolutions in a block, `conv act` each.
        padding: `same`, or `valid`, where a convolution loses the rim of the image; a block keeps `same`
            where losing the rim of 3x3 convolutions would leave too little for it and those after it.
        bias: whether convolutions have a bias; normalisation after them makes it unnecessary.
    """
    if not set(padding) <= {"same", "valid"}:
        raise ValueError(f"padding must be among same and valid, got {padding}")
    if not all(1 <= count <= 64 for count in convs):
        raise ValueError(f"convs must be numbers from 1 to 64, got {convs}")
    side = sorted(plan.input_shape[:2])[0]
    low, high = _limits(min, max, side)
    blocks = hp.Int("blocks", low, high, default=sorted((low, 2, high))[1])
    if not blocks:
        return plan.replace(blocks=())
    count = hp.Choice("convs", convs)
    block = Block("conv act " * count + "pool", bias=hp.Choice("bias", bias))
    rim = 2 * count if hp.Choice("padding", padding) == "valid" else 0
    return plan.replace(blocks=tuple(block.replace(padding=padding) for padding in _paddings(side, rim, blocks)))


def _limits(low, high, side):
    """`low` and `high`; `high` is at most the number of times that this side can be halved."""
    if not 0 <= low <= high:
        raise ValueError(f"expected 0 <= min <= max, got min={low} and max={high}")
    bears = side.bit_length() - 1
    if low > bears:
        raise ValueError(f"min must be at most {bears}, as many blocks as the image bears, got {low}")
    return low, min(high, bears)


def _paddings(side, rim, blocks):
    """`valid` for each block whose image has room for convolutions that remove `rim` pixels, else `same`."""
    for later in reversed(range(blocks)):
        fits = rim and (side - rim) // 2 >= 2**later
        side = (side - rim if fits else side) // 2
        yield "valid" if fits else "same"
