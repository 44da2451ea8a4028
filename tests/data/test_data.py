"""Dataset and split: what fits together, what is told apart, and one honest cut."""

import dataclasses

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from cnnsearch.core.errors import DataError
from cnnsearch.data import pixel_values
from cnnsearch.data.dataset import IMAGES, Dataset
from cnnsearch.data.splits import split, split_again, stratified

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
    ({"x": images(range(4)).reshape(4, 4)}, f"x is uint8 of shape (4, 4); expected {IMAGES}. Shape flat images by `x."),
    ({"x": np.zeros((4, 5))}, "x is float64 of shape (4, 5); expected numbers of shape"),
    ({"x": np.zeros((4, 2, 2, 2, 1))}, "x is float64 of shape (4, 2, 2, 2, 1); expected numbers of shape"),
    ({"x": images(range(4)) + 1j}, "x is complex numbers (complex128); expected images of numbers"),
    ({"x": images(range(4)).astype(str)}, "x is text (<U3); expected images of numbers"),
    ({"x": images(range(4)).astype(object)}, "x is Python objects (object); expected images of numbers"),
    ({"x": [np.zeros((2, 2)), np.zeros((3, 2))]}, "x holds images of several shapes; expected"),
    ({"x": np.zeros((4, 3, 8, 8))}, "x of shape (4, 3, 8, 8) has its channels first; expected them last."),
    ({"x": np.array([0, 0, np.nan, 0]).reshape(4, 1, 1)}, "image 2 of x holds NaN; expected finite numbers."),
    ({"x": np.array([0, 0, 0, np.inf]).reshape(4, 1, 1)}, "image 3 of x holds an infinite number; expected"),
    ({"x": np.array([0, 1, 2, 1e300]).reshape(4, 1, 1)}, "x holds numbers up to 1e+300; expected numbers that float32"),
    ({"x": images([]), "y": np.array([], int)}, "there are no training images."),
    ({"y": np.arange(3)}, "y is int64 of shape (3,) for 4 images; expected one label for each, of shape (4,) or"),
    ({"y": np.zeros(4, int)}, "there is one class only"),
    ({"classes": ("cat",)}, "y holds 3 different labels, such as '0', but classes has 1 names; expected labels 0 to 0"),
    ({"x_val": images([1])}, "expected both x_val and y_val, but only one is given."),
    ({"y_test": np.array([1])}, "expected both x_test and y_test, but only one is given."),
    ({"x_test": np.zeros((1, 3, 2), np.uint8), "y_test": [0]}, "x_test holds images of (3, 2, 1), x of"),
    ({"x_test": images([1]) / 1000, "y_test": [0]}, "x_test is float64 from 0 to 0.001, but x is uint8 from 0 to 3;"),
    ({"x_val": images([1]), "y_val": [5]}, "y_val has the class '5' (image 0), which is not in y; expected the"),
    ({"x_test": images([]), "y_test": np.array([], int)}, "x_test holds no images. Leave it out"),
    ({"x_val": images([]), "y_val": np.array([], int)}, "x_val holds no images. Leave it out"),
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


def test_the_fingerprint_of_8_bits_is_that_of_version_0_1_0():
    assert numbered(4, 4, 4).fingerprint == "457f02522ee7a94c"
    floats = numbered(4, 4, 4, x_test=np.full((1, 2, 2), 9.5, "float32"), y_test=[0])
    assert floats.x.dtype == np.float32 and floats.fingerprint != numbered(4, 4, 4).fingerprint


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


@pytest.mark.parametrize("seed", range(30))
def test_classes_are_split_as_scikit_learn_splits_them(seed):
    drawn = np.random.default_rng(seed)
    size, kinds = int(drawn.integers(60, 300)), int(drawn.integers(2, 9))
    y = np.concatenate([np.repeat(np.arange(kinds), 10), drawn.choice(kinds, size, p=drawn.dirichlet(np.ones(kinds)))])
    for fraction in (0.2, 1 / 6):
        theirs = train_test_split(np.arange(len(y)), test_size=fraction, random_state=seed, stratify=y)
        for mine, part in zip(stratified(y, fraction, seed), theirs, strict=True):
            assert mine.tolist() == sorted(part)


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
    assert message.startswith(f"numbered: class '{name}' has {min(counts)} of {sum(counts)} images; expected 3 or more")
    assert message.endswith("Give it more images, or give a validation and a test set.")


