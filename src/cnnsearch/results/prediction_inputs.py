"""The images for `cnnsearch predict`: picture files, folders of pictures, and arrays."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cnnsearch.core.errors import CnnsearchError, DataError
from cnnsearch.data import array_files, image_files, pixel_values
from cnnsearch.data.arrays import reason
from cnnsearch.data.dataset import Images

MODES = {1: "L", 3: "RGB"}
"""Pillow's modes for pictures with 1 and with 3 channels."""

ARRAYS = (".npy", ".npz")

Shape = tuple[int, int, int]
Input = tuple[Path, Images | str]
"""A name and its image of shape (height, width, channels), or the problem with the file in one line."""


def check(given: Sequence[Path], shape: Shape, folder: Path) -> None:
    """Refuse picture files for a model whose images have a number of channels that no picture has.

    Raises:
        CnnsearchError: it names the folder of the export.
    """
    if shape[2] not in MODES and not all(file.suffix.lower() in ARRAYS for file in given):
        sides = "x".join(map(str, shape))
        raise CnnsearchError(
            f"{folder}: the model takes images of {sides}; picture files have 1 or 3 channels. Give it a .npy file of "
            "such images."
        )


def read(given: Iterable[Path], shape: Shape, values: pixel_values.Range, resize: str) -> Iterator[Input]:
    """Every image as the model takes it.

    Args:
        given: picture files, folders and files of arrays.
        shape: (height, width, channels) of the model's images.
        values: the range that the values of picture files, 0 to 255, are scaled to.
        resize: how pictures are resized: stretch, crop or pad.
    """
    for file in _files(given):
        if file.suffix.lower() in ARRAYS and file.is_file():
            yield from _from_arrays(file, shape, values)
        elif file.suffix.lower() in ARRAYS and not file.exists():
            yield file, f"{file}: there is no such file; expected arrays of images."
        else:
            pixels = _from_picture(file, shape, resize)
            yield file, pixels if isinstance(pixels, str) else pixel_values.from_bytes(pixels, values)


def _files(given: Iterable[Path]) -> Iterator[Path]:
    """The files, and the pictures in folders by name; a folder without pictures is returned itself."""
    for path in given:
        inside = [file for file in path.rglob("*") if _is_picture(file, path)] if path.is_dir() else []
        yield from sorted(inside) or [path]


def _is_picture(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    # A broken link counts too, so that the output names it.
    return file.suffix.lower() in image_files.SUFFIXES and not hidden and (file.is_file() or not file.exists())


def _from_arrays(file: Path, shape: Shape, values: pixel_values.Range) -> Iterator[Input]:
    """The raw images of a file of arrays: one image or many."""
    try:
        images = pixel_values.compact({"images": array_files.images_of(file)})["images"]
    except DataError as error:
        yield file, error.message
        return
    except ValueError as error:
        yield file, f"{file}: {error}"
        return
    if problem := pixel_values.other_scale(images, values):
        yield file, f"{file}: its values {problem}"
        return
    without_channels = shape[:2] if shape[2] == 1 else shape
    if images.shape in (shape, without_channels):
        yield file, images.reshape(shape)
    elif images.shape[1:] in (shape, without_channels):
        yield from ((Path(f"{file}[{n}]"), image.reshape(shape)) for n, image in enumerate(images))
    else:
        yield file, f"{file}: its array is of shape {images.shape}; the model takes (n, {', '.join(map(str, shape))})."


def _from_picture(file: Path, shape: Shape, resize: str) -> Images | str:
    """The pixels of one picture file, 0 to 255, or the problem with it."""
    if file.is_dir():
        return f"{file}: there are no pictures in this folder ({', '.join(image_files.SUFFIXES)})."
    # reading a pipe would wait forever
    if file.exists() and not file.is_file():
        return f"{file}: this is not a regular file; expected a picture."
    height, width, channels = shape
    try:
        return image_files.read(file, MODES[channels], width, height, resize).reshape(shape)
    # decoders raise nearly every type of error for damaged files
    except Exception as error:
        expected = f"expected a whole picture ({', '.join(image_files.FORMATS)})"
        return f"{file}: this picture cannot be read ({reason(error)}); {expected}."
