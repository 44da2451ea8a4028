"""RandomAffine moves what it is told to move, about the centre, and only while training."""

from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from cnnsearch.training.keras_objects import layer
from cnnsearch.training.layers import MODES, RandomAffine, RandomResizedCrop, RandomShift

Images = NDArray[np.float32]


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).random((6, 9, 12, 3), dtype=np.float32)


def moved(images: Images, training: bool = True, **config: Any) -> Images:
    return keras.ops.convert_to_numpy(RandomAffine(**config)(images, training=training))


def fixed(images: Images, *draws: float, **config: Any) -> Images:
    """`images` under one transform: draws for turn, shear, zoom, mirror, x and y, from -1 to 1."""
    affine = RandomAffine(**config)
    chosen = keras.ops.tile(keras.ops.reshape(keras.ops.array(draws, "float32"), (6, 1)), (1, len(images)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.random, "uniform", lambda *args, **kwargs: chosen)
        return keras.ops.convert_to_numpy(affine(images, training=True))


@pytest.mark.parametrize("mode", MODES)
def test_nothing_asked_for_changes_nothing(images: Images, mode: str) -> None:
    np.testing.assert_array_equal(moved(images, fill_mode=mode), images)


def test_images_pass_unchanged_outside_training(images: Images) -> None:
    np.testing.assert_array_equal(moved(images, training=False, rotation=90, flip=True), images)


def test_a_seed_gives_the_same_images_again(images: Images) -> None:
    config = {"rotation": 20, "shift": 0.2, "shear": 10, "zoom": 0.2, "flip": True}
    np.testing.assert_array_equal(moved(images, seed=3, **config), moved(images, seed=3, **config))
    assert (moved(images, seed=3, **config) != moved(images, seed=4, **config)).any()


def test_each_call_and_each_image_gets_its_own_transform() -> None:
    same = np.tile(np.random.default_rng(0).random((1, 8, 8, 1), dtype=np.float32), (4, 1, 1, 1))
    affine = RandomAffine(rotation=30, seed=0)
    first, second = (keras.ops.convert_to_numpy(affine(same, training=True)) for _ in range(2))
    assert (first[0] != first[1]).any() and (first != second).any()


def test_a_shift_moves_pixels_right_and_down(images: Images) -> None:
    shifted = fixed(images, 0, 0, 0, 0, 1, 1, shift=1 / 3, fill_mode="constant")
    np.testing.assert_allclose(shifted[:, 3:, 4:], images[:, :-3, :-4], atol=1e-5)
    assert not shifted[:, :2].any() and not shifted[:, :, :3].any()


def test_a_flip_mirrors_left_to_right(images: Images) -> None:
    np.testing.assert_allclose(fixed(images, 0, 0, 0, -1, 0, 0, flip=True), images[:, :, ::-1], atol=1e-6)
    np.testing.assert_array_equal(fixed(images, 0, 0, 0, 1, 0, 0, flip=True), images)


def test_about_half_of_the_images_are_flipped() -> None:
    ramp = np.tile(np.arange(4, dtype=np.float32), (400, 3, 1))[..., None]
    flipped = moved(ramp, flip=True, seed=0)[:, 0, 0, 0] > 1
    assert 150 < flipped.sum() < 250


@pytest.mark.parametrize("shape", [(2, 8, 8, 1), (2, 9, 9, 1)])
def test_a_turn_is_about_the_centre(shape: tuple[int, ...]) -> None:
    square = np.random.default_rng(0).random(shape, dtype=np.float32)
    np.testing.assert_allclose(fixed(square, 1, 0, 0, 0, 0, 0, rotation=180), square[:, ::-1, ::-1], atol=1e-4)
    turned = fixed(square, 1, 0, 0, 0, 0, 0, rotation=90)
    np.testing.assert_allclose(turned, np.rot90(square, 1, axes=(1, 2)), atol=1e-4)


def test_zoom_enlarges_about_the_centre() -> None:
    dot = np.zeros((1, 9, 9, 1), np.float32)
    dot[0, 3:6, 3:6] = 1
    bigger = fixed(dot, 0, 0, 1, 0, 0, 0, zoom=0.9)
    assert bigger.sum() > 2.5 * dot.sum()
    np.testing.assert_allclose(bigger, bigger[:, ::-1, ::-1], atol=1e-5)
    assert fixed(dot, 0, 0, -1, 0, 0, 0, zoom=0.5).sum() < dot.sum()


def test_a_shear_slants_and_keeps_the_middle_row() -> None:
    column = np.zeros((1, 9, 9, 1), np.float32)
    column[:, :, 4] = 1
    slanted = fixed(column, 0, 1, 0, 0, 0, 0, shear=45, fill_mode="constant")
    np.testing.assert_allclose(slanted[0, :, :, 0], np.eye(9)[::-1], atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_pixels_stay_within_their_bounds(images: Images, mode: str) -> None:
    wild = moved(images, rotation=180, shift=0.5, shear=40, zoom=0.9, flip=True, fill_mode=mode)
    assert wild.shape == images.shape
    assert -1e-6 <= wild.min() and wild.max() <= 1 + 1e-6


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_it_runs_inside_a_model_under_every_policy(policy: str, channels: int) -> None:
    affine = RandomAffine(rotation=10, shift=0.1, flip=True, dtype=policy)
    model = keras.Sequential([keras.Input((7, 8, channels)), affine])
    assert model.output_shape == (None, 7, 8, channels)
    assert model.predict(np.ones((5, 7, 8, channels)), verbose=0).shape == (5, 7, 8, channels)
    assert keras.backend.standardize_dtype(affine(np.ones((2, 7, 8, channels)), training=True).dtype) == (
        affine.compute_dtype
    )


def test_its_configuration_makes_the_same_layer() -> None:
    config = {
        "rotation": 10,
        "shift": 0.1,
        "shear": 5,
        "zoom": 0.2,
        "flip": True,
        "fill_mode": "wrap",
        "seed": 7,
    }
    affine = layer(("RandomAffine", config))
    assert isinstance(affine, RandomAffine)
    assert affine.get_config().items() >= config.items()
    again = keras.layers.deserialize(keras.layers.serialize(affine))
    assert isinstance(again, RandomAffine) and again.get_config() == affine.get_config()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"fill_mode": "mirror"}, "one of nearest, constant, reflect, wrap, got 'mirror'"),
        ({"rotation": -1}, "must be at least 0"),
        ({"zoom": 1}, "zoom below 1"),
        ({"shear": 90}, "shear below 90"),
    ],
)
def test_nonsense_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomAffine(**config)


