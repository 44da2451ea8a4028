from cnnsearch import dimension


@dimension
def changing_choices(hp, plan):
    """Which block is the widest."""
    last = len(plan.blocks) - 1
    widest = hp.Int("widest", 0, last)
    blocks = [block.replace(filters=32 if at == widest else 16) for at, block in enumerate(plan.blocks)]
    return plan.replace(blocks=blocks)
