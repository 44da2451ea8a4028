"""Groups of convolutions with batch normalisation, each with one pooling."""

from cnnsearch import Block, dimension

_ORDERS = ("pool_first", "pool_last")


@dimension
def conv_groups(hp, plan, *, min=2, max=3, convs=(2, 1, 3), order=("pool_first", "pool_last"), bias=False):
    """How many groups of convolutions there are, how many each has, and where a group halves the image.

    It makes the blocks, so its place is before every dimension that edits them. Each convolution is followed by
    normalisation and activation. An image that is too small for `max` halvings has fewer groups.

    Args:
        min: the fewest groups.
        max: the most groups.
        convs: convolutions in a group.
        order: `pool_first`: the pooling follows the first convolution of a group, before its normalisation, as in
            airbench94 (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench); `pool_last`: it ends the group.
        bias: whether convolutions have a bias; the normalisation after them makes it unnecessary.
    """
    if not set(order) <= set(_ORDERS):
        raise ValueError(f"order must be among {', '.join(_ORDERS)}, got {order}")
    if not all(1 <= count <= 16 for count in convs):
        raise ValueError(f"convs must be numbers from 1 to 16, got {convs}")
    if not 1 <= min <= max:
        raise ValueError(f"expected 1 <= min <= max, got min={min} and max={max}")
    # a stem may take one row and one column
    poolings = sorted((1, (sorted(plan.input_shape[:2])[0] - 1).bit_length() - 1))[1]
    high = sorted((poolings, max))[0]
    groups = hp.Int("groups", sorted((min, high))[0], high, default=high)
    count, unit = hp.Choice("convs", convs), "conv norm act "
    if hp.Choice("order", order) == "pool_first":
        words = "conv pool norm act " + unit * (count - 1)
    else:
        words = unit * count + "pool"
    return plan.replace(blocks=(Block(words, bias=bias),) * groups)
