"""folder: real pictures of every kind, layouts, and what is said about what cannot be used."""

import os

import numpy as np
import psutil
import pytest
from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def folder(plugin):
    return plugin("folder")


@pytest.fixture
def put(tmp_path):
    """Write a picture at a path below the folder; grey 4x4 when nothing else is said."""

    def write(path, image=None, **options):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        (image or Image.new("L", (4, 4), 100)).save(file, **options)
        return file

    return write


@pytest.fixture
def two(put, tmp_path):
    """train/cat and train/dog with two pictures each."""
    for name in ("cat", "dog"):
        for index in range(2):
            put(f"train/{name}/{index}.png", Image.new("L", (4, 4), 50 * index + 100 * (name == "dog")))
    return tmp_path


@pytest.fixture
def pixels(folder, put, tmp_path):
    """A picture as folder loads it."""

    def load(image, suffix="png", color="auto", save=None, **options):
        put(f"a/0.{suffix}", image, **(save or {}))
        put(f"b/0.{suffix}", image, **(save or {}))
        return folder(path=str(tmp_path), color=color, **options).x[0]

    return load


def test_train_alone(folder, two):
    data = folder(path=str(two))
    assert data.classes == ("cat", "dog") and data.input_shape == (4, 4, 1)
    assert data.x[:, 0, 0, 0].tolist() == [0, 50, 100, 150] and data.y.tolist() == [0, 0, 1, 1]
    assert data.x_val is data.x_test is None


def test_val_and_test_are_kept_apart(folder, two, put):
    put("val/dog/x.png", Image.new("L", (4, 4), 7))
    put("test/cat/x.png", Image.new("L", (4, 4), 8))
    put("test/dog/x.png", Image.new("L", (4, 4), 9))
    data = folder(path=str(two))
    assert (len(data.x), data.x_val[:, 0, 0, 0].tolist(), data.y_val.tolist()) == (4, [7], [1])
    assert (data.x_test[:, 0, 0, 0].tolist(), data.y_test.tolist()) == ([8, 9], [0, 1])


def test_class_folders_need_no_train(folder, two):
    assert folder(path=str(two)).fingerprint == folder(path=str(two / "train")).fingerprint


def test_a_class_may_be_called_train(folder, put, tmp_path):
    for name in ("car", "plane", "train", "valid"):
        put(f"{name}/0.png")
    assert folder(path=str(tmp_path)).classes == ("car", "plane", "train", "valid")


def test_hidden_and_other_files_are_passed_by(folder, two):
    before = folder(path=str(two)).fingerprint
    for name in (".DS_Store", "train/cat/Thumbs.db", "train/cat/.0.png", "train/notes.txt", "readme.png"):
        (two / name).write_bytes(b"no picture")
    (two / "train" / ".ipynb_checkpoints").mkdir()
    (two / "train" / "cat" / "more.png").mkdir()
    assert folder(path=str(two)).fingerprint == before


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "gif", "webp", "jpg", "jpeg", "JPG"])
def test_every_format_is_read(pixels, suffix):
    assert abs(pixels(Image.new("RGB", (4, 3), (200, 60, 20)), suffix)[0, 0].astype(int) - (200, 60, 20)).max() < 5


@pytest.mark.parametrize("image, expected", [
    (Image.new("1", (4, 4), 1), [255]),
    (Image.new("L", (4, 4), 77), [77]),
    (Image.new("LA", (4, 4), (77, 255)), [77]),
    (Image.new("LA", (4, 4), (77, 0)), [255]),
    (Image.new("RGB", (4, 4), GREEN), GREEN),
    (Image.new("RGB", (4, 4), (9, 80, 200)).quantize(4), (9, 80, 200)),
    (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), RED),
    (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), (255, 255, 255)),
    (Image.fromarray(np.full((4, 4), 65535, np.uint16)), [255]),
    (Image.fromarray(np.full((4, 4), 257 * 40, np.uint16)), [40]),
    (Image.fromarray(np.full((4, 4), 300, np.uint16)), [1]),
])  # fmt: skip
def test_every_mode_becomes_eight_bits(pixels, image, expected):
    assert pixels(image)[1, 2].tolist() == list(expected)


def test_cmyk_is_converted(pixels):
    red = pixels(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "jpg", save={"quality": 100})
    assert red[0, 0, 0] > 240 and red[0, 0, 1:].max() < 15


