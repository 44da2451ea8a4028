"""Weight decay."""

from cnnsearch import dimension


@dimension
def weight_decay(hp, plan, *, choices=(0.0, 1e-4, 1e-3, 1e-2)):
    """How strongly weights decay, apart from the gradient (Loshchilov & Hutter 2017, arXiv:1711.05101).

    Its place is after `optimizer`. With decay, Adam becomes AdamW.

    Args:
        choices: the share of each weight that is subtracted in a step, times the learning rate.
    """
    if any(amount < 0 for amount in choices):
        raise ValueError(f"choices must be numbers of at least 0, got {choices}")
    amount = hp.Choice("amount", choices)
    # AdamW has decay by default, so 0 must be set
    if not amount and "weight_decay" not in plan.optimizer[1]:
        return plan
    # Keras' Muon has another decay for the weights that AdamW trains
    more = {"adam_weight_decay": amount} if plan.optimizer[0] == "Muon" else {}
    return plan.configure("optimizer", weight_decay=amount, **more)
