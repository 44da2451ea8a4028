"""Data as Python code has them: each form gives the same dataset; what cannot be read says so in a line."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cnnsearch import Dataset
from cnnsearch.core.errors import DataError
from cnnsearch.data import from_python, image_cache, stored
from cnnsearch.training import compiled

X = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
Y = np.arange(40) % 4


class Indexable:
    """As PyTorch's datasets are."""

    classes = ("a", "b", "c", "d")

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Any:
        return self.items[place]


class Loader:
    """As PyTorch's DataLoader is."""

    batch_sampler = None

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("a loader shuffles; its dataset is read")


class Tensor:
    """As PyTorch's tensors are: channels first, and an array only after detach() and cpu()."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def permute(self, *axes: int) -> "Tensor":
        return Tensor(self.array.transpose(axes))

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> NDArray[Any]:
        return self.array

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        raise RuntimeError("it requires grad")


def content(data: Dataset) -> list[tuple[bytes, str]]:
    """Images with their classes' names, whatever their order."""
    return sorted((image.tobytes(), data.classes[code]) for image, code in zip(data.x, data.y, strict=True))


def named(data: Dataset) -> list[tuple[bytes, str]]:
    """The same with the names of `Indexable` for the codes."""
    return sorted((image, "abcd"[int(name)]) for image, name in content(data))


def test_arrays_lists_tensors_and_datasets_give_the_same() -> None:
    whole = from_python.dataset_of((X, Y))
    assert whole.x.dtype == np.uint8 and whole.classes == ("0", "1", "2", "3")
    for x, y in ((list(X), Y.tolist()), (X.tolist(), list(Y)), (Tensor(np.moveaxis(X, -1, 1)), Tensor(Y))):
        assert from_python.dataset_of((x, y)).fingerprint == whole.fingerprint
    pairs = [(Tensor(np.moveaxis(image, -1, 0)), int(label)) for image, label in zip(X, Y, strict=True)]
    batches = [(X[start : start + 7], Y[start : start + 7]) for start in range(0, 40, 7)]
    fields = [{"image": image, "label": label} for image, label in zip(X, Y, strict=True)]
    found = [from_python.dataset_of(Indexable(items)) for items in (pairs, batches, fields)]
    found.append(from_python.dataset_of(Loader(Indexable(pairs[::-1]))))
    assert {data.fingerprint for data in found} == {found[0].fingerprint}
    assert content(found[0]) == named(whole)
    own = Dataset("mine", X, Y, ("w", "x", "y", "z"))
    assert from_python.dataset_of(own).fingerprint == own.fingerprint


def test_a_tf_data_pipeline_gives_the_same_in_whatever_order_and_batches() -> None:
    tf = pytest.importorskip("tensorflow")
    pipeline = tf.data.Dataset.from_tensor_slices((X, Y))
    forms = (pipeline, pipeline.shuffle(40).batch(7), pipeline.batch(8, drop_remainder=True))
    found = {from_python.dataset_of(form).fingerprint for form in forms}
    assert len(found) == 1 and content(from_python.dataset_of(pipeline)) == content(from_python.dataset_of((X, Y)))
    grey = tf.data.Dataset.from_tensor_slices((X[..., 0], Y)).batch(9)
    assert from_python.dataset_of(grey).x.shape == (40, 6, 5, 1)
    with pytest.raises(DataError, match=r"the data: the tf.data.Dataset has no end; give it without .repeat\(\)"):
        from_python.dataset_of(pipeline.repeat())


