"""Damaged, odd and hostile pictures and .npz files: they are read rightly, or one line names the file."""

import io
import os
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnsearch import Dataset
from cnnsearch.core.errors import DataError
from cnnsearch.data import arrays
from cnnsearch.spaces import plugins

KNOWN = plugins.load(here=Path(__file__).parent)
folder = KNOWN.get("dataset", "folder").function
npz = KNOWN.get("dataset", "npz").function
WAY_OUT = "or leave them out with --skip-unreadable."

Put = Callable[[str, bytes], Path]


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *extra: bytes, depth: int = 8, kind: int = 0) -> bytes:
    """A PNG that says of itself what it is told to say; `kind` 0 is grey, 2 colour, 4 grey with alpha."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    image = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + image + chunk(b"IEND", b"")


def oriented(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


NOISE = Image.effect_noise((16, 16), 60)
COLOURS = NOISE.convert("RGB").rotate(90)
FRAMES: dict[str, Any] = {"save_all": True, "append_images": [COLOURS, NOISE.convert("RGB")]}
PICTURES = {
    "grey.png": encoded(NOISE, "PNG"),
    "deep.png": encoded(Image.fromarray(np.random.default_rng(0).integers(0, 2**16, (16, 16), np.uint16)), "PNG"),
    "palette.png": encoded(NOISE.convert("P"), "PNG", transparency=0),
    "alpha.png": encoded(NOISE.convert("RGBA"), "PNG", exif=oriented(6)),
    "moving.png": encoded(COLOURS, "PNG", **FRAMES),
    "colour.jpg": encoded(COLOURS, "JPEG", exif=oriented(6)),
    "inks.jpg": encoded(COLOURS.convert("CMYK"), "JPEG"),
    "steps.jpg": encoded(COLOURS, "JPEG", progressive=True),
    "moving.gif": encoded(COLOURS, "GIF", **FRAMES),
    "moving.webp": encoded(COLOURS, "WEBP", **FRAMES),
    "colour.bmp": encoded(COLOURS, "BMP"),
    "palette.bmp": encoded(NOISE.convert("P"), "BMP"),
    "plain.tif": encoded(COLOURS, "TIFF"),
    "packed.tif": encoded(NOISE, "TIFF", compression="tiff_lzw"),
    "photo.tif": encoded(COLOURS, "TIFF", compression="jpeg"),
}


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Two classes of one picture each; `put(name, data)` makes one more file in the first."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(PICTURES["grey.png"])

    def _put(name: str, data: bytes) -> Path:
        path = tmp_path / "cat" / name
        path.write_bytes(data)
        return path

    return _put


def refused(load: Callable[[], Any]) -> str:
    """The one line that is said in place of data."""
    with pytest.raises(DataError) as caught:
        load()
    assert len(caught.value.message.splitlines()) == 1
    return caught.value.message


def read(path: Path, **options: Any) -> Dataset:
    data = folder(path=str(path), **options)
    assert data.x.dtype == np.uint8 and len(data.x) == len(data.y)
    return data


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_is_cut_off_is_never_half_read(put: Put, tmp_path: Path, name: str) -> None:
    data = PICTURES[name]
    # the first frame is what counts
    single = data if not name.startswith("moving") else encoded(COLOURS, name.partition(".")[2].upper())
    for share in (0.0, 0.05, 0.3, 0.6, 0.9):
        path = put(name, single[: int(len(single) * share)])
        line = refused(lambda: read(tmp_path))
        assert f"1 of 3 pictures cannot be read; the first is {path} (" in line and line.endswith(WAY_OUT)
    put(name, data)
    assert read(tmp_path).x.shape[:3] == (3, 16, 16)


@st.composite
def damaged(draw: st.DrawFn, whole: dict[str, bytes]) -> tuple[str, bytes]:
    """One of the files with some bytes changed, taken out or put in, the first ones most often."""
    name = draw(st.sampled_from(sorted(whole)))
    data, chance = bytearray(whole[name]), random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 4))):
        at = chance.randrange(min(len(data), chance.choice((40, 200, 10**9))))
        data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return name, bytes(data)


@settings(max_examples=200, deadline=None)
@given(damaged(PICTURES), st.sampled_from([0, 8]))
def test_any_damage_is_read_over_or_told(tmp_path_factory: Any, file: tuple[str, bytes], size: int) -> None:
    name, data = file
    home = tmp_path_factory.mktemp("damaged", numbered=True)
    for label in ("cat", "dog"):
        (home / label).mkdir()
        (home / label / "0.png").write_bytes(PICTURES["grey.png"])
    (home / "cat" / name).write_bytes(data)
    try:
        read(home, size=size)
    except DataError as error:
        assert len(error.message.splitlines()) == 1 and f"{home}/cat/{name}" in error.message


@pytest.mark.parametrize("name", ["grey.jpg", "grey.gif", "grey.webp", "grey.bmp", "grey.JPEG"])
def test_what_a_picture_is_tells_its_content_and_not_its_name(put: Put, tmp_path: Path, name: str) -> None:
    put(name, PICTURES["grey.png"])
    x = read(tmp_path).x
    assert np.array_equal(x[0], x[1]) and x.shape == (3, 16, 16, 1)


def test_a_photograph_of_two_lenses_is_its_first(put: Put, tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    put("z.jpg", encoded(red, "MPO", save_all=True, append_images=[blue]))
    assert read(tmp_path).x[1, 0, 0, 0] > 200


@pytest.mark.parametrize(
    ("rows", "kind", "expected"),
    [
        (b"\0" + b"\x80\x00\x40\x00\xff\xff" * 16, 2, [128, 64, 255]),
        (b"\0" + b"\x80\x00\xff\xff" * 16, 4, [128, 128, 128]),
        (b"\0" + b"\x80\x00\x00\x00" * 16, 4, [255, 255, 255]),
    ],
)
def test_sixteen_bits_in_colour_and_with_alpha(
    put: Put, tmp_path: Path, rows: bytes, kind: int, expected: list[int]
) -> None:
    put("z.png", png(16, 16, rows * 16, depth=16, kind=kind))
    assert np.abs(read(tmp_path).x[1, 3, 4].astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bomb.png", png(50_000, 50_000, b""), "2500000000 pixels"),
        ("screen.gif", b"GIF89a\xff\xff\xff\xff" + encoded(NOISE, "GIF")[10:], "4294836225 pixels"),
        ("text.png", png(16, 16, bytes(272), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7)))), "too large"),
        ("profile.png", png(16, 16, bytes(272), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**7)))), "too large"),
        ("nothing.png", png(0, 0, b""), "cannot identify"),
        ("note.png", b"this is a text\n", "cannot identify"),
        ("page.jpg", b"<html></html>", "cannot identify"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
@pytest.mark.parametrize("size", [0, 8])
def test_a_bomb_is_refused_by_its_first_bytes(
    put: Put, tmp_path: Path, name: str, data: bytes, reason: str, size: int
) -> None:
    assert len(data) < 20_000
    path = put(name, data)
    line = refused(lambda: read(tmp_path, size=size))
    assert f"; the first is {path} (" in line and reason in line and line.endswith(WAY_OUT)


def test_bytes_after_the_last_row_are_not_unpacked(put: Put, tmp_path: Path) -> None:
    put("z.png", png(16, 16, bytes(10**8)))
    assert not read(tmp_path).x[1].any()


def test_a_very_wide_picture_is_resized(put: Put, tmp_path: Path) -> None:
    put("z.png", png(50_000, 2, (b"\0" + b"\xff" * 25_000 + bytes(25_000)) * 2))
    assert read(tmp_path).x.shape == (3, 16, 16, 1)
    x = read(tmp_path, size=8).x[1, ..., 0]
    assert (x[:, :3] == 255).all() and not x[:, 5:].any()
    x = read(tmp_path, size=8, resize="pad").x[1, ..., 0]
    assert x.any() and not x[:3].any() and not x[5:].any()


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    for name, value in (("cat", 3), ("dog", 4)):
        (tmp_path / name).mkdir()
        Image.new("L", (1, 1), value).save(tmp_path / name / "0.png")
    assert read(tmp_path).x.ravel().tolist() == [3, 4]
    assert read(tmp_path, size=2).x[:, :, 0, 0].tolist() == [[3, 3], [4, 4]]


@pytest.mark.parametrize(
    "number, corner", [(1, (0, 0)), (2, (0, 3)), (3, (3, 3)), (8, (3, 0)), (0, (0, 0)), (99, (0, 0))]
)
def test_every_turn_that_a_camera_notes_is_undone(put: Put, tmp_path: Path, number: int, corner: Any) -> None:
    image = Image.new("L", (4, 4))
    image.putpixel((0, 0), 255)
    for name in ("cat", "dog"):
        Image.new("L", (4, 4)).save(tmp_path / name / "0.png")
    put("y.tif", encoded(image, "TIFF", exif=oriented(number)))
    put("z.png", encoded(image, "PNG", exif=oriented(number)))
    x = read(tmp_path).x
    assert np.argwhere(x[1, ..., 0]).tolist() == np.argwhere(x[2, ..., 0]).tolist() == [list(corner)]


@pytest.mark.parametrize("number", [5, 6, 7, 8])
def test_tiff_and_png_on_their_side_are_turned_alike(put: Put, tmp_path: Path, number: int) -> None:
    image = Image.effect_noise((12, 16), 60)
    put("x.tif", encoded(image, "TIFF", exif=oriented(number)))
    put("y.tif", encoded(image, "TIFF", exif=oriented(number), compression="tiff_lzw"))
    put("z.png", encoded(image, "PNG", exif=oriented(number)))
    for file in ("cat/0.png", "dog/0.png"):
        (tmp_path / file).write_bytes(encoded(Image.new("L", (16, 12)), "PNG"))
    data = read(tmp_path)
    assert data.x.shape == (5, 12, 16, 1) and not data.notes
    assert (data.x[1] == data.x[3]).all() and (data.x[2] == data.x[3]).all()


# ---------------------------------------------------------------- names and links


@pytest.mark.parametrize("label", ["a\nb", "été 猫", "\U0001f468\u200d\U0001f469", "-x", "$(ls)", "a'b\"c", " "])
def test_a_class_may_have_any_name_that_is_text(put: Put, tmp_path: Path, label: str) -> None:
    (tmp_path / "cat").rename(tmp_path / label)
    assert read(tmp_path).classes == tuple(sorted((label, "dog")))
    (tmp_path / label / "b\nad.png").write_bytes(b"")
    line = refused(lambda: read(tmp_path))
    assert "cannot be read; the first is" in line and "b\\nad.png (" in line


@pytest.mark.skipif(os.name != "posix", reason="names of files are text here")
def test_names_that_are_no_text_are_told(put: Put, tmp_path: Path) -> None:
    put(os.fsdecode(b"caf\xe9.png"), b"")
    assert f"; the first is {tmp_path}/cat/caf\\udce9.png (" in refused(lambda: read(tmp_path))
    (tmp_path / "cat" / os.fsdecode(b"caf\xe9.png")).unlink()
    (tmp_path / "cat").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    assert refused(lambda: read(tmp_path)) == (
        f"{tmp_path}: the class name 'caf\\udce9' cannot be written as UTF-8. Rename it."
    )


def test_a_hidden_class_is_passed_by(put: Put, tmp_path: Path) -> None:
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "0.png").write_bytes(b"")
    assert read(tmp_path).classes == ("cat", "dog")


def test_a_class_that_is_a_link_to_nowhere_is_told(put: Put, tmp_path: Path) -> None:
    (tmp_path / "gnu").symlink_to("gone")
    assert refused(lambda: read(tmp_path)).startswith(f"{tmp_path}/gnu: this link leads nowhere; ")


@pytest.mark.parametrize("target", ["../..", "/etc/passwd", "../dog/../../x.png", "../dog/hop/x.png"])
def test_nothing_outside_is_read_through_a_link(put: Put, tmp_path: Path, target: str) -> None:
    (tmp_path / ".hidden").symlink_to("/")
    (tmp_path / "dog" / "hop").symlink_to("../.hidden")
    (tmp_path / "cat" / "z.png").symlink_to(target)
    assert refused(lambda: read(tmp_path)) == (
        f"{tmp_path}/cat/z.png: this link leads out of {tmp_path}; expected pictures inside. Copy them there."
    )


def test_a_link_to_a_folder_is_no_picture(put: Put, tmp_path: Path) -> None:
    (tmp_path / "cat" / "z.png").symlink_to("..")
    assert len(read(tmp_path).x) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(put: Put, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    (tmp_path / "cat" / "link.png").symlink_to("pipe.png")
    assert len(read(tmp_path).x) == 2


@pytest.mark.parametrize("path", ["~no_such_user/pets", "a\nb", "a\x00b", "\udcff"])
def test_a_path_to_nothing_is_told(path: str) -> None:
    assert "this is not a folder" in refused(lambda: folder(path=path))


# ---------------------------------------------------------------- npz

X = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)
Y = np.tile([0, 1, 2], 10)


def saved(write: Callable[..., None] = np.savez, **content: Any) -> bytes:
    buffer = io.BytesIO()
    write(buffer, **content)
    return buffer.getvalue()


def npy(header: str, data: bytes) -> bytes:
    """An array that says of itself what it is told to say."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def zipped(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def array(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value)
    return buffer.getvalue()


