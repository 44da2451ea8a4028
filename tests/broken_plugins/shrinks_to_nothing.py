from cnnsearch import Block, dimension


@dimension
def shrinks_to_nothing(hp, plan):
    """How many blocks there are, however small the image is."""
    return plan.replace(blocks=(Block("conv act pool"),) * hp.Choice("blocks", [2, 9]))