def test_validation_and_test_come_in_any_form_beside_the_training_data() -> None:
    data = from_python.dataset_of((X, Y), Indexable(list(zip(X[:8], Y[:8], strict=True))), (X[8:16], Y[8:16]))
    assert data.x_val is not None and len(data.x_val) == 8 and data.x_test is not None and len(data.x_test) == 8
    as_keras_gives = from_python.dataset_of(((X, Y), (X[:8], Y[:8])))
    assert as_keras_gives.x_test is not None and as_keras_gives.x_val is None
    own = Dataset("mine", X, Y, ("w", "x", "y", "z"))
    other = Dataset("other", X[:8], np.array(["z", "y"] * 4))
    both = from_python.dataset_of(own, other)
    assert both.y_val is not None and [both.classes[code] for code in both.y_val] == ["z", "y"] * 4
    with pytest.raises(DataError, match="validation_data has a class 'v' that the training data do not have"):
        from_python.dataset_of(own, Dataset("other", X[:8], np.array(["v", "y"] * 4)))


@pytest.mark.parametrize(
    ("labels", "given", "expected"),
    [
        (Y + 1, [1, 2, 1, 2], ["1", "2", "1", "2"]),
        (np.array([0, 2, 5, 7])[Y], [2, 0, 2, 7], ["2", "0", "2", "7"]),
        (np.array(["w", "x", "y", "z"])[Y], ["x", "w", "z", "x"], ["x", "w", "z", "x"]),
        (np.array(["w", "x", "y", "z"])[Y], [1, 0, 3, 1], ["x", "w", "z", "x"]),
        (Y + 1, np.eye(4)[[0, 1, 0, 1]], ["1", "2", "1", "2"]),
    ],
)
def test_labels_beside_a_dataset_are_those_of_its_classes(labels: Any, given: Any, expected: list[str]) -> None:
    both = from_python.dataset_of(Dataset("mine", X, labels), (X[:4], given), (X[:4], given))
    assert both.y_val is not None and both.y_test is not None
    for codes in (both.y_val, both.y_test):
        assert [both.classes[code] for code in codes] == expected
    with pytest.raises(DataError, match="validation_data has a class 'v' that the training data do not have"):
        from_python.dataset_of(Dataset("mine", X, labels), (X[:2], ["v", "v"]))


def test_codes_beside_a_dataset_whose_class_names_are_numbers_in_another_order_are_codes() -> None:
    """Folders that are named 0 to 42 are sorted as text."""
    own = Dataset("mine", X, Y, ("0", "1", "10", "2"))
    both = from_python.dataset_of(own, (X[:4], [0, 1, 2, 3]))
    assert both.y_val is not None and both.y_val.tolist() == [0, 1, 2, 3]


def test_an_object_for_validation_may_have_fewer_classes() -> None:
    """A folder of validation pictures without a class has other numbers for the classes after it."""
    some = Indexable([(image, number % 2) for number, image in enumerate(X[:8])])
    some.classes = ("b", "d")  # type: ignore[assignment]
    data = from_python.dataset_of(Indexable(list(zip(X, Y, strict=True))), some)
    assert data.y_val is not None and data.x_val is not None
    found = sorted((image.tobytes(), data.classes[code]) for image, code in zip(data.x_val, data.y_val, strict=True))
    assert found == sorted((image.tobytes(), "bd"[number % 2]) for number, image in enumerate(X[:8]))


def test_pictures_with_a_palette_are_their_colours() -> None:
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10)]
    pictures = [Image.new("RGB", (6, 5), colour).quantize(4) for colour in colours]
    data = from_python.dataset_of(Indexable(list(zip(pictures, range(4), strict=True))))
    assert {tuple(image[0, 0].tolist()) for image in data.x} == set(colours)
    assert from_python.images_of(pictures).shape == (4, 5, 6, 3)


def test_three_grey_images_are_no_image_with_three_channels() -> None:
    three = Tensor(np.zeros((3, 28, 28), "uint8"))
    assert from_python.images_of(three, grey=True).shape == (3, 28, 28)
    assert from_python.images_of(three).shape == (28, 28, 3)
    assert from_python.images_of(Tensor(np.zeros((1, 28, 28), "uint8")), grey=True).shape == (28, 28, 1)