@pytest.fixture
def told(tmp_path: Path) -> Callable[[bytes], str]:
    """What is said of these bytes as a .npz file; it names the file and holds no line break."""

    def _told(data: bytes) -> str:
        path = tmp_path / "my.npz"
        path.write_bytes(data)
        line = refused(lambda: npz(path=str(path)))
        assert line.startswith(f"{path}: ") and line.endswith(".")
        return line.removeprefix(f"{path}: ")

    return _told


class Trap:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("part", ["x", "y", "classes"])
def test_pickled_objects_are_refused_unread(told: Callable[[bytes], str], tmp_path: Path, part: str) -> None:
    trap = np.array([Trap(tmp_path / "sprung")] * 30, dtype=object)
    line = told(saved(**({"x": X, "y": Y} | {part: trap})))
    assert line.startswith(
        f"{part} holds Python objects, which are not read, because they can run code; expected numbers"
    )
    assert "not a complete .npz file" in told(pickle.dumps(trap))
    assert "x holds Python objects" in told(zipped(x=npy(HEADER.replace("|u1", "|O"), X.tobytes()), y=array(Y)))
    assert not (tmp_path / "sprung").exists()


def test_a_bomb_of_zeros_is_refused_before_it_is_unpacked(
    told: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = saved(np.savez_compressed, x=np.zeros((30, 1000, 1000), np.uint8), y=Y)
    assert len(bomb) < 50_000
    monkeypatch.setattr(arrays, "free_memory", lambda: 50 * 10**6)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *_: pytest.fail("it was unpacked"))
    assert told(bomb).startswith("its arrays need 0.1 GiB of memory, and 0.0 are free. Save fewer images or smaller")


