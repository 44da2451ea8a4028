"""Smaller training images in the first epochs."""

from cnnsearch import dimension


@dimension
def progressive_size(hp, plan, *, first=(1.0, 0.75, 0.5), share=(0.5,)):
    """How large the training images are in the first epochs; an epoch of smaller images takes less time.

    Validation has whole images, so a trial scores low while its images are small. Rungs and pruners compare trials
    at the same epoch and may stop it too early: use --scheduler none --pruner none. The head must reduce by average
    or max.
    Howard 2018, fast.ai's entry to DAWNBench (www.fast.ai/posts/2018-08-10-fastai-diu-imagenet.html).

    Args:
        first: both sides in the first epochs, as a part of the image's; 1.0 for whole images.
        share: how many epochs these are, as a part of all.
    """
    if not all(0 < size <= 1 for size in first) or not all(0 < part <= 1 for part in share):
        raise ValueError(f"first and share must be above 0 and at most 1, got {first} and {share}")
    size = hp.Choice("first", first)
    if size == 1:
        return plan
    return plan.replace(sizes=(size,) * round(hp.Choice("share", share) * plan.epochs))
