from cnnsearch import dimension


@dimension
def draws_nothing(hp, plan, *, size=64):
    """How many images are in a batch."""
    return plan.replace(batch_size=size)