def test_a_member_that_says_it_holds_a_terabyte_is_refused(told: Callable[[bytes], str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': (30, {2**35})}}", b""))
        archive.writestr("y.npy", array(Y))
        archive.getinfo("x.npy").file_size = 2**40
    assert told(buffer.getvalue()).startswith("its arrays need 2048.0 GiB of memory, and ")


def test_what_is_not_read_may_be_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "my.npz", x=X, y=Y, notes=np.zeros(10**7))
    monkeypatch.setattr(arrays, "free_memory", lambda: 10**6)
    assert len(npz(path=str(tmp_path / "my.npz")).x) == 30


HEADER = "{'descr': '|u1', 'fortran_order': False, 'shape': (30, 5, 4, 3)}"


@pytest.mark.parametrize(
    "header",
    [
        HEADER.replace("(30, 5, 4, 3)", "(1000000000000,)"),
        HEADER.replace("(30, 5, 4, 3)", "(99999999999999999999,)"),
        HEADER.replace("(30, 5, 4, 3)", "(-1,)"),
        HEADER.replace("(30, 5, 4, 3)", "(1e9,)"),
        HEADER.replace("(30, 5, 4, 3)", "((30,), 5)"),
        HEADER.replace("|u1", "<U999999999"),
        HEADER.replace("|u1", "nonsense"),
        HEADER.replace("'|u1'", "[('a', '|u1')] * 3"),
        HEADER.replace("}", ""),
        HEADER.replace(", 'shape'", " 'shape'"),
        "(" * 100,
        "{}",
        "",
        "\n\n",
        "__import__('os').system('true')",
    ],
)
def test_a_header_that_lies_is_told(told: Callable[[bytes], str], header: str) -> None:
    line = told(zipped(x=npy(header, X.tobytes()), y=array(Y)))
    assert line.startswith("it cannot be read (") and "Write it again with numpy.savez" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": X, "y": Y.astype("M8[s]")}, "y is datetime64[s]; expected labels as whole numbers or text."),
        (
            {"x": X, "y": Y.astype("u8") + 2**63},
            "y has values from 9223372036854775808 to 9223372036854775810; expected",
        ),
        ({"x": X.astype("M8[s]"), "y": Y}, "x is dates (datetime64[s]); expected images of numbers"),
        ({"x": X.view([("red", "u1")]), "y": Y}, "x is [('red', 'u1')]; expected images of numbers"),
        ({"x": X[:, :0], "y": Y}, "x is uint8 of shape (30, 0, 4, 3); expected numbers of shape"),
        ({"x": X, "y": Y, "classes": np.array(["a", "\udcff", "c"])}, "the class name '\\udcff' cannot be written"),
        ({"x": X, "y": Y, "x_train\n": X}, "'x_train\\n' is not a known name. Did you mean 'x_train'?"),
    ],
)
def test_arrays_of_another_kind_are_told(told: Callable[[bytes], str], content: dict[str, Any], message: str) -> None:
    assert told(saved(**content)).startswith(message)


