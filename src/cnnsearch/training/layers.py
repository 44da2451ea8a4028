"""Our own Keras layers. They are used only in training; no exported model contains them."""

import math
from typing import Any

import keras
from keras import ops

RADIAN = math.pi / 180
MODES = ("nearest", "constant", "reflect", "wrap")


@keras.saving.register_keras_serializable("cnnsearch")
class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Randomly rotates, shifts, shears, zooms and mirrors each image, with one interpolation.

    A layer for each of these interpolates once each, which is slower and blurs more.

    Args:
        rotation: the largest turn either way, in degrees.
        shift: the largest shift either way, as a fraction of the height and of the width.
        shear: the largest shear either way, in degrees.
        zoom: the largest change of scale either way, as a fraction: 0.1 is from 0.9 to 1.1.
        flip: whether half of the images are mirrored left to right.
        fill_mode: what lies outside the image, one of MODES.
        seed: for the same transforms again.
    """

    def __init__(
        self,
        rotation: float = 0.0,
        shift: float = 0.0,
        shear: float = 0.0,
        zoom: float = 0.0,
        flip: bool = False,
        fill_mode: str = "nearest",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if fill_mode not in MODES:
            raise ValueError(f"fill_mode must be one of {', '.join(MODES)}, got {fill_mode!r}")
        if min(rotation, shift, shear, zoom) < 0 or zoom >= 1 or shear >= 90:
            raise ValueError(
                "rotation, shift, shear and zoom must be at least 0, zoom below 1 and shear below 90; "
                f"got {rotation=}, {shift=}, {shear=}, {zoom=}"
            )
        self.rotation, self.shift, self.shear, self.zoom = rotation, shift, shear, zoom
        self.flip, self.fill_mode, self.seed = flip, fill_mode, seed
        self.generator = keras.random.SeedGenerator(seed)
        # XLA knows no kernel for TensorFlow's image transform
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        # half precision would round the coordinates of a transform
        moved = ops.image.affine_transform(
            ops.cast(images, "float32"),
            self._transforms(ops.shape(images)),
            fill_mode=self.fill_mode,
            fill_value=0.0,
            data_format="channels_last",
        )
        return ops.cast(moved, images.dtype)

    def _transforms(self, shape: Any) -> Any:
        """The eight numbers for each image that map a point of the output to a point of the input."""
        count, height, width = shape[0], float(shape[1]), float(shape[2])
        draw = keras.random.uniform((6, count), -1.0, 1.0, seed=self.generator)
        turn, slant = draw[0] * (self.rotation * RADIAN), ops.tan(draw[1] * (self.shear * RADIAN))
        scale = 1 / (1 + draw[2] * self.zoom)
        mirror = ops.where(draw[3] < 0, -1.0, 1.0) if self.flip else ops.ones_like(turn)
        cos, sin = ops.cos(turn) * scale, ops.sin(turn) * scale
        rows = (mirror * cos, mirror * (slant * cos - sin), sin, slant * sin + cos)
        x, y = (width - 1) / 2, (height - 1) / 2
        dx, dy = x + draw[4] * self.shift * width, y + draw[5] * self.shift * height
        a0, a1, b0, b1 = rows
        zeros = ops.zeros_like(turn)
        # about the centre: input = centre + matrix (output - centre - shift)
        return ops.stack([a0, a1, x - a0 * dx - a1 * dy, b0, b1, y - b0 * dx - b1 * dy, zeros, zeros], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = ("rotation", "shift", "shear", "zoom", "flip", "fill_mode", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable("cnnsearch")
class RandomShift(keras.layers.Layer):  # type: ignore[misc]
    """Shifts each image by whole pixels; the image is reflected at its edges.

    Keras' RandomTranslation interpolates pixels, and its RandomCrop does not shift each image by its own number.
    As in airbench94 (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench, legacy/airbench94.py).

    Args:
        pixels: the largest shift in each direction, less than the sides of the images.
        seed: for the same shifts again.
    """

    def __init__(self, pixels: int = 2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pixels < 0:
            raise ValueError(f"pixels must be at least 0, got {pixels}")
        self.pixels, self.seed = pixels, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        if not training or not self.pixels:
            return images
        most = 2 * self.pixels + 1
        shifts = keras.random.randint((2, ops.shape(images)[0]), 0, most, seed=self.generator)
        for axis in (1, 2):
            images = self._shifted(images, shifts[axis - 1], axis)
        return images

    def _shifted(self, images: Any, shifts: Any, axis: int) -> Any:
        """Images, each shifted along an axis by its own number."""
        edge = [(self.pixels, self.pixels) if at == axis else (0, 0) for at in range(4)]
        padded, side = ops.pad(images, edge, mode="reflect"), images.shape[axis]
        shifted = images
        # one choice among few windows is faster than gathering rows
        for start in range(2 * self.pixels + 1):
            window = padded[:, start : start + side] if axis == 1 else padded[:, :, start : start + side]
            shifted = ops.where(ops.equal(shifts, start)[:, None, None, None], window, shifted)
        return shifted

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pixels": self.pixels, "seed": self.seed}


@keras.saving.register_keras_serializable("cnnsearch")
class RandomResizedCrop(keras.layers.Layer):  # type: ignore[misc]
    """Enlarges a random part of each image to the size of the image (Szegedy et al. 2014, arXiv:1409.4842).

    Keras has no such layer: its RandomCrop keeps the scale, and its RandomZoom the centre.

    Args:
        least: the smallest share of the image's area that a part has, above 0; the largest is 1.
        ratio: the largest ratio of the part's sides to those of the image, at least 1; the smallest is its inverse.
        seed: for the same parts again.
    """

    def __init__(self, least: float = 0.25, ratio: float = 4 / 3, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < least <= 1 or ratio < 1:
            raise ValueError(f"least must be above 0 and at most 1, and ratio at least 1; got {least=}, {ratio=}")
        self.least, self.ratio, self.seed = least, ratio, seed
        self.generator = keras.random.SeedGenerator(seed)
        # XLA knows no kernel for TensorFlow's image transform
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        shape = ops.shape(images)
        draw = keras.random.uniform((4, shape[0]), seed=self.generator)
        area = self.least + (1 - self.least) * draw[0]
        stretch = ops.exp((draw[1] - 0.5) * math.log(self.ratio))
        # the part is as high and as wide as the image at most
        high, wide = (ops.minimum(ops.sqrt(area) * each, 1.0) for each in (stretch, 1 / stretch))
        top, left = draw[2] * (1 - high) * (shape[1] - 1.0), draw[3] * (1 - wide) * (shape[2] - 1.0)
        zeros = ops.zeros_like(area)
        parts = ops.stack([wide, zeros, left, zeros, high, top, zeros, zeros], axis=1)
        # half precision would round the coordinates
        found = ops.image.affine_transform(
            ops.cast(images, "float32"), parts, fill_mode="nearest", data_format="channels_last"
        )
        return ops.cast(found, images.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "least": self.least, "ratio": self.ratio, "seed": self.seed}
