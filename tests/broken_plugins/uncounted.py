from cnnsearch import dimension


@dimension
def uncounted(hp, plan):
    """An activation whose weights no limit knows of."""
    axes = [1, 2] if hp.Boolean("shared") else None
    layer = ("PReLU", {"shared_axes": axes})
    return plan.replace(blocks=[block.replace(layers=(*block.layers, layer)) for block in plan.blocks])
