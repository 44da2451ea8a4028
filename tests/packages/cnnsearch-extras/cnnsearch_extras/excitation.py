"""Squeeze and excitation, of channels and of places, in words that plans have already."""

from cnnsearch import dimension


def _channels(ratio):
    return (
        ("GlobalAveragePooling2D", {"keepdims": True}),
        ("Conv2D", {"filters": f"=filters/{ratio}", "kernel_size": 1, "activation": "relu"}),
        ("Conv2D", {"filters": "=filters", "kernel_size": 1, "activation": "sigmoid"}),
    )


_PLACES = (("Conv2D", {"filters": 1, "kernel_size": 1, "activation": "sigmoid"}),)


@dimension
def excitation(hp, plan, *, kinds=("none", "channels", "places", "both"), ratio=(4, 8)):
    """What each block's image is weighed by: its channels, its places, or both (Roy et al. 2018, arXiv:1803.02579).

    Stands after the dimension that makes the blocks.

    Args:
        kinds: `none`, `channels`, `places`, or `both`, the larger of the two.
        ratio: the channels' gate is that many times narrower than the block.
    """
    kind = hp.Choice("kind", kinds)
    if kind == "none":
        return plan
    ways = {"places": [("Multiply", {"paths": ["", _PLACES]})]}
    if kind != "places":
        ways["channels"] = [("Multiply", {"paths": ["", _channels(hp.Choice("ratio", ratio))]})]
    if kind == "both":
        ways["both"] = [("Maximum", {"paths": [ways["channels"], ways["places"]]})]
    weighed = (block.before_pooling(ways[kind]) if "conv" in block.layers else block for block in plan.blocks)
    return plan.replace(blocks=tuple(weighed))