def test_transparent_palette_colours_are_white(pixels):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([9, 9, 9, 0, 0, 255])
    assert pixels(image, save={"transparency": 0})[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation_counts(pixels, suffix):
    save = {"save_all": True, "append_images": [Image.new("RGB", (4, 4), BLUE)]}
    if suffix == "webp":
        save["lossless"] = True
    assert pixels(Image.new("RGB", (4, 4), RED), suffix, save=save)[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_pictures_are_turned_upright(pixels, suffix):
    image = Image.new("L", (4, 2), 0)
    image.paste(255, (0, 0, 2, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright = pixels(image, suffix, save={"exif": exif})
    assert upright.shape == (4, 2, 1) and upright[0].min() > 200 and upright[3].max() < 50


def test_colour_is_grey_only_if_all_are(folder, two, put):
    assert folder(path=str(two)).input_shape == (4, 4, 1)
    assert folder(path=str(two), color="rgb").input_shape == (4, 4, 3)
    put("train/dog/9.png", Image.new("RGB", (4, 4), RED))
    assert folder(path=str(two)).x[:, 0, 0].tolist() == [[0] * 3, [50] * 3, [100] * 3, [150] * 3, [255, 0, 0]]
    assert folder(path=str(two), color="grey").x[-1, 0, 0].tolist() == [76]


def test_two_sizes_need_a_size(folder, two, put, says):
    put("train/dog/2.png", Image.new("L", (6, 5)))
    assert says(folder, path=str(two)) == (
        f"{two}/train/cat/0.png is 4x4 but {two}/train/dog/2.png is 6x5 pixels; expected one size. "
        "Resize them all with `--set dataset.size=32`."
    )
    assert folder(path=str(two), size=3).input_shape == (3, 3, 1)


def test_resizing_is_bilinear(pixels):
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    expected = np.asarray(image.resize((5, 5), Image.Resampling.BILINEAR))
    assert np.array_equal(pixels(image, size=5)[..., 0], expected)


def test_limit_is_for_training_only(folder, two, put):
    put("test/cat/0.png")
    data = folder(path=str(two), limit=2)
    assert data.y.tolist() == [0, 1] and len(data.x_test) == 1
    assert data.fingerprint == folder(path=str(two), limit=2).fingerprint


def test_damaged_pictures_are_named_and_counted(folder, two, put, says):
    whole = put("train/dog/z.png", Image.effect_noise((64, 64), 50)).read_bytes()
    bad = two / "train" / "dog" / "1.png"
    (two / "train" / "dog" / "z.png").unlink()
    bad.write_bytes(whole[:900])
    ending = " Expected whole pictures (BMP, GIF, JPEG, PNG, WEBP). Move it away, or save it again."
    line = says(folder, path=str(two))
    assert line.startswith(f"{bad}: this picture cannot be read (OSError: ")
    assert line.endswith(")." + ending) and "other" not in line
    (two / "train" / "dog" / "2.png").write_bytes(b"")
    assert says(folder, path=str(two)).endswith("). Neither can 1 other." + ending)
    (two / "train" / "dog" / "3.jpg").write_text("<html>")
    assert says(folder, path=str(two)).endswith("). Neither can 2 others." + ending)


def test_no_picture_at_all_can_be_read(folder, tmp_path, says):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"")
    assert f"{tmp_path}/cat/0.png: this picture cannot be read (UnidentifiedImageError" in says(
        folder, path=str(tmp_path)
    )


def test_other_formats_under_a_pictures_name_are_refused(folder, two, put, says):
    put("train/cat/2.png", Image.new("L", (4, 4)), format="TIFF")
    assert "train/cat/2.png: this picture cannot be read (UnidentifiedImageError" in says(folder, path=str(two))


@pytest.mark.parametrize("side, kind", [(10_000, "Warning"), (20_000, "Error")])
def test_bombs_are_refused(folder, two, put, says, side, kind):
    put("train/cat/2.png", Image.new("1", (side, side)))
    assert f"2.png: this picture cannot be read (DecompressionBomb{kind}" in says(folder, path=str(two), size=8)


def test_more_than_the_memory_holds_is_refused(folder, two, says):
    side = int(psutil.virtual_memory().total ** 0.5)
    line = says(folder, path=str(two), size=side)
    assert line.startswith(f"folder: 4 pictures of {side}x{side} pixels need ")
    assert "Make them smaller with `--set dataset.size=32`" in line


@pytest.mark.parametrize("link, target", [
    ("train/cat/9.png", "secret.png"), ("train/gnu", "."), ("test", "."), ("train/cat/9.png", "gone.png"),
])  # fmt: skip
def test_links_that_lead_out_are_refused(folder, two, put, says, tmp_path_factory, link, target):
    outside = tmp_path_factory.mktemp("outside")
    Image.new("L", (4, 4)).save(outside / "secret.png")
    (two / link).symlink_to(outside / target)
    assert says(folder, path=str(two)) == (
        f"{two}/{link}: this link leads out of {two}; expected pictures inside. Copy them there."
    )


def test_links_inside_and_a_linked_root_are_followed(folder, two, tmp_path_factory):
    (two / "train" / "cat" / "2.png").symlink_to("0.png")
    root = tmp_path_factory.mktemp("links") / "root"
    root.symlink_to(two)
    assert len(folder(path=str(root)).x) == 5


def test_a_link_to_nowhere_is_named(folder, two, says):
    (two / "train" / "cat" / "2.png").symlink_to("gone.png")
    assert "train/cat/2.png: this picture cannot be read (FileNotFoundError" in says(folder, path=str(two))


def test_a_link_to_itself_is_named(folder, two, says):
    (two / "train" / "cat" / "3.png").symlink_to("3.png")
    assert "train/cat/3.png" in says(folder, path=str(two))


@pytest.mark.parametrize("paths, words", [
    ([], "ROOT: there are no pictures in class folders; looked for PATH/train/CLASS/* or PATH/CLASS/*"),
    (["0.png"], "ROOT: there are no pictures in class folders"),
    (["train/0.png"], "ROOT: there is one class only, 'train'"),
    (["train/cat/0.png"], "ROOT: there is one class only, 'cat'; expected a folder for each of two or more."),
    (["train/cat/0.txt", "train/dog/0.png"], "ROOT/train/cat: this class has no pictures"),
    (["test/cat/0.png", "val/cat/0.png"], "ROOT: there is test and val but no train"),
    (["train/cat/0.png", "train/dog/0.png", "val/note/x.txt"], "ROOT/val: there are no pictures"),
    (["train/cat/0.png", "train/dog/0.png", "test/dgo/0.png"],
     "ROOT: the class 'dgo' is in test but not in train, which has cat, dog. Did you mean 'dog'?"),
    (["train/cat/0.png", "train/dog/0.png", "valid/dog/0.png"],
     "ROOT/valid: this would not be read; expected the name 'val'. Rename it."),
    (["train/cat/0.png", "train/dog/0.png", "Test/dog/0.png"], "ROOT/Test: this would not be read; expected"),
])  # fmt: skip
def test_layouts_that_cannot_be_used_are_said(folder, put, tmp_path, says, paths, words):
    for path in paths:
        put(path, format="PNG")
    assert says(folder, path=str(tmp_path)).startswith(words.replace("ROOT", str(tmp_path)))


@pytest.mark.parametrize("options, words", [
    ({"path": ""}, "folder: which folder? Name one with `--set dataset.path=FOLDER`."),
    ({"path": "/no/such"}, "/no/such: this is not a folder; looked for PATH/train/CLASS/*"),
    ({"size": -1}, "folder: size=-1; expected 0"),
    ({"color": "gray"}, "folder: color='gray'; expected one of grey, rgb, auto. Did you mean 'grey'?"),
    ({"limit": 1}, "folder: limit=1 cannot be had; expected 2 (one image of each class) to 4"),
    ({"limit": 5}, "folder: limit=5 cannot be had"),
])  # fmt: skip
def test_options_that_cannot_be_used_are_said(folder, two, says, options, words):
    assert says(folder, **({"path": str(two)} | options)).startswith(words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_said(folder, two, says):
    (two / "train").chmod(0)
    try:
        assert "cannot be looked through (PermissionError" in says(folder, path=str(two))
    finally:
        (two / "train").chmod(0o700)


def test_the_order_is_that_of_the_names(folder, put, tmp_path):
    for name in ("b/2.png", "b/10.png", "a/z.png", "B/1.png"):
        put(name, Image.new("L", (4, 4), len(name)))
    data = folder(path=str(tmp_path))
    assert data.classes == ("B", "a", "b") and data.y.tolist() == [0, 1, 2, 2]
    assert data.x[2:, 0, 0, 0].tolist() == [8, 7]
