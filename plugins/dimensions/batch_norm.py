"""The options of batch normalisation."""

from cnnsearch import dimension
from cnnsearch.spaces.sentences import each_item


@dimension
def batch_norm(hp, plan, *, scale=(True, False), momentum=(0.9, 0.6), bias_rate=(1.0, 64.0), epsilon=1e-5):
    """Whether normalisation has learned scales, how fast its averages follow, and the rate of its biases.

    Normalisation without scales, with a momentum of 0.6 and with 64 times the learning rate for its biases is from
    airbench94 (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench).

    Its place is after the dimensions that add normalisation to the blocks. Blocks of which none has any get it after
    each convolution.

    Args:
        scale: whether each channel has a learned scale.
        momentum: how much of the averages is kept in each step; validation uses them.
        bias_rate: factor of the learning rate for the biases.
        epsilon: is added to the variance.
    """
    if not all(0 <= share < 1 for share in momentum):
        raise ValueError(f"momentum must be numbers from 0 to below 1, got {momentum}")
    if any(rate <= 0 for rate in bias_rate) or epsilon <= 0:
        raise ValueError(f"bias_rate and epsilon must be above 0, got {bias_rate} and {epsilon}")
    config = {"momentum": hp.Choice("momentum", momentum), "scale": hp.Choice("scale", scale), "epsilon": epsilon}
    rate = hp.Choice("bias_rate", bias_rate)
    norm = ("BatchNormalization", config)
    if not any(item == "norm" for block in plan.blocks for item in each_item(block.layers)):
        plan = plan.replace(blocks=tuple(block.rewrite("conv act", "conv norm act") for block in plan.blocks))
    plan = plan.replace(blocks=tuple(block.rewrite("norm", norm) for block in plan.blocks))
    return plan if rate == 1 else plan.replace(groups=(*plan.groups, ("/beta$", {"rate": rate})))