@pytest.mark.parametrize("counts", [(3, 3), (5,) * 10, (6, 6), (26, 4), (296, 3), (146, 146, 4, 4)])
def test_every_part_has_every_class_that_has_three_images(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    data = Dataset("few", images(range(len(labels))), labels, [f"class {each}" for each in range(len(counts))])
    for seed in range(20):
        parts = split(data, seed)
        again = split_again(parts, seed + 100)
        every = (parts.y, parts.y_val, parts.y_test, again.y, again.y_val)
        assert {len(set(part.tolist())) for part in every} == {len(counts)}
        assert sorted(numbers(parts.x) + numbers(parts.x_val) + numbers(parts.x_test)) == list(range(len(labels)))
        assert sorted(numbers(again.x) + numbers(again.x_val)) == sorted(numbers(parts.x) + numbers(parts.x_val))


def test_a_name_without_any_image_is_no_class():
    data = Dataset("gap", images(range(40)), np.tile([0, 2], 20), CLASSES)
    assert data.classes == ("cat", "gnu") and set(split(data, seed=1).y_val) == {0, 1}


@pytest.mark.parametrize("given, kept, span", [
    (np.uint8([0, 7, 200, 99]), "uint8", (0, 255)),
    (np.uint8([0, 1, 1, 0]), "uint8", (0, 1)),
    (np.uint8([3, 16, 1, 0]), "uint8", (0, 16)),
    (np.uint8([0, 0, 0, 0]), "uint8", (0, 255)),
    (np.array([True, False, True, True]), "uint8", (0, 1)),
    (np.int64([0, 7, 255, 99]), "uint8", (0, 255)),
    (np.float64([0, 7, 255, 99]), "uint8", (0, 255)),
    (np.float16([0, 0.5, 1, 0.25]), "float32", (0, 1)),
    (np.float32([-1, 1, 0.5, 0]), "float32", (-1, 1)),
    (np.float64([-2.5, 0, 3.5, 1]), "float32", (-2.5, 3.5)),
    (np.float32([0.1, 255, 3, 4]), "float32", (np.float32(0.1), 255)),
    (np.uint16([16, 4095, 0, 1]), "uint16", (0, 4095)),
    (np.array([0, 4095, 9, 1], ">u2"), "uint16", (0, 4095)),
    (np.int16([-1024, 3071, 0, 1]), "int16", (-1024, 3071)),
    (np.int8([-128, 127, 0, 1]), "int16", (-128, 127)),
    (np.int64([-70000, 3, 0, 1]), "int32", (-70000, 3)),
    (np.uint32([0, 2**32 - 1, 0, 1]), "float32", (0, 2**32)),
    (np.float32([0.5, 0.5, 0.5, 0.5]), "float32", (0.5, 1.5)),
    (np.int16([-3000, -3000, -3000, -3000]), "int16", (-3000, 0)),
])  # fmt: skip
def test_images_of_any_numbers_keep_their_values(given, kept, span):
    data = Dataset("any", given.reshape(4, 1, 1), [0, 1, 0, 1])
    assert data.x.dtype == kept and data.x.dtype.isnative
    assert np.array_equal(data.x.ravel(), given.astype(kept))
    assert pixel_values.value_range(data.x) == span


def test_the_type_holds_every_part():
    data = Dataset("any", np.uint8([[[9]], [[200]]]), [0, 1], x_test=np.float64([[[255]]]), y_test=[0])
    assert data.x.dtype == data.x_test.dtype == np.uint8
    data = Dataset("any", np.uint8([[[9]], [[200]]]), [0, 1], x_test=np.int64([[[-3]], [[300]]]), y_test=[0, 1])
    assert data.x.dtype == data.x_test.dtype == np.int16 and data.x_test.ravel().tolist() == [-3, 300]
    dark = Dataset("any", np.float64([[[9]], [[200]]]), [0, 1], x_test=np.ones((1, 1, 1)), y_test=[0])
    assert dark.x_test.dtype == np.uint8 and dark.x_test.max() == 1


def test_images_of_8_bits_are_not_copied():
    x = images(range(4))[..., None]
    assert Dataset("same", x, [0, 1, 2, 0], CLASSES).x.base is x.base


@pytest.mark.parametrize("shape", [(6, 1, 1), (6, 2, 3), (6, 4, 4), (6, 3, 3, 2), (6, 2, 2, 4), (6, 3, 8, 4)])
def test_shapes_of_few_pixels_and_any_channels(shape):
    data = Dataset("small", np.asfortranarray(np.arange(np.prod(shape)).reshape(shape) / 7), [0, 1] * 3)
    assert data.input_shape == (*shape[1:], 1)[:3]


def test_values_are_shown_and_given_by_their_range():
    given = np.float32([[-1, 0, 1, 3]])
    assert pixel_values.to_bytes(given, (-1, 1)).tolist() == [[0, 128, 255, 255]]
    assert pixel_values.from_bytes(np.uint8([0, 255]), (-1, 3)).tolist() == [-1, 3]
    same = np.uint8([0, 7])
    assert pixel_values.to_bytes(same, (0, 255)) is same and pixel_values.from_bytes(same, (0, 255)) is same


# -- groups -----------------------------------------------------------------------------------------


def grouped(groups, labels, **parts):
    return Dataset("grouped", images(range(len(labels))), np.array(labels), CLASSES, groups=np.array(groups), **parts)


def patients(count=40, each=15, classes=3):
    """Groups of unequal size and with unequal classes, mixed."""
    draw = np.random.default_rng(3)
    groups = draw.permutation(np.repeat(np.arange(count), draw.integers(1, 2 * each, count)))
    return groups, (groups % classes + (draw.random(len(groups)) < 0.2)) % classes


@pytest.mark.parametrize("seed", [0, 1])
def test_a_group_is_in_one_part_and_classes_stay_in_proportion(seed):
    groups, labels = patients()
    parts = split(grouped(groups, labels), seed)
    found = [numbers(part) for part in (parts.x, parts.x_val, parts.x_test)]
    assert sorted(number for part in found for number in part) == list(range(len(labels)))
    assert all(part == sorted(part) for part in found)
    owners = [set(groups[part]) for part in found]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    assert labels[found[1]].tolist() == parts.y_val.tolist()
    for part, share in zip(found, (2 / 3, 0.8 / 6, 0.2), strict=True):
        for kind in range(3):
            assert (labels[part] == kind).mean() == pytest.approx((labels == kind).mean(), abs=0.06)
        assert len(part) / len(labels) == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("by_group", [False, True])
def test_another_split_has_the_same_images_and_sizes(by_group):
    x = np.arange(600, dtype="uint16").reshape(600, 1, 1, 1) * np.ones((1, 8, 8, 1), "uint16")
    groups = np.array([f"patient {n // 5}" for n in range(600)]) if by_group else None
    first = split(Dataset("d", x, np.arange(600) % 3, groups=groups), seed=0)
    second, third = split_again(first, 1), split_again(first, 2)

    def numbers(images):
        return set(images[:, 0, 0, 0].tolist())

    for again in (second, third):
        assert numbers(again.x) | numbers(again.x_val) == numbers(first.x) | numbers(first.x_val)
        assert not numbers(again.x) & numbers(again.x_val)
        assert (again.x[:, 0, 0, 0] % 3 == again.y).all() and (again.x_val[:, 0, 0, 0] % 3 == again.y_val).all()
        assert again.x_test is first.x_test
        if by_group:
            assert not set(again.groups) & set(again.groups_val)
            assert len(again.x_val) == pytest.approx(len(first.x_val), abs=10)
        else:
            assert len(again.x_val) == len(first.x_val)
            assert np.ptp(np.bincount(again.y_val)) <= 1
    assert numbers(second.x_val) != numbers(third.x_val) != numbers(first.x_val)


def test_groups_are_split_alike_by_one_seed_and_whatever_their_names():
    groups, labels = patients()
    first = numbers(split(grouped(groups, labels), 1).x_val)
    assert numbers(split(grouped([f"p{group:03}" for group in groups], labels), 1).x_val) == first
    assert numbers(split(grouped(groups[:, None], labels), 1).x_val) == first
    assert numbers(split(grouped(groups, labels), 2).x_val) != first


def test_few_groups_are_enough_where_they_can_be_split():
    parts = split(grouped(np.repeat(["a", "b", "c"], 10), np.tile([0, 1], 15)), 0)
    assert [len(part) for part in (parts.y, parts.y_val, parts.y_test)] == [10, 10, 10]
    own = {"x_test": images([900]), "y_test": [0]}
    parts = split(grouped(np.repeat(["a", "b"], 10), np.tile([0, 1], 10), **own), 0)
    assert (len(parts.y), len(parts.y_val)) == (10, 10)


@pytest.mark.parametrize("seed", range(10))
def test_three_groups_of_unequal_size_are_enough(seed):
    groups = [*(f"many {n % 30}" for n in range(300)), *"a" * 2, *"b" * 3, *"c" * 20]
    parts = split(grouped(groups, [0] * 300 + [1] * 25), seed)
    assert all(1 in part for part in (parts.y, parts.y_val, parts.y_test))


def test_groups_of_a_rare_class_are_shared_out():
    groups = np.repeat(np.arange(30), 10)
    labels = np.where(np.isin(groups, [3, 11, 20]), 1, 0)
    parts = split(grouped(groups, labels), 0)
    assert [int(y.sum()) for y in (parts.y, parts.y_val, parts.y_test)] == [10, 10, 10]


@pytest.mark.parametrize("groups, labels, words", [
    (["a", "b"] * 10, [0, 1] * 10, "grouped: there are 2 groups (a, b); expected 3 or more, because a group is"),
    (["a"] * 20, [0, 1] * 10, "grouped: there is 1 group (a); expected 3 or more"),
    (np.repeat(["a", "b", "c", "d"], 5), np.repeat([0, 0, 0, 1], 5), "grouped: class 'dog' is in 1 group; expected 3"),
    (np.repeat([*"abcde"], 4), np.repeat([0, 0, 0, 1, 1], 4), "grouped: class 'dog' is in 2 groups; expected 3 or"),
    (["a"] * 19, [0, 1] * 10, "grouped: groups is <U1 of shape (19,) for 20 images; expected 20 numbers or texts"),
    ([[1, 2]] * 20, [0, 1] * 10, "grouped: groups is int64 of shape (20, 2) for 20 images"),
])  # fmt: skip
def test_groups_that_cannot_be_split_are_said(groups, labels, words):
    assert line(lambda: split(grouped(groups, labels), 0)).startswith(words)


def test_the_fingerprint_tells_groups_apart():
    groups, labels = patients()
    plain = Dataset("plain", images(range(len(labels))), labels, CLASSES)
    found = {data.fingerprint for data in (plain, grouped(groups, labels), grouped(groups + 1, labels))}
    assert len(found) == 3
