from cnnsearch import dimension


@dimension
def unknown_layer(hp, plan):
    """How much noise is added."""
    return plan.replace(augment=(("GausianNoise", {"stddev": hp.Choice("stddev", [0.1, 0.2])}),))
