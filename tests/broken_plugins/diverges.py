from cnnsearch import dimension


@dimension
def diverges(hp, plan):
    """How large a step is, far too large."""
    return plan.configure("optimizer", learning_rate=hp.Choice("rate", [1e38, 1e37]))
