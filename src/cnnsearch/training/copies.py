"""How many bytes of images a backend may copy at once."""

MOST = 256 << 20
"""Bytes of images that Keras may copy. It is the same on every machine, as other batches give other models."""


def too_many(*images: object) -> bool:
    """Whether these arrays are more than Keras may copy."""
    return sum(int(getattr(part, "nbytes", 0)) for part in images) > MOST
