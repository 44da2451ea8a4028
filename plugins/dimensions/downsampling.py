"""How a block halves its image."""

from cnnsearch import dimension

_WORDS = {"pool": "pool", "avgpool": "avgpool", "down": "down act"}


@dimension
def downsampling(hp, plan, *, choices=("pool", "avgpool", "down"), kernel=(0,)):
    """What halves the image: max pooling, average pooling or a strided convolution.

    Args:
        choices: `pool`, `avgpool`, or `down`, a convolution of stride 2 with its activation
            (Springenberg et al. 2014, arXiv:1412.6806).
        kernel: window of the strided convolution; 0 for that of the block's other convolutions.
    """
    if not set(choices) <= set(_WORDS):
        raise ValueError(f"choices must be among {', '.join(_WORDS)}, got {choices}")
    if any(side < 0 for side in kernel):
        raise ValueError(f"kernel must be sides of at least 1 pixel, or 0 for the block's own, got {kernel}")
    kind = hp.Choice("kind", choices)
    if kind == "down":
        plan = plan.each_block(down_kernel=hp.Choice("kernel", kernel))
    return plan.replace(blocks=tuple(block.rewrite("pool", _WORDS[kind]) for block in plan.blocks))
