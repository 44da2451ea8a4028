import random

from cnnsearch import dimension


@dimension
def throws_dice(hp, plan):
    """How many images are in a batch."""
    return plan.replace(batch_size=hp.Choice("size", [32, 64]) + random.randrange(1000))