def test_a_member_that_is_no_array_is_told(told: Callable[[bytes], str]) -> None:
    assert told(zipped(x=b"a text", y=array(Y))).startswith("x is a single value; expected an array.")


ARCHIVES = {
    "plain": saved(x=X, y=Y),
    "packed": saved(np.savez_compressed, x=X, y=Y),
    "parts": saved(
        np.savez_compressed, x_train=X / 255, y_train=Y, x_test=X / 255, y_test=Y, classes=np.array([*"abc"])
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_cut_off_is_told(told: Callable[[bytes], str], name: str) -> None:
    data = ARCHIVES[name]
    for share in (0.0, 0.01, 0.3, 0.9, 0.99):
        assert "this is not a complete .npz file" in told(data[: int(len(data) * share)])


@settings(max_examples=200, deadline=None)
@given(damaged(ARCHIVES))
def test_any_damaged_archive_is_read_over_or_told(tmp_path_factory: Any, file: tuple[str, bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(file[1])
    try:
        assert npz(path=str(path)).x.shape[1:] == (5, 4, 3)
    except DataError as error:
        assert len(error.message.splitlines()) == 1 and str(path) in error.message


def test_a_path_of_nobody_is_told() -> None:
    assert refused(lambda: npz(path="~no_such_user/my.npz")).startswith("~no_such_user/my.npz: there is no such file")
