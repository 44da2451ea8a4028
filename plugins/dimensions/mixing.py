"""Mixtures of training images and their labels."""

from cnnsearch import dimension


@dimension
def mixing(hp, plan, *, kinds=("none", "mixup", "cutmix"), alpha=(0.2, 1.0)):
    """Whether each training image is mixed with another one of its batch, and its label too.

    `mixup` adds both images (Zhang et al. 2017, arXiv:1710.09412), `cutmix` puts a part of one into the other (Yun et
    al. 2019, arXiv:1905.04899), both by Keras' layers.

    Args:
        kinds: `none`, `mixup` and `cutmix`, or one of them.
        alpha: how evenly two images are mixed, up to 1.
    """
    known = {"mixup": "MixUp", "cutmix": "CutMix"}
    if not set(kinds) <= {"none", *known}:
        raise ValueError(f"kinds must be among none, {', '.join(known)}, got {kinds}")
    if not all(0 < amount <= 1 for amount in alpha):
        raise ValueError(f"alpha must be numbers above 0 and up to 1, got {alpha}")
    kind = hp.Choice("kind", kinds)
    if kind == "none":
        return plan
    amount = hp.Choice("alpha", alpha)
    config = {"alpha": amount} if kind == "mixup" else {"factor": [amount, amount]}
    return plan.replace(mixing=(*plan.mixing, (known[kind], config)))
