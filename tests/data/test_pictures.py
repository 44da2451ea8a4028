"""A folder of photos as people have them: searched where it lies, exported, and answered again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from cnnsearch import Dataset
from cnnsearch.cli import main
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data import image_cache, loading
from cnnsearch.results import predict, prediction_inputs
from cnnsearch.results.export import MARK, snippets
from cnnsearch.spaces import plugins
from tests.conftest import Run

SAVED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("jpg", "CMYK", {}),
    ("png", "L", {}),
    ("gif", "P", {}),
    ("tif", "RGB", {"compression": "tiff_lzw"}),
    ("tiff", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]}),
    ("png", "RGBA", {}),
    ("JPG", "RGB", {"exif": True}),
    ("png", "I;16", {}),
    ("webp", "RGB", {}),
)


def photos(root: Path, count: int = 36) -> None:
    """Two classes of photos in every form, four of each animal; the last two files cannot be read."""
    draw = np.random.default_rng(0)
    for index in range(count):
        name, (suffix, mode, options) = ("cat", "dog")[index % 2], SAVED[index % len(SAVED)]
        width, height = (int(side) for side in draw.integers(12, 50, 2))
        pixels = draw.integers(0, 80, (height, width, 3), dtype=np.uint8)
        pixels[..., index % 2] += 150
        image = Image.fromarray(pixels)
        deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257) if mode == "I;16" else None
        turned = Image.Exif()
        turned[0x0112] = 6
        given = options | ({"exif": turned} if "exif" in options else {})
        (root / name).mkdir(exist_ok=True)
        (deep or image.convert(mode)).save(root / name / f"a{index // 4}_{index:02}.{suffix}", **given)
    (root / "cat" / "a0_cut.jpg").write_bytes((root / "cat" / "a0_00.jpg").read_bytes()[:300])
    (root / "dog" / "a1_text.jpg").write_text("no picture")


def test_photos_are_searched_exported_and_answered(run: Run, tmp_path: Path) -> None:
    photos(tmp_path)
    asked = ("run", "--space", "digits_cnn", "--dataset", ".", "--epochs", "1", "--set", "filters.first=[4]")
    pictures = ("--set", "dataset.resize=crop", "--group-by", r"^(a\d+)_")
    done = run(*asked, *pictures, "--skip-unreadable", "--trials", "1", "--study", "pets")
    assert done.returncode == 0, done.stderr
    unread, resized, *_ = done.stdout.splitlines()
    assert unread.startswith("2 of 38 pictures cannot be read and are left out; the first is ")
    assert resized.startswith("38 pictures of ") and resized.endswith(
        "sizes: resized to 8x8 (cropped). Choose another size with --image-size."
    )
    done = run("export", "pets", "-o", "exports/pets")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "exports" / "pets" / MARK).read_text())
    assert card["classes"] == ["cat", "dog"] and card["data"]["resize"] == "crop" and card["data"]["unreadable"] == 2
    assert sum(card["data"]["images"].values()) == 36 and card["input_shape"] == [8, 8, 3]
    answers = list(predict.predict(predict.find(tmp_path / "exports" / "pets"), [tmp_path / "cat"]))
    assert [answer.file.name for answer in answers if answer.problem] == ["a0_cut.jpg"] and len(answers) == 19
    # runs and exports are no classes, and nothing is decoded again
    told: list[tuple[int, int]] = []
    surroundings = loading.Loading(tmp_path / "runs" / image_cache.FOLDER, (8, 8), tell=lambda *at: told.append(at))
    with loading.within(surroundings):
        data = folder_of(tmp_path, resize="crop", group_by=r"^(a\d+)_", skip_unreadable=True)
    assert data.classes == ("cat", "dog") and not told and image_cache.fingerprint(data) == card["data"]["fingerprint"]


def folder_of(path: Path, **options: Any) -> Dataset:
    folder = plugins.load().get("dataset", "folder").function
    assert folder is not None
    found = folder(path=str(path), **options)
    assert isinstance(found, Dataset)
    return found


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_predict_sees_a_photo_as_the_search_did(tmp_path: Path, resize: str) -> None:
    photos(tmp_path)
    data = folder_of(tmp_path, image_size="10x8", resize=resize, skip_unreadable=True)
    files = [file for name in ("cat", "dog") for file in sorted((tmp_path / name).iterdir()) if "t" not in file.stem]
    assert len(files) == len(data.x) == 36
    written = snippets.resized(snippets.PICTURE.format(shape="8, 10, 3", scale=""), resize)
    for file, image in zip(files, data.x, strict=True):
        np.testing.assert_array_equal(prediction_inputs._from_picture(file, (8, 10, 3), resize), image)
        # so does the program on the card, which leaves out 16 bits
        if file.suffix in (".jpg", ".tif", ".webp"):
            names: dict[str, Any] = {"Image": Image, "ImageOps": ImageOps, "np": np}
            exec(written.replace('"picture.png"', repr(str(file))), names)
            np.testing.assert_array_equal(names["pixels"][0], image)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--image-size", "32"), "--image-size is for folders of pictures; the dataset 'digits' has no option"),
        (("--skip-unreadable",), "--skip-unreadable is for folders of pictures; the dataset 'digits' has no option"),
        (("--group-by", "x"), "has no option 'group_by'. A .npz file may hold an array 'groups'."),
    ],
)
def test_what_is_for_pictures_alone_says_so(option: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(main.main, ["run", "--space", "digits_cnn", *option])
    assert done.exit_code == 2 and words in done.output and done.output.count("\n") == 1


def test_a_search_in_a_folder_of_another_name_does_not_take_it_for_a_class(tmp_path: Path) -> None:
    photos(tmp_path)
    (tmp_path / "results" / "study" / "logs").mkdir(parents=True)
    with pytest.raises(CnnsearchError, match="results: this class has no pictures"):
        folder_of(tmp_path, skip_unreadable=True)
    with loading.within(loading.Loading(written=((tmp_path / "results").resolve(),))):
        assert folder_of(tmp_path, skip_unreadable=True).classes == ("cat", "dog")
