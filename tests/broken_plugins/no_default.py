from cnnsearch import dimension


@dimension
def no_default(hp, plan, *, choices):
    """How many images are in a batch."""
    return plan.replace(batch_size=hp.Choice("size", choices))
