"""The batch size."""

from cnnsearch import dimension


@dimension
def batch_size(hp, plan, *, choices=(128, 64, 256)):
    """How many images each step of the optimizer uses.

    Args:
        choices: images in a batch.
    """
    if any(size < 1 for size in choices):
        raise ValueError(f"choices must be numbers of at least 1, got {choices}")
    return plan.replace(batch_size=hp.Choice("size", choices))