def test_groups_may_be_objects_and_are_part_of_the_data() -> None:
    """A column of pandas is an array of objects."""
    text = np.repeat(["ann", "bob", "eve", "kim"], 10)
    plain, own = Dataset("mine", X, Y, groups=text), Dataset("mine", X, Y, groups=text.astype(object))
    assert own.fingerprint == plain.fingerprint and from_python.digests(own) == from_python.digests(plain)
    other = from_python.digests(Dataset("mine", X, Y, groups=text[::-1]))
    differ = {name for name, digest in from_python.digests(own).items() if other[name] != digest}
    assert differ == {"groups"} and "groups" not in from_python.digests(Dataset("mine", X, Y))
    with pytest.raises(DataError, match="groups is object of shape"):
        Dataset("mine", X, Y, groups=np.array([None, *text[1:]]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (((X, Y) for _ in range(2)), "the data is a generator, which can be read only once; expected (images, labels)"),
        (5, "the data is a int; expected (images, labels)"),
        ({"x_train": X}, "the data is a dict; expected (images, labels)"),
        (X, "element 0 is a ndarray; expected (image, label)"),
        ((X, Y, Y), "the data is a tuple of 3; expected (images, labels)"),
        (Indexable([(X[0], 0, 1)]), "element 0 is a tuple of 3; expected (image, label)"),
        (Indexable([]), "the data holds no images"),
        (Indexable([(X[0], 0), (X[0][:4], 1)]), "image 1 is of shape (4, 5, 3), and the first of (6, 5, 3)"),
        (([X[0], X[0][:4]], [0, 1]), "images: number 1 is of shape (4, 5, 3), and the first of (6, 5, 3)"),
        ((X, Y[:5]), "y is int64 of shape (5,) for 40 images"),
        (Indexable([(X[:8], Y[:8]), (X[8:16], Y[8:15])]), "element 1 has 8 images and 7 labels"),
        (Indexable([(X[:8], 1), (X[8:16], 0)]), "x is uint8 of shape (2, 8, 6, 5, 3)"),
    ],
)
def test_what_cannot_be_read_says_so_in_a_line(given: Any, said: str) -> None:
    with pytest.raises(DataError) as raised:
        from_python.dataset_of(given)
    assert said in raised.value.message and "\n" not in raised.value.message


def test_stored_data_come_back_the_same_and_are_linked_for_a_second_study(tmp_path: Path) -> None:
    text = np.array(["cat", "dog", "ant", "bee"])[Y]
    data = from_python.dataset_of((X.astype("float32") - 100, text), (X[:8], text[:8]))
    one, two = (tmp_path / study / f"data-{data.fingerprint}" for study in ("one", "two"))
    for folder in (one, two):
        stored.write(data, folder)
        assert stored.read(folder).fingerprint == data.fingerprint
    assert stored.read(one).classes == ("ant", "bee", "cat", "dog")
    assert (one / "x.npy").stat().st_ino == (two / "x.npy").stat().st_ino
    assert len(stored.read(one, limit=8).x) == 8
    # what somebody's model or fit writes to them stays there
    mapped = stored.read(one)
    for part in (mapped.x, mapped.x_val):
        assert part is not None and image_cache.is_mapped(part) and compiled._stays(part)
        part /= 255
    assert stored.read(one).fingerprint == data.fingerprint
    assert not list(tmp_path.glob("*/.*"))
    (one / "x.npy").unlink()
    with pytest.raises(DataError, match="the study's images cannot be read"):
        stored.read(one)


def test_stored_data_with_other_facts_or_clean_images_are_not_linked(tmp_path: Path) -> None:
    first = Dataset("one", X, Y)
    others = (replace(first, name="two"), replace(first, x_clean=X // 2), replace(first, x_clean=X // 4))
    for number, data in enumerate((first, *others)):
        folder = tmp_path / str(number) / f"data-{data.fingerprint}"
        assert data.fingerprint == first.fingerprint
        stored.write(data, folder)
        found = stored.read(folder)
        assert found.name == data.name and (found.x_clean is None) == (data.x_clean is None)
        assert data.x_clean is None or np.array_equal(found.x_clean, data.x_clean)
