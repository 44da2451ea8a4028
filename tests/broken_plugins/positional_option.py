from cnnsearch import dimension


@dimension
def positional_option(hp, plan, choices=(32, 64)):
    """How many images are in a batch."""
    return plan.replace(batch_size=hp.Choice("size", choices))
