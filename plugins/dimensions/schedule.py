"""The learning rate over the epochs."""

import math

from cnnsearch import dimension

_KINDS = ("constant", "exponential", "plateau", "cosine", "one_cycle")
_KNOWN = (*_KINDS, "triangular")


@dimension
def schedule(
    hp,
    plan,
    *,
    kinds=_KINDS,
    decay=(0.9, 0.8),
    patience=(3,),
    factor=(0.5,),
    min_rate=1e-5,
    monitor="val_loss",
    peak=(0.23,),
    start=(0.2,),
    end=(0.07,),
):
    """How the learning rate changes while the network is trained.

    Args:
        kinds: `constant`; `exponential`; `plateau`, smaller when training stalls; `cosine` (Loshchilov &
            Hutter 2016, arXiv:1608.03983); `one_cycle`, up and then down (Smith & Topin 2018,
            arXiv:1708.07120), its momentum left alone; `triangular`, up and down along two straight lines, as in
            airbench94 (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench).
        decay: factor of each epoch, for `exponential`.
        patience: epochs without progress before the rate falls, for `plateau`.
        factor: the rate is multiplied by this then, for `plateau`.
        min_rate: the smallest rate, for `plateau`.
        monitor: the metric that must improve, for `plateau`.
        peak: the part of the training after which the rate is highest, for `triangular`; 0 for no warm-up.
        start: the first rate as a part of the highest, for `triangular`.
        end: the last rate as a part of the highest, for `triangular`.
    """
    _check(kinds, decay, patience, factor, min_rate)
    if not all(0 <= share < 1 for share in (*peak, *start, *end)):
        raise ValueError(f"peak, start and end must be from 0 to below 1, got {peak}, {start} and {end}")
    kind = hp.Choice("kind", kinds)
    if kind == "plateau":
        config = {"patience": hp.Choice("patience", patience), "factor": hp.Choice("factor", factor)}
        plateau = ("ReduceLROnPlateau", {"monitor": monitor, "min_lr": min_rate, **config})
        return plan.replace(callbacks=(*plan.callbacks, plateau))
    if kind == "constant":
        return plan
    if kind == "triangular":
        turn, first, last = hp.Choice("peak", peak), hp.Choice("start", start), hp.Choice("end", end)
        up, at = ((first,), (0.0,)) if turn else ((), ())
        turns = (*at, round(turn * plan.epochs, 6), float(plan.epochs))
        return plan.replace(schedule=(*up, 1.0, last), schedule_at=turns)
    if kind == "exponential":
        rate = hp.Choice("decay", decay)
        factors = [rate**epoch for epoch in range(plan.epochs + 1)]
    else:
        factors = (_cosine if kind == "cosine" else _one_cycle)(plan.epochs)
    return plan.replace(schedule=tuple(round(factor, 6) for factor in factors))


def _cosine(epochs):
    return [(1 + math.cos(math.pi * epoch / epochs)) / 2 for epoch in range(epochs + 1)]


def _one_cycle(epochs):
    # warm-up ends with an epoch, since the rate is linear within one; a single epoch has no warm-up
    peak = round(0.3 * epochs)
    up = [0.1 + 0.9 * epoch / peak for epoch in range(peak)]
    return up + [1 - 0.99 * epoch / (epochs - peak) for epoch in range(epochs - peak + 1)]


def _check(kinds, decay, patience, factor, min_rate):
    if not set(kinds) <= set(_KNOWN):
        raise ValueError(f"kinds must be among {', '.join(_KNOWN)}, got {kinds}")
    if not all(0 < share < 1 for share in (*decay, *factor)):
        raise ValueError(f"decay and factor must be between 0 and 1, got decay={decay} and factor={factor}")
    if any(epochs < 1 for epochs in patience):
        raise ValueError(f"patience must be numbers of at least 1, got {patience}")
    if min_rate < 0:
        raise ValueError(f"min_rate must be at least 0, got {min_rate}")
