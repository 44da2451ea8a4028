"""The learning rate."""

from cnnsearch import dimension


@dimension
def learning_rate(hp, plan, *, min=3e-4, max=1e-2, sgd_min=3e-3, sgd_max=0.3):
    """How large the learning rate is, on a logarithmic scale.

    Its place is after `optimizer`: SGD needs larger rates than adaptive optimizers and has its own range.

    Args:
        min: the smallest rate.
        max: the largest rate.
        sgd_min: the smallest rate of SGD.
        sgd_max: the largest rate of SGD.
    """
    for low, high in ((min, max), (sgd_min, sgd_max)):
        if not 0 < low <= high:
            raise ValueError(f"expected rates above 0, the smallest first, got {low} to {high}")
    if plan.optimizer[0] == "SGD":
        return plan.configure("optimizer", learning_rate=_draw(hp, "sgd", sgd_min, sgd_max, 0.05))
    return plan.configure("optimizer", learning_rate=_draw(hp, "rate", min, max, 0.001))


def _draw(hp, name, low, high, usual):
    return hp.Float(name, low, high, sampling="log", default=sorted((low, usual, high))[1])
