"""A learning rate that grows with the batch size."""

import math

from cnnsearch import dimension


@dimension
def scaled_rate(hp, plan, *, min=1e-3, max=3e-2, sgd_min=0.1, sgd_max=4.0, per=1024):
    """How large the learning rate is for batches of 1024 images; other batches have a rate to match.

    The rate of SGD grows with the batch size (Goyal et al. 2017, arXiv:1706.02677), that of other optimizers with its
    square root (Malladi et al. 2022, arXiv:2205.10287).

    Its place is after `optimizer` and `batch_size`, in place of `learning_rate`. SGD has its own range.

    Args:
        min: the smallest rate.
        max: the largest rate.
        sgd_min: the smallest rate of SGD.
        sgd_max: the largest rate of SGD.
        per: images in the batch that the rates are for.
    """
    for low, high in ((min, max), (sgd_min, sgd_max)):
        if not 0 < low <= high:
            raise ValueError(f"expected rates above 0, the smallest first, got {low} to {high}")
    if per < 1:
        raise ValueError(f"per must be at least 1, got {per}")
    share = plan.batch_size / per
    if plan.optimizer[0] == "SGD":
        rate = _draw(hp, "sgd", sgd_min, sgd_max, 0.5) * share
    else:
        rate = _draw(hp, "rate", min, max, 0.003) * math.sqrt(share)
    return plan.configure("optimizer", learning_rate=round(rate, 9))


def _draw(hp, name, low, high, usual):
    return hp.Float(name, low, high, sampling="log", default=sorted((low, usual, high))[1])
