"""A convolutional autoencoder before the network, for noisy images."""

from cnnsearch import Block, dimension


@dimension
def denoiser(hp, plan, *, depth=(2, 1), width=(32, 16, 64)):
    """How often a denoiser halves the image and doubles it again, and its filters.

    It is a stem that the classifier's training leaves alone; a trainer such as `denoise_first` trains it before.

    Args:
        depth: convolutions with max pooling, and as many with upsampling.
        width: filters of each.
    """
    height, across, channels = plan.input_shape
    halvings, filters = hp.Choice("depth", depth), hp.Choice("width", width)
    if height % 2**halvings or across % 2**halvings:
        raise ValueError(f"images of {height}x{across} cannot be halved {halvings} times and doubled to the same size")
    down = [Block("conv norm act pool", filters)] * halvings
    up = [Block("conv norm act up", filters)] * halvings
    # values of pixels, 0 to 1
    last = Block("conv act", channels, activation="sigmoid")
    return plan.replace(stem=(*down, *up, last), stem_rate=0.0)
