from cnnsearch import dimension


@dimension
def edits_in_place(hp, plan):
    """How large a step is."""
    plan.optimizer[1]["learning_rate"] = hp.Choice("rate", [0.001, 0.01])
    return plan
