"""folder: real pictures of every kind, layouts, and what is said about what cannot be used."""

import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from cnnsearch.core.errors import DataError
from cnnsearch.data import image_cache, image_decoding, loading
from cnnsearch.data.arrays import limited, noisy
from cnnsearch.data.splits import split

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


def test_pictures_directly_in_train_and_test_are_no_classes(folder, put, tmp_path):
    for name in ("train/0.png", "train/1.png", "test/0.png"):
        put(name)
    with pytest.raises(DataError, match="the pictures are directly in test and train"):
        folder(path=str(tmp_path))


def test_hidden_and_other_files_are_passed_by(folder, two):
    before = folder(path=str(two)).fingerprint
    for name in (".DS_Store", "train/cat/Thumbs.db", "train/cat/.0.png", "train/notes.txt", "readme.png"):
        (two / name).write_bytes(b"no picture")
    (two / "train" / ".ipynb_checkpoints").mkdir()
    (two / "train" / "cat" / "more.png").mkdir()
    assert folder(path=str(two)).fingerprint == before


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "gif", "webp", "jpg", "jpeg", "JPG", "tif", "TIFF"])
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
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_every_mode_becomes_eight_bits(pixels, image, expected, suffix):
    # a TIFF has no palette of grey with transparency
    assert pixels(image, suffix)[1, 2].tolist() == list(expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_twelve_bits_in_sixteen_are_told(folder, put, tmp_path, suffix):
    for name, value in (("a/0", 4095), ("b/0", 300)):
        put(f"{name}.{suffix}", Image.fromarray(np.full((4, 4), value, np.uint16)))
    assert folder(path=str(tmp_path)).notes == (
        "The 16-bit pictures have values up to 4,095 of 65,535. Converted to 8 bits they keep 17 grey levels. "
        "Give them as a .npz file or .npy files to keep their values.",
    )
    put(f"b/1.{suffix}", Image.fromarray(np.full((4, 4), 5000, np.uint16)))
    assert folder(path=str(tmp_path)).notes == ()


@pytest.mark.parametrize("value, expected", [(0.4, 102), (1.0, 255), (40.0, 40), (2570.0, 10)])
def test_floats_of_a_tiff_become_eight_bits(pixels, value, expected):
    assert pixels(Image.fromarray(np.full((4, 4), value, np.float32)), "tif")[0, 0].tolist() == [expected]


def test_floats_a_little_above_one_leave_the_others_as_they_are(pixels):
    values = np.full((4, 4), 0.4, np.float32)
    values[3, 3] = 1.01
    found = pixels(Image.fromarray(values), "tif")
    assert found[0, 0].tolist() == [102] and found[3, 3].tolist() == [255]


def test_cmyk_is_converted(pixels):
    red = pixels(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "jpg", save={"quality": 100})
    assert red[0, 0, 0] > 240 and red[0, 0, 1:].max() < 15


def test_transparent_palette_colours_are_white(pixels):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([9, 9, 9, 0, 0, 255])
    assert pixels(image, save={"transparency": 0})[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_frame_of_an_animation_counts(pixels, suffix):
    save = {"save_all": True, "append_images": [Image.new("RGB", (4, 4), BLUE)]}
    if suffix == "webp":
        save["lossless"] = True
    assert pixels(Image.new("RGB", (4, 4), RED), suffix, save=save)[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
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


@pytest.mark.parametrize("sizes, options, expected, note", [
    ([(4, 4)] * 4, {}, (4, 4), ""),
    ([(300, 500)] * 2, {}, (300, 500), ""),
    ([(600, 300)] * 2, {}, (128, 64), "2 pictures of 600x300: resized to 128x64 (stretched). Choose another size"),
    ([(500, 375), (500, 375), (400, 375), (9, 7)], {}, (128, 107), "4 pictures of 3 sizes: resized to 128x107 ("),
    ([(5, 3), (5, 3), (7, 3)], {"resize": "crop"}, (5, 3), "3 pictures of 2 sizes: resized to 5x3 (cropped)."),
    ([(5, 3), (7, 3)], {"image_size": "6x2"}, (6, 2), "2 pictures of 2 sizes: resized to 6x2 (stretched)."),
    ([(5, 3), (7, 3)], {"image_size": "6", "resize": "pad"}, (6, 6), "2 pictures of 2 sizes: resized to 6x6 (padded)."),
    ([(5, 3), (5, 3)], {"size": 4}, (4, 4), "2 pictures of 5x3: resized to 4x4 (stretched)."),
])  # fmt: skip
def test_pictures_of_many_sizes_get_one(folder, put, tmp_path, sizes, options, expected, note):
    for index, size in enumerate(sizes):
        put(f"{'ab'[index % 2]}/{index}.png", Image.new("L", size))
    data = folder(path=str(tmp_path), **options)
    assert data.input_shape == (expected[1], expected[0], 1)
    assert data.facts == {"resize": options.get("resize", "stretch")}
    assert len(data.notes) == bool(note) and "".join(data.notes).startswith(note)
    assert ("Choose another size with --image-size." in "".join(data.notes)) == (
        bool(note) and not {"size", "image_size"} & {*options}
    )


def test_the_size_of_the_space_comes_before_that_of_the_pictures(folder, put, tmp_path):
    for name in ("a/0.png", "b/0.png"):
        put(name, Image.new("L", (6, 5)))
    with loading.within(loading.Loading(size=(6, 5))):
        assert folder(path=str(tmp_path)).notes == ()
    with loading.within(loading.Loading(size=(9, 8))):
        data = folder(path=str(tmp_path))
        assert data.input_shape == (8, 9, 1)
        assert data.notes == ("2 pictures of 6x5: resized to 9x8 (stretched). Choose another size with --image-size.",)
        put("b/1.png", Image.new("L", (6, 4)))
        assert folder(path=str(tmp_path)).input_shape == (8, 9, 1)
        assert folder(path=str(tmp_path), image_size="3").input_shape == (3, 3, 1)


@pytest.mark.parametrize("resize, expected", [
    ("stretch", [[0, 100, 100, 200]] * 4),
    ("crop", [[100] * 4] * 4),
    ("pad", [[0] * 4, [0, 100, 100, 200], [0, 100, 100, 200], [0] * 4]),
])  # fmt: skip
def test_how_pictures_are_resized(pixels, resize, expected):
    image = Image.new("L", (80, 40), 100)
    image.paste(0, (0, 0, 20, 40))
    image.paste(200, (60, 0, 80, 40))
    found = pixels(image, image_size="4x4", resize=resize)[..., 0].astype(int)
    # at an edge two colours are mixed
    assert np.abs(found - expected).max() <= 30


def test_resizing_is_bilinear(pixels):
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    expected = np.asarray(image.resize((5, 5), Image.Resampling.BILINEAR))
    assert np.array_equal(pixels(image, size=5)[..., 0], expected)


def test_limit_is_for_training_only(folder, two, put):
    put("test/cat/0.png")
    data = folder(path=str(two), limit=2)
    assert data.y.tolist() == [0, 1] and len(data.x_test) == 1
    assert data.fingerprint == folder(path=str(two), limit=2).fingerprint


def test_damaged_pictures_are_counted_and_the_first_is_named(folder, two, put, says):
    whole = put("train/dog/z.png", Image.effect_noise((64, 64), 50)).read_bytes()
    bad = two / "train" / "dog" / "1.png"
    (two / "train" / "dog" / "z.png").unlink()
    bad.write_bytes(whole[:900])
    ending = (
        " Expected whole pictures (BMP, GIF, JPEG, PNG, TIFF, WEBP). Save them again, move them away, or leave "
        "them out with --skip-unreadable."
    )
    line = says(folder, path=str(two))
    assert line.startswith(f"{two}: 1 of 4 pictures cannot be read; the first is {bad} (OSError: ")
    assert line.endswith(")." + ending)
    (two / "train" / "dog" / "2.png").write_bytes(b"")
    (two / "train" / "dog" / "3.jpg").write_text("<html>")
    assert says(folder, path=str(two)).startswith(f"{two}: 3 of 6 pictures cannot be read; the first is {bad} (OSErr")


def test_unreadable_pictures_are_left_out_if_asked(folder, two, put, says):
    whole = folder(path=str(two))
    for name in ("train/cat/00.png", "train/dog/z.tif"):
        (two / name).write_bytes(b"")
    data = folder(path=str(two), skip_unreadable=True)
    assert data.fingerprint == whole.fingerprint and data.facts == {"resize": "stretch", "unreadable": 2}
    assert data.notes[0].startswith(f"2 of 6 pictures cannot be read and are left out; the first is {two}/train/cat/00")
    for name in ("0.png", "1.png"):
        (two / "train" / "dog" / name).write_bytes(b"")
    assert says(folder, path=str(two), skip_unreadable=True) == (
        f"{two}: no picture of class 'dog' can be read; expected one or more of each class. "
        "Save them again, or move the folder away."
    )


def test_a_part_of_which_nothing_can_be_read_is_said(folder, two, says):
    (two / "val" / "cat").mkdir(parents=True)
    (two / "val" / "cat" / "0.png").write_bytes(b"")
    assert f"{two}: no picture of val can be read" in says(folder, path=str(two), skip_unreadable=True)


def test_folders_that_cnnsearch_makes_are_no_classes(folder, two, put):
    root, card = two / "train", '{"study": "s", "trial": 3, "classes": ["cat", "dog"]}'
    for name in ("runs", "mlruns", "elsewhere", "old_export", "exports/s", "results/s", "tracked/0"):
        (root / name).mkdir(parents=True)
    for name in ("old_export", "exports/s", "results/s"):
        (root / name / "card.json").write_text(card)
        put(f"train/{name}/curves.png")
    (root / "elsewhere" / "cnnsearch.db").write_bytes(b"")
    (root / "tracked" / "0" / "meta.yaml").write_text("")
    (root / "mlflow.db").write_bytes(b"")
    assert folder(path=str(root)).classes == ("cat", "dog")
    # a user's class may have any name
    put("train/runs/0.png")
    put("train/exports/0.png")
    assert folder(path=str(root)).classes == ("cat", "dog", "exports", "runs")


def test_other_formats_under_a_pictures_name_are_refused(folder, two, put, says):
    put("train/cat/2.png", Image.new("L", (4, 4)), format="PPM")
    assert f"the first is {two}/train/cat/2.png (UnidentifiedImageError" in says(folder, path=str(two))


@pytest.mark.parametrize("side, kind", [(10_000, "Warning"), (20_000, "Error")])
def test_bombs_are_refused(folder, two, put, says, side, kind):
    put("train/cat/2.png", Image.new("1", (side, side)))
    assert f"2.png (DecompressionBomb{kind}" in says(folder, path=str(two), size=8)


def test_more_than_the_memory_holds_is_refused(folder, two, says):
    side = int(psutil.virtual_memory().total ** 0.5)
    line = says(folder, path=str(two), size=side)
    assert line.startswith(f"{two}: 4 pictures of {side}x{side} pixels need ")
    assert "Make them smaller with --image-size 32" in line


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
    assert "train/cat/2.png (FileNotFoundError" in says(folder, path=str(two))


def test_a_link_to_itself_is_named(folder, two, says):
    (two / "train" / "cat" / "3.png").symlink_to("3.png")
    assert "train/cat/3.png" in says(folder, path=str(two))


@pytest.mark.parametrize("paths, words", [
    ([], "ROOT: there are no pictures in class folders; looked for PATH/train/CLASS/* or PATH/CLASS/*"),
    (["0.png"], "ROOT: there are no pictures in class folders"),
    (["train/0.png"], "ROOT: the pictures are directly in train; looked for"),
    (["train/cat/0.png"], "ROOT: there is only one class, 'cat'; expected a folder for each of two or more."),
    (["train/cat/0.txt", "train/dog/0.png"], "ROOT/train/cat: this class has no pictures"),
    (["test/cat/0.png", "val/cat/0.png"], "ROOT: there is test and val but no train"),
    (["train/cat/0.png", "train/dog/0.png", "val/note/x.txt"], "ROOT/val: there are no pictures"),
    (["train/cat/0.png", "train/dog/0.png", "test/dgo/0.png"],
     "ROOT: the class 'dgo' is in test but not in train, which has cat, dog. Did you mean 'dog'?"),
    (["train/cat/0.png", "train/dog/0.png", "valid/dog/0.png", "val/dog/0.png"],
     "ROOT: both val and valid hold images of val. Rename one."),
    (["pets/cat/0.png", "pets/dog/0.png"],
     "ROOT: there is only one class, 'pets'; expected a folder for each of two or more. Did you mean ROOT/pets?"),
])  # fmt: skip
def test_layouts_that_cannot_be_used_are_said(folder, put, tmp_path, says, paths, words):
    for path in paths:
        put(path, format="PNG")
    assert says(folder, path=str(tmp_path)).startswith(words.replace("ROOT", str(tmp_path)))


def test_parts_have_their_usual_names_and_classes_may_have_subfolders(folder, put, tmp_path):
    for path in ("Training/cat/a/0.png", "Training/cat/1.png", "Training/dog/b/c/2.png", "Testing/dog/3.png"):
        put(path, format="PNG")
    for path in ("validation/cat/4.png", "Training/dog/mlruns/1/curves.png"):
        put(path, format="PNG")
    found = folder(path=str(tmp_path))
    assert found.classes == ("cat", "dog") and found.y.tolist() == [0, 0, 1]
    assert (found.y_val.tolist(), found.y_test.tolist()) == ([0], [1])


@pytest.mark.parametrize("options, words", [
    ({"path": ""}, "folder: no path is given. Name a folder with `--dataset folder:PATH`."),
    ({"path": "/no/such"}, "/no/such: this is not a folder; looked for PATH/train/CLASS/*"),
    ({"size": -1}, "folder: size=-1; expected 0"),
    ({"image_size": "0"}, "folder: image_size='0'; expected WIDTHxHEIGHT such as 96x64, or one number such as 96."),
    ({"image_size": "big"}, "folder: image_size='big'; expected WIDTHxHEIGHT"),
    ({"image_size": "8", "size": 8}, "folder: both size=8 and image_size='8'; expected one of them."),
    ({"resize": "padd"}, "folder: resize='padd'; expected one of stretch, crop, pad. Did you mean 'pad'?"),
    ({"group_by": "("}, "--group-by (: this is not a regular expression (missing ), unterminated subpattern"),
    ({"group_by": "p[0-9]"}, "--group-by p[0-9]: it does not match ROOT/train/cat/0.png; expected a part of every"),
    ({"color": "gray"}, "folder: color='gray'; expected one of grey, rgb, auto. Did you mean 'grey'?"),
    ({"limit": 1}, "folder: limit=1 is not possible; expected 2 (one image of each class) to 4"),
    ({"limit": 5}, "folder: limit=5 is not possible"),
])  # fmt: skip
def test_options_that_cannot_be_used_are_said(folder, two, says, options, words):
    assert says(folder, **({"path": str(two)} | options)).startswith(words.replace("ROOT", str(two)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_said(folder, two, says):
    (two / "train").chmod(0)
    try:
        assert "cannot be searched for pictures (PermissionError" in says(folder, path=str(two))
    finally:
        (two / "train").chmod(0o700)


def test_the_order_is_that_of_the_names(folder, put, tmp_path):
    for name in ("b/2.png", "b/10.png", "a/z.png", "B/1.png"):
        put(name, Image.new("L", (4, 4), len(name)))
    data = folder(path=str(tmp_path))
    assert data.classes == ("B", "a", "b") and data.y.tolist() == [0, 1, 2, 2]
    assert data.x[2:, 0, 0, 0].tolist() == [8, 7]


# ---------------------------------------------------------------- kept in files


@pytest.fixture
def cached(folder, tmp_path_factory):
    """folder with a cache, and the messages about how far it is."""
    cache, told = tmp_path_factory.mktemp("runs") / "data", []

    def load(root, **options):
        told.clear()
        with loading.within(loading.Loading(cache=cache, tell=lambda done, total: told.append((done, total)))):
            return folder(path=str(root), **options), list(told)

    load.cache = cache
    return load


def test_pictures_are_decoded_once_into_a_file_that_is_mapped(folder, cached, two, put):
    put("val/dog/0.png", Image.new("L", (4, 4), 7))
    plain, (first, told), (second, again) = folder(path=str(two)), cached(two), cached(two)
    assert told[-1] == (5, 5) and again == []
    for data in (first, second):
        assert data.fingerprint == plain.fingerprint == image_cache.fingerprint(data)
        assert image_cache.is_mapped(data.x) and image_cache.is_mapped(data.x_val) and data.home.parent == cached.cache
        np.testing.assert_array_equal(data.x, plain.x)
    # what one writes no other sees
    first.x[:] = 1
    np.testing.assert_array_equal(cached(two)[0].x, plain.x)
    put("train/cat/0.png", Image.new("L", (4, 4), 8))
    assert cached(two)[1] and cached(two)[0].x[0, 0, 0, 0] == 8
    assert cached(two, image_size="3")[1] and not cached(two, image_size="3")[1]


def test_what_is_left_out_is_known_the_next_time(cached, two, says):
    (two / "train" / "dog" / "1.png").write_bytes(b"")
    said = says(lambda: cached(two))
    assert "1 of 4 pictures cannot be read" in said and said == says(lambda: cached(two))
    data, told = cached(two, skip_unreadable=True)
    assert told == [] and data.y.tolist() == [0, 0, 1] and data.facts["unreadable"] == 1


def test_a_file_that_the_system_did_not_give_is_tried_again(cached, two, says, monkeypatch):
    bad, decode, opens = two / "train" / "dog" / "1.png", image_decoding.decode, image_decoding._opens

    def fails(file, *how):
        if file == bad:
            raise OSError(5, "Input/output error")
        return decode(file, *how)

    monkeypatch.setattr(image_decoding, "decode", fails)
    monkeypatch.setattr(image_decoding, "_opens", lambda file: False)
    assert len(cached(two, skip_unreadable=True)[0].x) == 3
    # as long as it is not given, the others are not decoded anew
    assert cached(two, skip_unreadable=True)[1] == []
    monkeypatch.setattr(image_decoding, "decode", decode)
    monkeypatch.setattr(image_decoding, "_opens", opens)
    data, told = cached(two)
    assert len(data.x) == 4 and told[-1] == (4, 4) and cached(two)[1] == []


def test_two_folders_of_equal_names_sizes_and_dates_are_two(cached, two, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(two, other, dirs_exist_ok=True)
    Image.new("L", (4, 4), 50).save(other / "train" / "cat" / "0.png")
    Image.new("L", (4, 4), 0).save(other / "train" / "cat" / "1.png")
    for root in (two, other):
        for file in root.rglob("*.png"):
            os.utime(file, (0, 0))
    assert cached(two)[0].x[:2, 0, 0, 0].tolist() == [0, 50]
    assert cached(other)[0].x[:2, 0, 0, 0].tolist() == [50, 0]


@pytest.mark.parametrize("memory", [10**9, 0])
def test_a_full_disk_is_one_line_where_memory_does_not_help(cached, two, says, monkeypatch, memory):
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    monkeypatch.setattr(image_decoding, "free_memory", lambda: memory)
    if memory:
        assert not image_cache.is_mapped(cached(two)[0].x)
    else:
        assert says(lambda: cached(two)).startswith(
            f"{two}: the decoded images need 0.0 GiB in {cached.cache}, and 0.0"
        )
    assert not list(cached.cache.glob("*/"))


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(cached, two, says, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_decoding, "_decode", full)
    monkeypatch.setattr(image_decoding, "free_memory", lambda: 0)
    assert f"{two}: {cached.cache} cannot be written (No space left on device)" in says(lambda: cached(two))
    assert not list(cached.cache.glob("*/"))


def test_labels_from_elsewhere_are_part_of_the_fingerprint(cached, two):
    data, _ = cached(two)
    assert data.home is not None
    others = replace(data, y=1 - data.y)
    assert len({image_cache.fingerprint(data), image_cache.fingerprint(others)}) == 2
    assert limited(data, 2).home is None and noisy(data, 0.5, 0).home is None


def test_old_images_and_what_a_killed_process_left_are_swept(cached, two):
    data, _ = cached(two)
    runs = cached.cache.parent
    (cached.cache / ".x.partial").mkdir()
    image_cache.sweep(runs)
    assert data.home.is_dir() and not (cached.cache / ".x.partial").exists()
    os.utime(data.home / "facts.json", (0, 0))
    # whoever uses them notes it
    assert cached(two)[1] == []
    image_cache.sweep(runs)
    assert data.home.is_dir()
    os.utime(data.home / "facts.json", (0, 0))
    image_cache.sweep(runs)
    assert not data.home.exists()


def test_the_parts_of_kept_images_are_kept_too(folder, cached, put, tmp_path):
    for index in range(60):
        put(f"{'ab'[index % 2]}/{index:02}.png", Image.new("L", (4, 4), index))
    plain, (data, _) = split(folder(path=str(tmp_path)), 3, 0.2), cached(tmp_path)
    for _ in range(2):
        parts = image_cache.parts(data, 3, 0.2)
        for name in ("x", "x_val", "x_test"):
            assert image_cache.is_mapped(getattr(parts, name))
            np.testing.assert_array_equal(getattr(parts, name), getattr(plain, name))
        assert parts.y.tolist() == plain.y.tolist()
    assert len(list(data.home.glob("part-*/"))) == 3


# ---------------------------------------------------------------- groups


def test_groups_come_from_the_names_of_files(folder, put, tmp_path):
    for index in range(12):
        put(f"{'ab'[index % 2]}/x_p{index // 3}-{index}.png", Image.new("L", (4, 4), index))
    assert set(folder(path=str(tmp_path), group_by=r"p(\d+)").groups) == {"0", "1", "2", "3"}
    assert set(folder(path=str(tmp_path), group_by=r"p\d+").groups) == {"p0", "p1", "p2", "p3"}
    plain, grouped = folder(path=str(tmp_path)), folder(path=str(tmp_path), group_by=r"p\d+")
    assert plain.groups is None and plain.fingerprint != grouped.fingerprint


def test_groups_in_two_parts_of_the_user_are_warned_of(folder, put, tmp_path):
    for name in ("train/a/p1_0", "train/b/p2_0", "train/a/p3_0", "val/a/p4_0", "test/b/p2_1", "test/a/p1_1"):
        put(f"{name}.png")
    data = folder(path=str(tmp_path), group_by=r"p\d")
    assert data.notes == (
        "Warning: 2 groups of --group-by are in both train and test, the first is 'p1': "
        "scores on test are too optimistic.",
    )
