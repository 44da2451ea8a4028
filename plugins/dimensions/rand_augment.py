"""RandAugment: random changes of colour and shape."""

from cnnsearch import dimension


@dimension
def rand_augment(hp, plan, *, number=(0, 2, 1), strength=(0.3, 0.5)):
    """How many random changes of colour, contrast and shape training images get, and how strong they are.

    RandAugment is from Cubuk et al. 2019, arXiv:1909.13719. Keras' layer makes the same kinds of changes for all images
    of a batch, and computes all eleven kinds for each batch.

    Args:
        number: how many changes are made one after another; 0 for none.
        strength: how strong they are, up to 1.
    """
    if any(count < 0 for count in number) or not all(0 < amount <= 1 for amount in strength):
        raise ValueError(f"number must be at least 0 and strength above 0 and up to 1, got {number} and {strength}")
    count = hp.Choice("number", number)
    if not count:
        return plan
    config = {"value_range": [0, 1], "num_ops": count, "factor": hp.Choice("strength", strength)}
    return plan.replace(augment=(*plan.augment, ("RandAugment", config)))
