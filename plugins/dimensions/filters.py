"""The width of the convolutions."""

from cnnsearch import dimension


@dimension
def filters(hp, plan, *, first=(32, 16, 64), growth=(2.0, 1.0), most=(512,)):
    """How many filters the first block has, and how the number grows from block to block.

    Args:
        first: filters of the first block.
        growth: factor from one block to the next; with 1.0 all blocks have the same number.
        most: the most filters of a block.
    """
    if any(count < 1 for count in (*first, *most)):
        raise ValueError(f"first and most must be numbers of at least 1, got first={first} and most={most}")
    if any(factor <= 0 for factor in growth):
        raise ValueError(f"growth must be factors above 0, got {growth}")
    start, factor, limit = hp.Choice("first", first), hp.Choice("growth", growth), hp.Choice("most", most)
    widths = (max(1, min(round(start * factor**at), limit)) for at in range(len(plan.blocks)))
    return plan.replace(
        blocks=tuple(block.replace(filters=width) for block, width in zip(plan.blocks, widths, strict=True))
    )
