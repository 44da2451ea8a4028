"""The momentum of SGD."""

from cnnsearch import dimension


@dimension
def momentum(hp, plan, *, choices=(0.9, 0.85, 0.95)):
    """How much momentum SGD has, by Nesterov's rule (Sutskever et al. 2013, proceedings.mlr.press/v28/sutskever13).

    Its place is after `optimizer`. Other optimizers are not changed.

    Args:
        choices: the part of the last step that is added to the next.
    """
    if not all(0 <= amount < 1 for amount in choices):
        raise ValueError(f"choices must be numbers from 0 to below 1, got {choices}")
    if plan.optimizer[0] != "SGD":
        return plan
    amount = hp.Choice("amount", choices)
    return plan.configure("optimizer", momentum=amount, nesterov=amount > 0)
