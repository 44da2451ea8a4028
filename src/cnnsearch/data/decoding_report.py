"""What is known of decoded images: stored beside them in the image cache, and told to the user."""

from collections.abc import Iterator
from typing import Any, NamedTuple

DARK = 4096
"""If no value of the 16-bit images is as high as this, few grey levels are left in 8 bits."""

WORDS = {"stretch": "stretched", "crop": "cropped", "pad": "padded"}


class DecodingReport(NamedTuple):
    """What is stored beside the images in the cache, as JSON with these keys.

    Attributes:
        shape: (height, width, channels) of the images.
        counts: the number of images of each part.
        left: the indices of the files that could not be read, for each part.
        refused: (part, index) of those that the system, not the decoder, could not read.
        deep: the highest value of 16-bit images; 0 if there are none.
        reason: why the first of `left` could not be read.
        sizes: how many different sizes the files have.
        one: (width, height) of the files if all have the same.
        resized: whether any file had another size than the images.
    """

    shape: tuple[int, ...]
    counts: dict[str, int]
    left: dict[str, list[int]]
    refused: list[tuple[str, int]]
    deep: int
    reason: str
    sizes: int
    one: tuple[int, int] | None
    resized: bool

    @classmethod
    def from_dict(cls, known: dict[str, Any]) -> "DecodingReport":
        """The report that is stored as `known`."""
        return cls(**{name: known[name] for name in cls._fields})

    def notes(self, count: int, size_given: bool, resize: str) -> Iterator[str]:
        """Lines for the user about `count` images, if they were resized or have few grey levels.

        Args:
            count: the number of files.
            size_given: whether the user gave the size.
            resize: one of `image_files.RESIZE`.
        """
        if self.resized:
            height, width, _ = self.shape
            sizes = f"{self.one[0]}x{self.one[1]}" if self.one else f"{self.sizes:,} sizes"
            other = "" if size_given else " Choose another size with --image-size."
            yield f"{count:,} pictures of {sizes}: resized to {width}x{height} ({WORDS[resize]}).{other}"
        if 0 < self.deep < DARK:
            levels = round(self.deep / 257) + 1
            yield (
                f"The 16-bit pictures have values up to {self.deep:,} of 65,535. Converted to 8 bits they keep "
                f"{levels} grey level{'s' * (levels > 1)}. Give them as a .npz file or .npy files to keep their values."
            )
