"""Label smoothing."""

from cnnsearch import dimension


@dimension
def label_smoothing(hp, plan, *, max=0.2, step=0.05):
    """How much of each label is spread evenly over all classes (Szegedy et al. 2015, arXiv:1512.00567).

    Args:
        max: the largest share that is spread.
        step: steps of the share, from 0.
    """
    if not 0 < step <= max < 1:
        raise ValueError(f"expected 0 < step <= max < 1, got step={step} and max={max}")
    amount = round(hp.Float("amount", 0.0, max, step=step), 6)
    return plan.configure("loss", label_smoothing=amount) if amount else plan
