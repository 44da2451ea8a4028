"""A convolutional autoencoder before the network, for noisy images."""

from cnnsearch import Block, dimension


@dimension
def denoiser(hp, plan, *, depth=(2, 1), width=(32, 16, 64), growth=(2.0,), bottom=(2, 1, 0)):
    """The depth of a denoiser, its filters, and its convolutions on the smallest image.

    It is a stem; a trainer such as `denoise_first` trains it first, and then its weights do not change.

    Args:
        depth: convolutions with max pooling, and as many with upsampling.
        width: filters of the first convolution.
        growth: factor of the filters after each pooling.
        bottom: convolutions on the smallest image.
    """
    if not all(0 < halvings < 8 for halvings in depth) or any(filters < 1 for filters in width):
        raise ValueError(f"depth must be numbers from 1 to 7 and width at least 1, got {depth} and {width}")
    if not all(0 <= convs < 64 for convs in bottom):
        raise ValueError(f"bottom must be numbers from 0 to 63, got {bottom}")
    if any(factor <= 0 for factor in growth):
        raise ValueError(f"growth must be factors above 0, got {growth}")
    height, across, channels = plan.input_shape
    halvings, filters, middle = hp.Choice("depth", depth), hp.Choice("width", width), hp.Choice("bottom", bottom)
    factor = hp.Choice("growth", growth)
    if height % 2**halvings or across % 2**halvings:
        raise ValueError(f"images of {height}x{across} cannot be halved {halvings} times and doubled to the same size")
    widths = [max(1, round(filters * factor**level)) for level in range(halvings)]
    # pooling first: the layers after it have a quarter of the work
    down = [Block("conv pool norm act", each) for each in widths]
    between = [Block("conv norm act", widths[-1])] * middle
    up = [Block("conv norm act up", each) for each in reversed(widths)]
    # pixels are 0 to 1
    last = Block("conv act", channels, activation="sigmoid")
    return plan.replace(stem=(*down, *between, *up, last), stem_rate=0.0)
