"""Random parts of training images, enlarged to the size of the image."""

from cnnsearch import dimension


@dimension
def resized_crop(hp, plan, *, least=(1.0, 0.5, 0.25), ratio=4 / 3):
    """How small a random part of each training image may be that is enlarged to the image's size.

    Szegedy et al. 2014, arXiv:1409.4842.

    Args:
        least: the smallest share of the area; 1.0 for whole images.
        ratio: how much more the part may be stretched in one direction than in the other.
    """
    if not all(0 < share <= 1 for share in least) or ratio < 1:
        raise ValueError(f"least must be above 0 and at most 1, and ratio at least 1, got {least} and {ratio}")
    share = hp.Choice("least", least)
    if share == 1:
        return plan
    return plan.replace(augment=(*plan.augment, ("RandomResizedCrop", {"least": share, "ratio": round(ratio, 6)})))
