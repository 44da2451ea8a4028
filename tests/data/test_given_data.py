"""Data as Python code has them: each form gives the same dataset; what cannot be read says so in a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

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
