"""Labels in every usual form: their codes, their names, and what is no label."""

import numpy as np
import pytest

from cnnsearch.data.labels import coded

CODES = [0, 1, 2, 1]


def codes(y, classes=(), **others):
    parts = {"y": y, **others}
    return coded(parts, {part: len(np.asarray(array)) for part, array in parts.items()}, classes)


@pytest.mark.parametrize("y, names", [
    ([1, 2, 3, 2], "1 2 3"),
    (np.array([0, 10, 20, 10], "uint8"), "0 10 20"),
    (np.array([-5, 0, 7, 0], "int8"), "-5 0 7"),
    (np.array([0, 9, 10, 9], ">i2"), "0 9 10"),
    (np.array([0.0, 1.0, 2.0, 1.0]), "0 1 2"),
    (np.array([[0], [1], [2], [1]], "float16"), "0 1 2"),
    (np.array([0, 1, 2, 1]).reshape(4, 1, 1), "0 1 2"),
    (["cat", "dog", "emu", "dog"], "cat dog emu"),
    (np.array([b"cat", "d\u00f6g".encode(), b"emu", "d\u00f6g".encode()]), "cat d\u00f6g emu"),
    (np.array([["2"], ["9"], ["10"], ["9"]]), "2 9 10"),
    (np.array(["b", "c", "d", "c"], dtype=object), "b c d"),
    (np.array([1, 2, 3, 2], dtype=object), "1 2 3"),
    (np.eye(3)[CODES], "0 1 2"),
    (np.eye(5, dtype=bool)[[1, 2, 4, 2]], "1 2 4"),
    (np.eye(3, dtype="uint8")[CODES] * 255, "0 1 2"),
    (np.eye(3)[CODES] * 2 - 1, "0 1 2"),
    (np.array([2**40, 2**41, 2**42, 2**41], "uint64"), f"{2**40} {2**41} {2**42}"),
])  # fmt: skip
def test_every_form_gives_codes_and_names(y, names):
    found = codes(y)
    assert found.codes["y"].tolist() == CODES and found.codes["y"].dtype == np.int64
    assert found.classes == tuple(names.split())


def test_two_classes():
    assert codes([False, True]).classes == ("False", "True")
    assert codes([-1, 1, -1]).classes == ("-1", "1")
    two = codes(np.array([[1, 0], [0, 1], [0, 1], [1, 0]]))
    assert (two.codes["y"].tolist(), two.classes) == ([0, 1, 1, 0], ("0", "1"))


@pytest.mark.parametrize("train, test, expected", [
    (np.array([1, 2, 3]), np.array([[3.0], [1.0]]), [2, 0]),
    (np.array([True, False]), np.array([1, 0]), [1, 0]),
    (np.array([10, 9, 2]), np.array(["10", "2"]), [2, 0]),
    (np.array([b"a", b"b"]), np.array(["b", "a"]), [1, 0]),
    (np.eye(3), np.eye(3)[[2, 2]], [2, 2]),
    (np.array([0, 1, 2]), np.eye(3)[[2, 0]], [2, 0]),
])  # fmt: skip
def test_parts_of_several_types_mean_the_same(train, test, expected):
    assert codes(train, y_test=test).codes["y_test"].tolist() == expected


@pytest.mark.parametrize("y, classes, expected, names", [
    (CODES, ("cat", "dog", "emu"), CODES, "cat dog emu"),
    ([1, 2, 3, 2], ("cat", "dog", "emu"), CODES, "cat dog emu"),
    ([1, 2, 3, 2], (1, 2, 3), CODES, "1 2 3"),
    ([1, 2], ("1", "2", "3"), [0, 1], "1 2"),
    ([0, 10, 20], np.array([0.0, 10.0, 20.0]), [0, 1, 2], "0 10 20"),
    (["dog", "cat", "dog"], ("dog", "cat"), [0, 1, 0], "dog cat"),
    (["n1", "n2", "n1"], ("cat", "dog"), [0, 1, 0], "cat dog"),
    (np.eye(3), (b"cat", b"dog", b"emu"), [0, 1, 2], "cat dog emu"),
    ([0, 2], ("cat", "dog", "emu"), [0, 1], "cat emu"),
])  # fmt: skip
def test_names_that_are_given_are_used(y, classes, expected, names):
    found = codes(y, classes)
    assert found.codes["y"].tolist() == expected and found.classes == tuple(names.split())
    # what was coded once stays as it is
    assert codes(found.codes["y"], found.classes).classes == found.classes


@pytest.mark.parametrize("y, others, words", [
    ([0, 0.5, 1], {}, "y holds 0.5 (image 1); expected whole numbers or text"),
    ([0, np.inf], {}, "y holds inf (image 1); expected whole numbers"),
    ([0, 1, np.nan], {}, "image 2 of y has no label (NaN); expected a whole number for each image."),
    (np.array(["a", None], dtype=object), {}, "image 1 of y has the label None; expected"),
    (np.array(["a", np.nan], dtype=object), {}, "image 1 of y has the label nan; expected"),
    (["a", ""], {}, "image 1 of y has an empty label; expected text for each image."),
    (np.array([[1, 1, 0], [0, 1, 0]]), {}, "y gives image 0 2 labels; several labels an image are not supported."),
    (np.array([[0, 1, 0], [0, 0, 0]]), {}, "image 1 of y has no label, as its row is all 0; expected one-hot rows"),
    (np.array([[0, 1.0], [0.3, 0.7]]), {}, "y holds soft labels, which are not supported (image 1 is 0.7 of one"),
    (np.array([[3, 4], [5, 6]]), {}, "y is int64 of shape (2, 2), several numbers for each image; several labels"),
    (np.array([1j, 2]), {}, "y is complex128; expected labels as whole numbers or text."),
    (np.array(["2020-01-01"], "M8[D]"), {}, "y is datetime64[D]; expected labels as whole numbers or text."),
    (np.array([0, 2**64 - 1], "uint64"), {}, "y has values from 0 to 18446744073709551615; expected whole"),
    ([0, 1], {"y_val": [0, 1, 7, 8]}, "y_val has the class '7' (image 2), which is not in y; expected the classes"),
    (["a", "b"], {"y_test": ["c"]}, "y_test has the class 'c' (image 0), which is not in y; expected the"),
])  # fmt: skip
def test_what_is_no_label_is_named(y, others, words):
    with pytest.raises(ValueError) as caught:
        codes(y, **others)
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)


@pytest.mark.parametrize("y, classes, words", [
    (["dog", "cow"], ("cat", "dog"), "y holds 2 different labels, such as 'cow', but classes has 2 names; expected"),
    ([0, 1, 5], ("a", "b"), "y holds 3 different labels, such as '0', but classes has 2 names; expected labels 0 to 1"),
    ([0, 1], ("a", "a"), "classes names 'a' twice; expected different names."),
])  # fmt: skip
def test_names_that_do_not_fit_are_named(y, classes, words):
    with pytest.raises(ValueError) as caught:
        codes(y, classes)
    assert str(caught.value).startswith(words)
