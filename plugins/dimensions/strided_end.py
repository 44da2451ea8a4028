"""A last strided convolution between the blocks and the head."""

from cnnsearch import Block, dimension


@dimension
def strided_end(hp, plan, *, choices=(False, True)):
    """Whether one more strided convolution follows the blocks.

    It is a block of its own: `filters` and `kernel_size` change it if they come after this dimension.

    Args:
        choices: whether it is there.
    """
    if not hp.Choice("use", choices):
        return plan
    # it has the sizes of the last block, in case the space sets sizes earlier
    like = plan.blocks[-1] if plan.blocks else Block("")
    return plan.replace(blocks=(*plan.blocks, like.replace(layers="down act", rate=0.0)))
