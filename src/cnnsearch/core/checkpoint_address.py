"""Addresses of checkpoints: a path, or a URL that fsspec knows. They are texts, and nothing is opened here."""

import importlib.util
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from cnnsearch.core.errors import CnnsearchError

LOCAL = ("file", "local")
"""The schemes of addresses that are paths."""

S3 = ("s3", "s3a")
"""The schemes of S3. Their credentials in an address are an access key and its secret."""


class Parts(NamedTuple):
    """The parts of `SCHEME://CREDENTIALS@REST`. A path has only a rest.

    Attributes:
        credentials: `USER:PASSWORD`; empty if there are none. A user without a password is a part of `rest`.
    """

    scheme: str
    credentials: str
    rest: str

    def login(self) -> tuple[str, str]:
        """The user and the password."""
        user, _, password = self.credentials.partition(":")
        return unquote(user), unquote(password)


def parts(address: str) -> Parts:
    """The parts of an address."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return Parts("", "", address)
    # the last @: a password may contain one
    credentials, _, place = rest.rpartition("@")
    return Parts(scheme.lower(), credentials, place) if ":" in credentials else Parts(scheme.lower(), "", rest)


def local_path(address: str) -> Path | None:
    """The path that an address names; None if it names no file of this machine."""
    scheme, _, rest = parts(address)
    if not scheme:
        return Path(address)
    return Path(rest) if scheme in LOCAL else None


def joined(address: str, *names: str) -> str:
    """The address of a file or a folder in the folder `address`."""
    return "/".join((address.rstrip("/"), *names))


def split(address: str) -> tuple[str, str]:
    """The folder of a file, and the file's name."""
    folder, _, name = address.rpartition("/")
    return folder, name


def redacted(address: str) -> str:
    """`address` to be shown: without its credentials, and without what follows a question mark."""
    scheme, credentials, rest = parts(address)
    if not scheme or scheme in LOCAL:
        return rest
    place, question, _ = rest.partition("?")
    return f"{scheme}://{'***@' if credentials else ''}{place}{'?***' if question else ''}"


def redacted_in(text: str, address: str) -> str:
    """`text` with `redacted` in place of the address."""
    return text.replace(address, redacted(address)) if address else text


def without_credentials(address: str) -> str:
    """`address` to be stored."""
    scheme, _, rest = parts(address)
    return f"{scheme}://{rest}" if scheme else address


def with_credentials(address: str, given: str) -> str:
    """`address` with the credentials of the address `given`, if both name the same bucket or host."""
    own, other = parts(address), parts(given)
    same = own.scheme == other.scheme and own.rest.partition("/")[0] == other.rest.partition("/")[0]
    if not own.scheme or own.credentials or not other.credentials or not same:
        return address
    return f"{own.scheme}://{other.credentials}@{own.rest}"


def checked(address: str) -> str:
    """The address of `--checkpoints`, checked as far as possible without opening it: an absolute path, or a URL.

    Raises:
        CnnsearchError: if a search cannot use it.
    """
    scheme, credentials, rest = parts(address)
    if not scheme:
        return str(Path(address).expanduser().absolute())
    if scheme in LOCAL:
        if not PurePosixPath(rest).is_absolute():
            raise _wrong(address, f"expected an absolute path, such as {scheme}:///shared/checkpoints")
        return rest
    if scheme == "memory":
        raise _wrong(address, "memory:// exists only within one process, and each worker is a process of its own")
    if "::" in address:
        raise _wrong(address, "expected one address, without '::'")
    if "?" in rest or "#" in rest:
        raise _wrong(address, "expected no '?' and no '#'; give options and credentials by environment variables")
    if "/" in credentials:
        raise _wrong(address, "write '/' in a password as %2F, or give credentials by environment variables")
    if not rest.strip("/"):
        raise _wrong(address, f"expected a bucket or a host, such as {scheme}://NAME/FOLDER")
    if importlib.util.find_spec("fsspec") is None:
        raise missing_package(address)
    return f"{scheme}://{credentials}{'@' if credentials else ''}{rest.rstrip('/')}"


def missing_package(address: str, hint: str = "") -> CnnsearchError:
    """The error for an address whose driver is not installed. `hint` says what to install if we do not know it."""
    scheme = parts(address).scheme
    install = (
        "pip install 'cnnsearch[s3]'" if scheme in S3 else hint or f"pip install fsspec, and its driver of {scheme}"
    )
    return CnnsearchError(
        f"--checkpoints {redacted(address)}: {scheme}:// needs a package that is not installed. {install}"
    )


def _wrong(address: str, reason: str) -> CnnsearchError:
    return CnnsearchError(f"--checkpoints {redacted(address)}: {reason}.")
