"""A constant factor of the network's last features."""

from cnnsearch import dimension


@dimension
def output_scaling(hp, plan, *, divisor=(1, 9)):
    """By which number the features are divided before the last dense layer, which makes its outputs smaller.

    From airbench94 (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench), where the outputs are divided by 9.
    With dense layers in the head, the output of each of them is divided.

    Its place is after `head` and after the dimensions that edit the blocks.

    Args:
        divisor: the number; 1 changes nothing.
    """
    if any(number < 1 for number in divisor):
        raise ValueError(f"divisor must be numbers of at least 1, got {divisor}")
    number = hp.Choice("divisor", divisor)
    if number == 1:
        return plan
    scaled = ("Rescaling", {"scale": round(1 / number, 6)})
    if plan.head.widths or not plan.blocks:
        return plan.replace(head=plan.head.replace(layers=(*plan.head.layers, scaled)))
    # before the reduction: a maximum and a mean of scaled features are the same as scaled ones of both
    last = plan.blocks[-1]
    return plan.replace(blocks=(*plan.blocks[:-1], last.replace(layers=(*last.layers, scaled))))