def test_a_shift_by_whole_pixels_is_a_window_of_the_reflected_image(images: Images) -> None:
    many = np.tile(images, (20, 1, 1, 1))
    found = keras.ops.convert_to_numpy(RandomShift(1, seed=2)(many, training=True))
    padded = np.pad(many, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
    windows = [padded[:, y : y + 9, x : x + 12] for y in range(3) for x in range(3)]
    same = np.stack([(window == found).all((1, 2, 3)) for window in windows])
    assert (same.sum(0) == 1).all() and same.any(1).all(), "each image is one window, and each window is drawn"
    np.testing.assert_array_equal(RandomShift(1)(many), many)


def test_a_resized_crop_shows_a_part_of_the_image() -> None:
    # brightness rises from left to right, so a part has a smaller range of it
    image = np.broadcast_to(np.arange(20, dtype="float32")[:, None], (64, 20, 20, 1))
    found = keras.ops.convert_to_numpy(RandomResizedCrop(0.25, 1.0, seed=1)(image, training=True))
    width = (found[:, 0, -1, 0] - found[:, 0, 0, 0]) / 19
    assert np.allclose(found, found[:, :1], atol=1e-4) and 0.5 <= width.min() < 0.6 and 0.9 < width.max() <= 1
    assert (found >= 0).all() and (found <= 19.001).all() and len(np.unique(found[:, 0, 0, 0].round(2))) > 20
