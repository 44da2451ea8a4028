"""npz: every layout it takes, the numbers it converts, and the faults it names."""

import numpy as np
import pytest

from cnnsearch.data import image_cache
from cnnsearch.data.pixel_values import value_range
from cnnsearch.data.splits import split

LABELS = np.tile([0, 1, 2], 10)
WHOLE = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def load(plugin, tmp_path):
    """npz on a file with the given arrays."""

    def from_arrays(limit=0, **arrays):
        np.savez(tmp_path / "my.npz", **arrays)
        return plugin("npz")(path=str(tmp_path / "my.npz"), limit=limit)

    return from_arrays


def test_x_and_y_are_enough(load):
    data = load(x=WHOLE, y=LABELS)
    assert data.classes == ("0", "1", "2") and data.x_val is data.x_test is None
    assert np.array_equal(data.x, WHOLE) and np.array_equal(data.y, LABELS)


def test_validation_test_and_names_are_taken(load):
    data = load(x_train=WHOLE, y_train=LABELS, x_val=WHOLE[:3], y_val=LABELS[:3], x_test=WHOLE[3:9],
                y_test=LABELS[3:9], classes=np.array(["cat", "dog", "gnu"]), notes=np.zeros(3))  # fmt: skip
    assert (len(data.x), len(data.x_val), len(data.x_test)) == (30, 3, 6)
    assert data.classes == ("cat", "dog", "gnu")


def test_names_in_bytes_are_decoded(load):
    names = np.array(["cat", "chien", "\u00e9lan"])
    assert load(x=WHOLE, y=LABELS, classes=np.char.encode(names, "utf-8")).classes == tuple(names)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int64", "uint16"])
def test_whole_numbers_up_to_255_are_kept(load, kind):
    assert np.array_equal(load(x=WHOLE.astype(kind), y=LABELS).x, WHOLE)


@pytest.mark.parametrize("images, span", [
    (WHOLE / 255, (0, 1)),
    ((WHOLE / 127.5 - 1).astype("float32"), (-1, 1)),
    (WHOLE.astype("uint16") * 257, (0, 65535)),
    (WHOLE.astype(">i2") * 16 - 1024, (-1024, 3056)),
    (WHOLE > 99, (0, 1)),
    (np.asfortranarray(WHOLE / 2), (0, 127.5)),
])  # fmt: skip
def test_numbers_stay_as_they_are(load, images, span):
    data = load(x=images, y=LABELS, x_test=images[:9], y_test=LABELS[:9])
    assert np.allclose(data.x, images) and np.allclose(data.x_test, images[:9]) and data.x_test.dtype == data.x.dtype
    assert value_range(data.x) == pytest.approx(span)


