from cnnsearch import dimension


@dimension
def returns_nothing(hp, plan):
    """How many images are in a batch."""
    plan.replace(batch_size=hp.Choice("size", [32, 64]))
