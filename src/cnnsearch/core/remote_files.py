"""Files at an address that fsspec knows, such as `s3://bucket/file`. Each call ends in a limited time.

Every error is an OSError of one line, without the password of the address.
"""

import contextlib
import importlib
import queue
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from cnnsearch.core import checkpoint_address as addresses
from cnnsearch.core.errors import CnnsearchError, one_line

T = TypeVar("T")

QUESTION = 5.0
"""Seconds that the answer to a question about a file may take."""

TRANSFER, BYTES_PER_SECOND = 60.0, 2e6
"""Seconds that a file may always take to be read, written or deleted, and how many bytes of it are sent in a second."""

OBJECT_STORES = (*addresses.S3, "gs", "gcs", "abfs", "abfss", "az", "oss", "oci")
"""The schemes of stores in which a file is whole as soon as it exists, and which have no folders."""

S3_OPTIONS = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}}

LOGIN = re.compile(r"://[^/\s]*@")
"""Credentials in an address that an error message shows."""


def check_driver(address: str) -> None:
    """Import the driver of an address.

    Raises:
        CnnsearchError: if it is not installed, or no driver is known.
    """
    fsspec = _fsspec(address)
    scheme = addresses.parts(address).scheme
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise addresses.missing_package(address, str(error).partition("\n")[0]) from error
    except ValueError as error:
        raise CnnsearchError(f"--checkpoints {addresses.redacted(address)}: fsspec knows no {scheme}://.") from error


def exists(address: str) -> bool:
    """Whether there is such a file."""
    files, path = _opened(address)
    with _errors(address), contextlib.suppress(FileNotFoundError):
        return bool(_within(QUESTION, lambda: files.info(path))["type"] == "file")
    return False


def names(folder: str) -> set[str]:
    """The names of the files in a folder."""
    files, path = _opened(folder)
    with _errors(folder), contextlib.suppress(FileNotFoundError):
        found = _within(QUESTION, lambda: files.ls(path, detail=False))
        return {addresses.split(str(each).rstrip("/"))[1] for each in found}
    return set()


def read(address: str) -> bytes:
    """What is in a file."""
    files, path = _opened(address)
    with _errors(address):
        # its size is not known before
        return bytes(_within(5 * TRANSFER, lambda: files.cat_file(path)))


def write(address: str, content: bytes) -> None:
    """Write a file, completely or not at all."""
    files, path = _opened(address)
    with _errors(address):
        _within(TRANSFER + len(content) / BYTES_PER_SECOND, lambda: _put(files, address, path, content))


def delete(address: str) -> None:
    """Delete a file, if it exists."""
    files, path = _opened(address)
    with _errors(address), contextlib.suppress(FileNotFoundError):
        _within(TRANSFER, lambda: files.rm_file(path))


def delete_folder(address: str) -> None:
    """Delete a folder with its files, if it exists."""
    files, path = _opened(address)
    with _errors(address), contextlib.suppress(FileNotFoundError):
        _within(TRANSFER, lambda: files.rm(path, recursive=True))


def probe(address: str, seconds: float) -> None:
    """Write, read and delete a small file."""
    files, path = _opened(address)

    def tried() -> bytes:
        _put(files, address, path, b"probe")
        found = bytes(files.cat_file(path))
        files.rm_file(path)
        return found

    with _errors(address):
        if _within(seconds, tried) != b"probe":
            raise OSError("what was read is not what was written")


def _put(files: Any, address: str, path: str, content: bytes) -> None:
    if addresses.parts(address).scheme in OBJECT_STORES:
        files.pipe_file(path, content)
        return
    files.makedirs(addresses.split(path)[0], exist_ok=True)
    partial = f"{path}.partial"
    files.pipe_file(partial, content)
    files.mv(partial, path)


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    fsspec = _fsspec(address)
    given = addresses.parts(address)
    # another machine writes files, too, so a listing must not be kept
    options: dict[str, Any] = {"use_listings_cache": False}
    if given.scheme in addresses.S3:
        options |= S3_OPTIONS
        if given.credentials:
            options["key"], options["secret"] = given.login()
        address = addresses.without_credentials(address)
    with _errors(address):
        files, path = fsspec.core.url_to_fs(address, **options)
    return files, str(path)


def _fsspec(address: str) -> Any:
    try:
        return importlib.import_module("fsspec")
    except ImportError as error:
        raise addresses.missing_package(address) from error


@contextlib.contextmanager
def _errors(address: str) -> Iterator[None]:
    """Turn every error but FileNotFoundError into an OSError of one line without the password."""
    try:
        yield
    except (FileNotFoundError, CnnsearchError):
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        for secret in (*addresses.parts(address).login(), addresses.parts(address).credentials):
            said = said.replace(secret, "***") if secret else said
        # without its cause, whose text may have the password
        raise OSError(one_line(LOGIN.sub("://***@", said))[:200]) from None


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns.

    Raises:
        TimeoutError: if it takes longer. It then ends in its own thread.
    """
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:
            answers.put((None, error))

    threading.Thread(target=answer, daemon=True).start()
    try:
        found, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    if error is not None:
        raise error
    return found  # type: ignore[return-value]
