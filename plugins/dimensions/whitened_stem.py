"""A first convolution of small windows without padding, whose filters may whiten the image."""

from cnnsearch import Block, dimension

_KINDS = ("learned", "whitened", "none")


@dimension
def whitened_stem(hp, plan, *, kinds=("learned", "whitened", "none"), kernel=2, bias_epochs=3, epsilon=5e-4):
    """Whether a first convolution comes before the blocks, and whether its filters are learned or computed.

    `whitened`: its filters remove the correlation between the pixels of a patch and are computed from the training
    images; they do not change, and their bias is trained in the first epochs. From airbench94 (arXiv:2404.00498;
    github.com/KellerJordan/cifar10-airbench), which has it from Page (2018).

    Its place is after the dimensions that edit all blocks, such as `filters` and `activation`.

    Args:
        kinds: `learned`, `whitened`, or `none` for no such convolution.
        kernel: the side of its window, in pixels. It has twice as many filters as a window has numbers.
        bias_epochs: for so many epochs the bias of whitening filters is trained; 0: always.
        epsilon: is added to the variance of each component of a patch.
    """
    if not set(kinds) <= set(_KINDS):
        raise ValueError(f"kinds must be among {', '.join(_KINDS)}, got {kinds}")
    if kernel < 1 or bias_epochs < 0 or epsilon <= 0:
        raise ValueError(f"expected {kernel=} of at least 1, {bias_epochs=} of at least 0 and {epsilon=} above 0")
    kind = hp.Choice("kind", kinds)
    if kind == "none":
        return plan
    filters = 2 * plan.input_shape[2] * kernel**2
    activation = plan.blocks[0].activation if plan.blocks else plan.head.activation
    first = Block((("Conv2D", {"filters": filters, "kernel_size": kernel}), "act"), filters, activation=activation)
    plan = plan.replace(blocks=(first, *plan.blocks))
    if kind == "learned":
        return plan
    name = "block1_1_conv2d"
    bias = {"decay": False, "until": bias_epochs}
    return plan.replace(
        initial=((f"^{name}$", ("Whitening", {"epsilon": epsilon})), *plan.initial),
        groups=((f"{name}/kernel", {"rate": 0}), (f"{name}/bias", bias), *plan.groups),
    )
