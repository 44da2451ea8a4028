"""Dataset and split: what fits together, what is told apart, and one honest cut."""

import dataclasses

import numpy as np
import pytest

from cnnsearch.data import Dataset, split
from cnnsearch.errors import DataError

CLASSES = ("cat", "dog", "gnu")


def numbered(*counts, **parts):
    """A dataset whose every image holds its own number, with `counts` images a class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = labels[np.random.default_rng(0).permutation(len(labels))]
    return Dataset("numbered", images(range(len(labels))), labels, CLASSES, **parts)


def images(numbers):
    numbers = np.array(numbers, np.uint32)
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 2, 2)


def numbers(part):
    return np.ascontiguousarray(part).reshape(-1).view(np.uint32).tolist()


def line(function, *arguments, **options):
    with pytest.raises(DataError) as caught:
        function(*arguments, **options)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_images_and_labels_get_their_usual_shape():
    data = Dataset("one", images([1, 2]), np.array([[0], [1]], np.uint8), ["cat", "dog"])
    assert data.x.shape == (2, 2, 2, 1) and data.input_shape == (2, 2, 1)
    assert data.y.tolist() == [0, 1] and data.y.dtype == np.int64 and data.classes == ("cat", "dog")


@pytest.mark.parametrize("fault, words", [
    ({"x": images(range(4)) / 255}, "x is float64 of shape (4, 2, 2, 1); expected uint8 of shape"),
    ({"x": images(range(4)).reshape(4, 4)}, "x is uint8 of shape (4, 4); expected"),
    ({"x": images([]), "y": np.array([], int)}, "there are no training images."),
    ({"y": np.arange(3)}, "y is int64 of shape (3,) for 4 images; expected 4 integers."),
    ({"y": np.eye(4)}, "y is float64 of shape (4, 4) for 4 images"),
    ({"y": np.array([0, 1, 2, 3])}, "y has labels from 0 to 3; with 3 classes they must be 0 to 2."),
    ({"y": np.array([0, 1, 2, -1])}, "y has labels from -1 to 2; with 3 classes they must be 0 to 2."),
    ({"y": np.zeros(4, int)}, "there is one class only"),
    ({"classes": ("cat",)}, "there is one class only"),
    ({"x_val": images([1])}, "x_val and y_val go together, but only one is there."),
    ({"y_test": np.array([1])}, "x_test and y_test go together, but only one is there."),
    ({"x_test": np.zeros((1, 3, 2), np.uint8), "y_test": [0]}, "x_test holds images of (3, 2, 1), x of"),
    ({"x_val": images([1]), "y_val": [5]}, "y_val has labels from 5 to 5"),
    ({"x_test": images([]), "y_test": np.array([], int)}, "x_test holds no images; leave it out"),
    ({"x_val": images([]), "y_val": np.array([], int)}, "x_val holds no images; leave it out"),
])  # fmt: skip
def test_what_does_not_fit_is_said(fault, words):
    content = {"x": images(range(4)), "y": np.array([0, 1, 2, 0]), "classes": CLASSES} | fault
    assert line(Dataset, "one", **content).startswith(f"one: {words}")


def test_the_fingerprint_tells_contents_apart():
    data = numbered(4, 4, 4)
    part = {"x": data.x[:2], "y": data.y[:2]}
    others = [
        numbered(4, 4, 5),
        dataclasses.replace(data, classes=("cat", "dog", "emu")),
        dataclasses.replace(data, y=(data.y + 1) % 3),
        dataclasses.replace(data, x=data.x + 1),
        dataclasses.replace(data, x=data.x[:, ::-1]),
        dataclasses.replace(data, x_val=part["x"], y_val=part["y"]),
        dataclasses.replace(data, x_test=part["x"], y_test=part["y"]),
    ]
    assert len({other.fingerprint for other in [data, *others]}) == len(others) + 1


def test_the_fingerprint_asks_neither_for_the_name_nor_for_the_layout_in_memory():
    data = numbered(4, 4, 4)
    same = Dataset("other", np.asfortranarray(data.x), data.y.astype(np.uint8), list(CLASSES))
    assert same.fingerprint == data.fingerprint and len(data.fingerprint) == 16


def test_the_parts_are_disjoint_and_whole():
    data = numbered(300, 200, 100)
    parts = split(data, seed=1)
    found = [numbers(part) for part in (parts.x, parts.x_val, parts.x_test)]
    assert sorted(number for part in found for number in part) == list(range(600))
    assert [len(part) for part in found] == [400, 80, 120]


def test_labels_stay_with_their_images():
    data = numbered(30, 20, 10)
    parts = split(data, seed=1)
    for x, y in ((parts.x, parts.y), (parts.x_val, parts.y_val), (parts.x_test, parts.y_test)):
        assert data.y[numbers(x)].tolist() == y.tolist()


def test_every_part_has_the_classes_in_proportion():
    parts = split(numbered(300, 200, 100), seed=1)
    counts = [np.bincount(labels).tolist() for labels in (parts.y, parts.y_val, parts.y_test)]
    assert counts == [[200, 133, 67], [40, 27, 13], [60, 40, 20]]


def test_the_seed_alone_decides():
    data = numbered(300, 200, 100)
    np.random.seed(5)
    first = numbers(split(data, seed=1).x_val)
    np.random.seed(6)
    assert numbers(split(data, seed=1).x_val) == first
    assert numbers(split(data, seed=2).x_val) != first


def test_parts_that_are_brought_stay():
    own = {"x_test": images([900]), "y_test": [0], "x_val": images([901]), "y_val": [1]}
    data = numbered(3, 2, 1, **own)
    parts = split(data, seed=1)
    assert (numbers(parts.x), numbers(parts.x_val), numbers(parts.x_test)) == (list(range(6)), [901], [900])


def test_only_what_is_missing_is_split_off():
    tested = split(numbered(30, 20, 10, x_test=images([900]), y_test=[0]), seed=1)
    assert (len(tested.x), len(tested.x_val), numbers(tested.x_test)) == (50, 10, [900])
    validated = split(numbered(30, 20, 10, x_val=images([900]), y_val=[0]), seed=1)
    assert (len(validated.x), numbers(validated.x_val), len(validated.x_test)) == (48, [900], 12)


def test_validation_sets_the_share():
    assert len(split(numbered(30, 20, 10), seed=1, validation=0.5).x_val) == 24


@pytest.mark.parametrize("counts", [(90, 90, 1), (90, 90, 2), (1, 1, 1), (2, 2, 2)])
def test_a_class_too_rare_for_every_part_is_said(counts):
    message = line(split, numbered(*counts), seed=1)
    name = CLASSES[int(np.argmin(counts))]
    assert message.startswith(f"numbered: class '{name}' has {min(counts)} of {sum(counts)} images, too few to")
    assert message.endswith("Give it more images, or bring a validation and a test set.")


def test_classes_without_any_image_do_not_hinder():
    data = Dataset("gap", images(range(40)), np.tile([0, 2], 20), CLASSES)
    assert set(split(data, seed=1).y_val) == {0, 2}
