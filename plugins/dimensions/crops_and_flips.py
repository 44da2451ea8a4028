"""Shifts by whole pixels, flips and cut-outs of training images."""

from cnnsearch import dimension

_FLIPS = ("alternating", "random", "none")


@dimension
def crops_and_flips(hp, plan, *, flip=("alternating", "random", "none"), shift=(2, 0, 4), cutout=(0, 8)):
    """How training images are mirrored, shifted by whole pixels, and partly covered.

    An alternating flip mirrors half of the images, and in the next epoch the other half. It is from airbench94
    (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench), and so is the shift with reflected edges.

    Args:
        flip: `alternating`, `random` or `none`; for digits and letters only `none`.
        shift: the largest shift in each direction, in pixels.
        cutout: side of the square that is covered in grey (DeVries and Taylor 2017, arXiv:1708.04552), in pixels;
            0 for none. It is at most half of the image's side.
    """
    if not set(flip) <= set(_FLIPS):
        raise ValueError(f"flip must be among {', '.join(_FLIPS)}, got {flip}")
    if any(side < 0 for side in (*shift, *cutout)):
        raise ValueError(f"shift and cutout must be numbers of at least 0, got {shift} and {cutout}")
    least = min(plan.input_shape[:2])
    mirror, pixels, side = hp.Choice("flip", flip), hp.Choice("shift", shift), hp.Choice("cutout", cutout)
    # an image of one pixel has nothing to reflect
    pixels, side = min(pixels, least - 1), min(side, least // 2)
    layers = []
    # the flip comes first: which half an image belongs to depends on its pixels
    if mirror != "none":
        layers.append(("AlternatingFlip", {}) if mirror == "alternating" else ("RandomFlip", {"mode": "horizontal"}))
    if pixels:
        layers.append(("RandomShift", {"pixels": pixels}))
    if side:
        share = round((side / least) ** 2, 6)
        covered = {"factor": [1.0, 1.0], "scale": [share, share], "fill_value": 0.5, "value_range": [0, 1]}
        layers.append(("RandomErasing", covered))
    return plan.replace(augment=(*plan.augment, *layers))
