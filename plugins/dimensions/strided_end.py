"""A last strided convolution between the blocks and the head."""

from cnnsearch import Block, dimension


@dimension
def strided_end(hp, plan, *, choices=(False, True)):
    """Whether a strided convolution of its own closes the blocks.

    It is a block of its own: `filters` and `kernel_size` reach it where they stand after this dimension.

    Args:
        choices: whether it is there.
    """
    if not hp.Choice("use", choices):
        return plan
    # the last block's sizes are the best guess for a space that sets them earlier
    like = plan.blocks[-1] if plan.blocks else Block("")
    return plan.replace(blocks=(*plan.blocks, like.replace(layers="down act", rate=0.0)))
