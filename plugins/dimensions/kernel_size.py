"""The window of the convolutions."""

from cnnsearch import dimension


@dimension
def kernel_size(hp, plan, *, choices=(3, 5), per_block=False):
    """How large the window of a convolution is.

    With `valid` padding a large window can shrink the image to nothing; such a candidate is infeasible.

    Args:
        choices: side of the window, in pixels.
        per_block: whether a window is drawn for each block (`block1`, `block2`, ...).
    """
    if any(side < 1 for side in choices):
        raise ValueError(f"choices must be sides of at least 1 pixel, got {choices}")
    if not per_block:
        return plan.each_block(kernel=hp.Choice("size", choices))
    return plan.replace(
        blocks=tuple(
            block.replace(kernel=hp.Choice(f"block{number}", choices)) for number, block in enumerate(plan.blocks, 1)
        )
    )
