from cnnsearch import dimension


@dimension
def draws_in_vain(hp, plan):
    """How many images are in a batch."""
    hp.Choice("size", [32, 64])
    return plan
