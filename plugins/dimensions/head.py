"""The layers between the last image and the classes."""

from cnnsearch import Head, dimension

_SENTENCES = {"none": "dense act", "after_dense": "dense norm act", "after_act": "dense act norm"}
_REDUCTIONS = ("flatten", "average", "max")


@dimension
def head(
    hp,
    plan,
    *,
    reduce=("flatten", "average", "max"),
    depth=(1, 0, 2),
    width=(128, 64, 256),
    norm=("none", "after_dense", "after_act"),
    max_rate=0.5,
    step=0.05,
):
    """How the image becomes a vector, and the dense layers between it and the classes.

    Args:
        reduce: `flatten`, or the global `average` (Lin et al. 2013, arXiv:1312.4400) or `max` of each filter.
        depth: dense layers before the output layer.
        width: units of a dense layer, drawn for each layer (`width1`, `width2`, ...).
        norm: batch normalisation `after_dense`, `after_act`, or `none`.
        max_rate: the highest dropout rate after a dense layer; 0 for no dropout.
        step: steps of the rate, from 0.
    """
    _check(reduce, depth, width, norm, max_rate, step)
    vector, layers = hp.Choice("reduce", reduce), hp.Choice("depth", depth)
    if not layers:
        return plan.replace(head=Head(vector, activation=plan.head.activation))
    widths = tuple(hp.Choice(f"width{number}", width) for number in range(1, layers + 1))
    words = _SENTENCES[hp.Choice("norm", norm)]
    rate = round(hp.Float("rate", 0.0, max_rate, step=step), 6) if max_rate else 0.0
    # at rate 0 the word is left out, so that plans with the same network are equal and trained once
    words += " drop" if rate else ""
    return plan.replace(head=Head(vector, widths, words, rate, plan.head.activation))


def _check(reduce, depth, width, norm, max_rate, step):
    if not set(reduce) <= set(_REDUCTIONS):
        raise ValueError(f"reduce must be among {', '.join(_REDUCTIONS)}, got {reduce}")
    if not set(norm) <= set(_SENTENCES):
        raise ValueError(f"norm must be among {', '.join(_SENTENCES)}, got {norm}")
    if not all(0 <= layers <= 64 for layers in depth):
        raise ValueError(f"depth must be numbers from 0 to 64, got {depth}")
    if any(units < 1 for units in width):
        raise ValueError(f"width must be numbers of at least 1, got {width}")
    if max_rate and not 0 < step <= max_rate < 1:
        raise ValueError(f"expected 0 < step <= max_rate < 1, got step={step} and max_rate={max_rate}")