def test_uint8_is_never_scaled(load):
    assert load(x=WHOLE // 128, y=LABELS).x.max() == 1


def test_dark_test_images_are_not_brightened(load):
    data = load(x=WHOLE.astype(float), y=LABELS, x_test=np.ones((2, 5, 4, 3)), y_test=LABELS[:2])
    assert data.x_test.max() == 1


NAN = (WHOLE / 255).astype("float32")
NAN[5, 3, 3] = np.nan


@pytest.mark.parametrize("images, words", [
    (NAN, "image 5 of x holds NaN; expected finite numbers. Replace them"),
    (WHOLE.astype(complex), "x is complex numbers (complex128); expected images of numbers"),
    (WHOLE.astype(str), "x is text (<U3); expected images of numbers"),
    (np.array([None] * 30), "x holds Python objects, which are not read"),
    (np.zeros((30, 3, 5, 8)), "x of shape (30, 3, 5, 8) has its channels first"),
    (WHOLE[..., 0, 0], "x is uint8 of shape (30, 5); expected numbers of shape (n, height, width)"),
    (np.uint8(3), "x is a single value; expected an array"),
    (WHOLE[:0], "there are no training images"),
    (WHOLE[:9], "y is int64 of shape (30,) for 9 images; expected one label for each, of shape (9,)"),
])  # fmt: skip
def test_what_is_no_image_is_refused(load, says, images, words):
    assert f"my.npz: {words}" in says(load, x=images, y=LABELS)


def test_test_images_of_another_scale_are_refused(load, says):
    line = says(load, train_images=WHOLE / 255, train_labels=LABELS, test_images=WHOLE, test_labels=LABELS)
    assert "test_images is uint8 from 0 to 255, but train_images is float64 from 0 to 1; expected the same" in line


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_outliers_are_not_another_scale(load, says, kind):
    """An implant in a scan, or a few values far from all others."""
    scans = (WHOLE.astype("float32") - 100).astype(kind)
    far = scans.copy()
    far[3, 2, 2, 0] = 30_000
    for x, x_test in ((scans, far), (far, scans)):
        data = load(x=x, y=LABELS, x_test=x_test, y_test=LABELS)
        assert np.array_equal(data.x, x) and np.array_equal(data.x_test, x_test)
    line = says(load, x=scans / 100, y=LABELS, x_test=scans, y_test=LABELS)
    assert "expected the same scale in every part" in line


@pytest.mark.parametrize("labels, names", [
    (LABELS + 1, "1 2 3"),
    (LABELS * 10, "0 10 20"),
    (LABELS + 2021, "2021 2022 2023"),
    (np.where(LABELS, 1, -1), "-1 1"),
    (np.eye(3, dtype="float32")[LABELS], "0 1 2"),
    (np.array(["zero", "one", "two"])[LABELS], "one two zero"),
    (np.array([b"a", b"b", b"c"])[LABELS], "a b c"),
    ((LABELS % 2).astype("float32")[:, None], "0 1"),
    (LABELS == 2, "False True"),
])  # fmt: skip
def test_labels_of_any_form(load, labels, names):
    data = load(x=WHOLE, y=labels, x_test=WHOLE[2:4], y_test=labels[2:4])
    assert data.classes == tuple(names.split()) and sorted(set(data.y)) == list(range(len(data.classes)))
    assert data.y_test.tolist() == data.y[2:4].tolist()


@pytest.mark.parametrize("keys", [
    "train_images train_labels val_images val_labels test_images test_labels",
    "X_train y_train X_val y_val X_test y_test",
    "xTrain yTrain xValid yValid xTest yTest",
    "images labels images_val labels_val images_test labels_test",
    "image label validation_image validation_label test_image test_label",
    "data target data_dev target_dev data_test target_test",
    "x y x_valid y_valid x_test y_test",
    "x_train targets x_validation targets_val x_testing targets_test",
])  # fmt: skip
def test_spellings(load, keys):
    parts = (WHOLE, LABELS[:, None], WHOLE[:3], LABELS[:3, None], WHOLE[3:9], LABELS[3:9, None])
    data = load(**dict(zip(keys.split(), parts, strict=True)), notes=np.zeros(3))
    assert (len(data.x), len(data.x_val), len(data.x_test)) == (30, 3, 6)
    assert np.array_equal(data.x_test, WHOLE[3:9]) and data.y_test.tolist() == LABELS[3:9].tolist()


def test_flat_data_beside_images_are_left_out(load):
    """As scikit-learn's load_digits() gives them."""
    more = {"feature_names": np.array(["a"]), "frame": np.array(None), "target_names": np.array([7, 8, 9])}
    data = load(data=WHOLE.reshape(30, -1), target=LABELS, images=WHOLE, **more)
    assert np.array_equal(data.x, WHOLE) and data.classes == ("7", "8", "9")


def test_groups_are_read(load, says):
    data = load(x=WHOLE, y=LABELS, groups=np.repeat(["ann", "bob", "eve"], 10))
    assert data.groups.tolist() == ["ann"] * 10 + ["bob"] * 10 + ["eve"] * 10
    assert "groups is int64 of shape (3,) for 30 images; expected" in says(load, x=WHOLE, y=LABELS, groups=[1, 2, 3])


def test_arrays_without_names_are_told_by_their_shapes(plugin, says, tmp_path):
    for count in (1, 2):
        np.savez(tmp_path / "my.npz", *[WHOLE, LABELS, WHOLE[:6], LABELS[:6]][: 2 * count])
        data = plugin("npz")(path=str(tmp_path / "my.npz"))
        assert len(data.x) == 30 and (data.x_test is None or len(data.x_test) == 6)
    np.savez(tmp_path / "my.npz", WHOLE, LABELS, LABELS)
    assert "its arrays have no names (arr_0, arr_1, arr_2). Name them" in says(
        plugin("npz"), path=str(tmp_path / "my.npz")
    )


@pytest.mark.parametrize("arrays, words", [
    ({}, "it holds nothing; expected x_train and y_train (or x and y"),
    ({"y": LABELS}, "it holds y; expected"),
    ({"pixels": WHOLE, "labels": LABELS}, "it holds pixels, labels; expected"),
    ({"x_test": WHOLE, "y_test": LABELS}, "it holds x_test, y_test; expected"),
    ({"x_train": WHOLE, "x": WHOLE, "y": LABELS}, "it holds both x_train and x; expected one of them."),
    ({"images": WHOLE, "train_images": WHOLE, "y": LABELS}, "it holds both images and train_images; expected one"),
    ({"x": WHOLE, "y": LABELS, "x_vall": WHOLE}, "'x_vall' is not a known name. Did you mean 'x_val'?"),
    ({"x": WHOLE, "y": LABELS, "x_val": WHOLE}, "it holds x_val but no labels of val; expected both or neither."),
    ({"x": WHOLE, "y": LABELS * 0}, "there is one class only"),
    ({"x": WHOLE, "y": LABELS, "test_images": WHOLE[:2], "test_labels": [0, 4]}, "test_labels has the class '4' ("),
    ({"x": WHOLE, "y": LABELS + 0.5}, "y holds 0.5 (image 0); expected whole numbers or text"),
    ({"x": WHOLE, "y": np.array([None] * 30)}, "y holds Python objects, which are not read, because they can run code"),
    ({"x": WHOLE, "y": np.ones((30, 2))}, "y gives image 0 2 labels; several labels an image are not supported."),
    ({"x": WHOLE, "y": LABELS, "classes": np.array(["a", "b"])}, "y holds 3 different labels, such as '0', but"),
])  # fmt: skip
def test_faults_are_named(load, says, arrays, words):
    assert f"my.npz: {words}" in says(load, **arrays)


def test_a_folder_of_npy_files_is_read(plugin, says, tmp_path):
    for key, array in {"x_train": WHOLE, "y_train": LABELS + 1, "X_test": WHOLE[:6], "y_test": LABELS[:6] + 1}.items():
        np.save(tmp_path / f"{key}.npy", array)
    (tmp_path / "runs").mkdir()
    np.save(tmp_path / "runs" / "x_val.npy", WHOLE)
    data = plugin("npz")(path=str(tmp_path))
    assert (len(data.x), len(data.x_test), data.x_val, data.classes) == (30, 6, None, ("1", "2", "3"))
    # what is mapped takes no memory, and what is written to it stays here
    assert image_cache.is_mapped(data.x) and image_cache.is_mapped(data.x_test)
    data.x[:] = 0
    assert np.array_equal(plugin("npz")(path=str(tmp_path)).x, WHOLE)
    np.save(tmp_path / "x_train.npy", np.asfortranarray(WHOLE))
    assert np.array_equal(plugin("npz")(path=str(tmp_path)).x, WHOLE)
    (tmp_path / "y_train.npy").write_bytes(b"")
    assert f"{tmp_path}/y_train.npy: it cannot be read (" in says(plugin("npz"), path=str(tmp_path))
    np.save(tmp_path / "y_train.npy", np.array([None] * 30))
    assert f"{tmp_path}/y_train.npy: it holds Python objects" in says(plugin("npz"), path=str(tmp_path))


def test_a_folder_without_arrays_is_said(plugin, says, tmp_path):
    assert f"{tmp_path}: this folder has no .npy files; expected" in says(plugin("npz"), path=str(tmp_path))


def test_limit_is_for_training_only(load):
    data = load(limit=6, x=WHOLE, y=LABELS, x_test=WHOLE, y_test=LABELS)
    assert np.bincount(data.y).tolist() == [2, 2, 2] and len(data.x_test) == 30


def test_a_file_must_be_named(plugin, says):
    assert says(plugin("npz")) == "npz: which file? Name a .npz file with `--set dataset.path=FILE.npz`."


def test_a_file_that_is_not_there_is_said(plugin, says, tmp_path):
    line = says(plugin("npz"), path=str(tmp_path / "my.npz"))
    assert line.startswith(f"{tmp_path}/my.npz: there is no such file")


def test_a_single_array_is_no_npz(plugin, says, tmp_path):
    np.save(tmp_path / "x.npy", WHOLE)
    assert "this is not a complete .npz file" in says(plugin("npz"), path=str(tmp_path / "x.npy"))


def test_the_path_may_start_at_home(plugin, tmp_path, monkeypatch):
    np.savez(tmp_path / "my.npz", x=WHOLE, y=LABELS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(plugin("npz")(path="~/my.npz").x) == 30


def test_groups_of_a_file_stay_in_one_part(load):
    x, y = np.arange(60, dtype=np.uint8).repeat(16).reshape(60, 4, 4), np.arange(60) % 2
    groups = np.repeat([f"patient {number}" for number in range(12)], 5)
    data = load(x=x, y=y, groups=groups)
    assert data.groups.tolist() == groups.tolist() and load(limit=20, x=x, y=y, groups=groups).groups.shape == (20,)
    parts = split(data, 0)
    owners = [set(groups[part[:, 0, 0, 0]]) for part in (parts.x, parts.x_val, parts.x_test)]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 12
    apart = load(x=x, y=y, groups=groups, x_val=x[:2], y_val=y[:2], groups_val=["patient 3", "patient 99"])
    assert apart.notes[0].startswith("Warning: 1 group of the array groups is in both train and val, the first is ")
