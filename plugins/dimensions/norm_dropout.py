"""The places of batch normalisation and dropout among the convolutions."""

from cnnsearch import dimension

_NORMS = {"none": "{conv} act", "after_conv": "{conv} norm act", "after_act": "{conv} act norm"}
_DROPS = ("block", "none", "conv")


@dimension
def norm_dropout(
    hp,
    plan,
    *,
    norm=("after_conv", "none", "after_act"),
    drop=("block", "none", "conv"),
    max_rate=0.5,
    step=0.05,
    rise=(0.0,),
):
    """The places of batch normalisation and dropout in each block, and the dropout rate.

    One dimension draws both places because they affect each other (Li et al. 2018, arXiv:1801.05134).
    Strided convolutions are normalised too if `downsampling` comes before this dimension.

    Args:
        norm: `after_conv` (Ioffe & Szegedy 2015), `after_act`, or `none`.
        drop: at the end of each `block`, after each `conv` with its activation, or `none`.
        max_rate: the highest dropout rate of any block.
        step: steps of the rate, from 0.
        rise: how much the rate grows from block to block, up to `max_rate`.
    """
    _check(norm, drop, max_rate, step, rise)
    place, where = hp.Choice("norm", norm), hp.Choice("drop", drop)
    blocks = [_normalised(block, place) for block in plan.blocks]
    if where == "none":
        return plan.replace(blocks=blocks)
    rate, growth = hp.Float("rate", 0.0, max_rate, step=step), hp.Choice("rise", rise)
    rates = [round(min(rate + at * growth, max_rate), 6) for at in range(len(blocks))]
    unit = "act norm" if place == "after_act" else "act"
    dropped = (_dropped(block, where, unit, rate) for block, rate in zip(blocks, rates, strict=True))
    return plan.replace(blocks=tuple(dropped))


def _normalised(block, place):
    for conv in ("conv", "down"):
        block = block.rewrite(f"{conv} act", _NORMS[place].format(conv=conv))
    return block


def _dropped(block, where, unit, rate):
    # at rate 0 the word is left out, so that plans with the same network are equal and trained once
    if not rate:
        return block
    if where == "conv":
        return block.rewrite(unit, f"{unit} drop").replace(rate=rate)
    return block.replace(layers=(*block.layers, "drop"), rate=rate)


def _check(norm, drop, max_rate, step, rise):
    if not set(norm) <= set(_NORMS):
        raise ValueError(f"norm must be among {', '.join(_NORMS)}, got {norm}")
    if not set(drop) <= set(_DROPS):
        raise ValueError(f"drop must be among {', '.join(_DROPS)}, got {drop}")
    if not 0 < step <= max_rate < 1:
        raise ValueError(f"expected 0 < step <= max_rate < 1, got step={step} and max_rate={max_rate}")
    if any(growth < 0 for growth in rise):
        raise ValueError(f"rise must be numbers of at least 0, got {rise}")
