"""npz: every layout it takes, the numbers it converts, and the faults it names."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_numbers_from_0_to_1_are_scaled(load, kind):
    assert np.array_equal(load(x=(WHOLE / 255).astype(kind), y=LABELS).x, WHOLE)


@pytest.mark.parametrize("kind", [bool, float, int])
def test_black_and_white_becomes_0_and_255(load, kind):
    assert np.array_equal(load(x=(WHOLE > 99).astype(kind), y=LABELS).x, np.where(WHOLE > 99, 255, 0))


def test_uint8_is_never_scaled(load):
    assert load(x=WHOLE // 128, y=LABELS).x.max() == 1


def test_dark_test_images_are_not_brightened(load):
    data = load(x=WHOLE.astype(float), y=LABELS, x_test=np.ones((2, 5, 4, 3)), y_test=LABELS[:2])
    assert data.x_test.max() == 1


@pytest.mark.parametrize("images, words", [
    (WHOLE / 127.5 - 1, "x_train is float64 from -1 to 1; expected uint8"),
    (WHOLE / 2, "x_train is float64 from 0 to 127.5; expected uint8"),
    (WHOLE.astype("uint16") * 257, "x_train is uint16 from 0 to 65535; expected uint8"),
    (np.full(WHOLE.shape, np.nan), "x_train is float64 from nan to nan; expected uint8"),
    (WHOLE.astype(complex), "x_train is complex128; expected numbers"),
    (WHOLE.astype(str), "x_train is <U3; expected numbers"),
    (WHOLE.transpose(0, 3, 1, 2), "x_train of shape (30, 3, 5, 4) has its channels first"),
    (WHOLE[..., 0, 0], "x is uint8 of shape (30, 5); expected numbers of shape (n, height, width)"),
    (np.uint8(3), "x_train is a single value; expected an array"),
    (WHOLE[:0], "there are no training images"),
])  # fmt: skip
def test_other_numbers_are_refused(load, says, images, words):
    if "channels" in words:
        images = np.repeat(images, 2, axis=3)
        words = words.replace("5, 4", "5, 8")
    assert f"my.npz: {words}" in says(load, x=images, y=LABELS)


def test_the_way_to_convert_works(load, says):
    line = says(load, x=WHOLE / 127.5 - 1, y=LABELS)
    code = line.split("`")[1].replace("LOW", "-1").replace("HIGH", "1")
    assert np.array_equal(eval(code, {"np": np, "x": WHOLE / 127.5 - 1}), WHOLE)


def test_test_images_of_another_range_are_refused(load, says):
    line = says(load, x=WHOLE / 255, y=LABELS, x_test=WHOLE.astype(float), y_test=LABELS)
    assert "x_test is float64 from 0 to 255" in line and "the same in every part" in line


@pytest.mark.parametrize("arrays, words", [
    ({}, "it holds nothing; expected x_train and y_train (or x and y)"),
    ({"y": LABELS}, "it holds y; expected"),
    ({"images": WHOLE, "labels": LABELS}, "it holds images, labels; expected"),
    ({"x_train": WHOLE, "x": WHOLE, "y": LABELS}, "it holds both x and x_train; expected one of them."),
    ({"x": WHOLE, "y": LABELS, "x_valid": WHOLE}, "'x_valid' means nothing here. Did you mean 'x_val'?"),
    ({"X_train": WHOLE, "y_train": LABELS}, "'X_train' means nothing here. Did you mean 'x_train'?"),
    ({"x": WHOLE, "y": LABELS, "x_val": WHOLE}, "x_val and y_val go together, but only one is there."),
    ({"x": WHOLE, "y": LABELS * 0}, "there is one class only"),
    ({"x": WHOLE, "y": LABELS, "classes": np.array(["a", "b"])}, "y holds 3 different labels, such as '0', but"),
])  # fmt: skip
def test_faults_are_named(load, says, arrays, words):
    assert f"my.npz: {words}" in says(load, **arrays)


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
    assert "this is no whole .npz file" in says(plugin("npz"), path=str(tmp_path / "x.npy"))


def test_the_path_may_start_at_home(plugin, tmp_path, monkeypatch):
    np.savez(tmp_path / "my.npz", x=WHOLE, y=LABELS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(plugin("npz")(path="~/my.npz").x) == 30
