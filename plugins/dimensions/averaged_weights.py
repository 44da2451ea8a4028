"""Averages of the weights over the steps of a training."""

from cnnsearch import dimension
from cnnsearch.spaces.weight_training import Averaging


@dimension
def averaged_weights(hp, plan, *, kinds=("none", "lookahead", "ema"), every=5, decay=0.773781, power=3.0, ema=(0.98,)):
    """Whether the weights are averaged over the steps of training.

    `lookahead`: training continues from the averages (Zhang et al. 2019, arXiv:1907.08610), whose weight grows over
    the epochs as in airbench94 (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench). `ema`: validation and the
    final model use an exponential moving average (Tarvainen & Valpola 2017, arXiv:1703.01780), and training continues
    without it. The averages of batch normalisation are those of the trained weights.

    Args:
        kinds: `none`, `lookahead` and `ema`, or one of them.
        every: steps between two averages of lookahead.
        decay: how much of lookahead's averages is kept at the end of the training; the default is 0.95 to the power 5.
        power: the power of the share of the training that is done, by which lookahead's decay grows.
        ema: how much of the moving average is kept in each step.
    """
    known = ("none", "lookahead", "ema")
    if not set(kinds) <= set(known):
        raise ValueError(f"kinds must be among {', '.join(known)}, got {kinds}")
    kind = hp.Choice("kind", kinds)
    if kind == "none":
        return plan
    if kind == "lookahead":
        return plan.replace(averaging=Averaging(every, decay, power, overwrite=True))
    return plan.replace(averaging=Averaging(1, hp.Choice("ema", ema)))
