"""Checkpoints at a path, in memory and on an S3 server: written, read, listed, deleted; no password is shown."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from cnnsearch.core import checkpoint_address as addresses
from cnnsearch.core import checkpoint_store, remote_files
from cnnsearch.core.errors import CnnsearchError

SECRET = "se%2Fcret%40word"
"""It has characters that must be encoded in an address."""


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a new bucket, with an access key and its secret."""
    import boto3
    import fsspec

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    login = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=s3, **login).create_bucket(Bucket=name)
    yield f"s3://KEY:{SECRET}@{name}"
    # it remembers the address of the server
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(params=["path", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a folder that does not exist yet."""
    if request.param == "path":
        yield str(tmp_path / "new" / "folder")
    elif request.param == "memory":
        yield f"memory://{uuid.uuid4().hex}/folder"
    else:
        yield f"{request.getfixturevalue('bucket')}/folder"


def read(address: str) -> bytes:
    with checkpoint_store.read(address) as file:
        return file.read()


def fill(content: bytes) -> Callable[[IO[bytes]], None]:
    def write(file: IO[bytes]) -> None:
        file.write(content)

    return write


def test_a_checkpoint_is_written_read_listed_and_deleted(folder: str) -> None:
    checkpoint_store.probe(folder)
    address = addresses.joined(folder, "trial-00001.npz")
    assert not checkpoint_store.exists(address) and checkpoint_store.names(folder) == set()
    with pytest.raises(FileNotFoundError):
        read(address)
    for content in (b"first", b"second, and longer"):
        checkpoint_store.write(address, fill(content))
        assert checkpoint_store.exists(address) and read(address) == content
    assert checkpoint_store.names(folder) == {"trial-00001.npz"} and not checkpoint_store.exists(folder)
    checkpoint_store.delete(address)
    checkpoint_store.delete(address)
    assert not checkpoint_store.exists(address)
    checkpoint_store.write(address, fill(b"third"))
    checkpoint_store.delete_folder(folder)
    checkpoint_store.delete_folder(folder)
    assert checkpoint_store.names(folder) == set()


def test_a_write_that_fails_keeps_the_checkpoint_before(folder: str) -> None:
    address = addresses.joined(folder, "trial-00001.npz")
    checkpoint_store.write(address, fill(b"whole"))

    def full(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        checkpoint_store.write(address, full)
    assert read(address) == b"whole" and checkpoint_store.names(folder) == {"trial-00001.npz"}


def test_a_store_that_does_not_answer_is_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, bucket: str, tmp_path: Path
) -> None:
    import fsspec

    with pytest.raises(CnnsearchError) as found:
        checkpoint_store.probe(f"s3://KEY:{SECRET}@no-such-bucket/folder")
    assert str(found.value) == (
        "--checkpoints s3://***@no-such-bucket/folder cannot be used: The specified bucket does not exist."
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    began = time.monotonic()
    with pytest.raises(CnnsearchError, match="Could not connect") as found:
        checkpoint_store.probe(f"{bucket}/other")
    assert time.monotonic() - began < checkpoint_store.PROBE + 5 and "cret" not in str(found.value)
    with pytest.raises(OSError, match="Could not connect") as failed:
        checkpoint_store.exists(f"{bucket}/other/file")
    assert "cret" not in str(failed.value) and failed.value.__cause__ is None
    (tmp_path / "file").touch()
    with pytest.raises(CnnsearchError, match=r"Not a directory|File exists"):
        checkpoint_store.probe(str(tmp_path / "file"))


def test_a_call_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        remote_files._within(0.05, lambda: time.sleep(1))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)
    from fsspec.registry import _registry as imported

    for scheme in ("s3", "gcs"):
        monkeypatch.delitem(imported, scheme, raising=False)
    with pytest.raises(CnnsearchError, match=r"s3://x: .* not installed\. pip install 'cnnsearch\[s3\]'"):
        checkpoint_store.probe("s3://x")
    with pytest.raises(CnnsearchError, match=r"gcs://x: .* not installed\. Please install gcsfs"):
        checkpoint_store.probe("gcs://x")
    with pytest.raises(CnnsearchError, match="fsspec knows no nope://"):
        checkpoint_store.probe("nope://x")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("memory://a", "exists only within one process"),
        ("file://a/b", "expected an absolute path"),
        ("s3://", "expected a bucket or a host"),
        ("simplecache::s3://a/b", "without '::'"),
        ("abfs://a/b?sig=pass", "expected no '?'"),
        ("s3://KEY:pa/ss@a/b", "write '/' in a password as %2F"),
    ],
)
def test_an_address_that_no_search_can_use_is_one_line(address: str, words: str) -> None:
    with pytest.raises(CnnsearchError) as found:
        addresses.checked(address)
    assert words in str(found.value) and "pass" not in str(found.value).replace("password", "")
    assert "pa/ss" not in str(found.value)


def test_the_credentials_of_an_address_are_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert addresses.checked("ckpt") == addresses.checked(f"file://{tmp_path}/ckpt") == f"{tmp_path}/ckpt"
    given = addresses.checked(f"S3://KEY:{SECRET}@bucket/a/")
    assert given == f"s3://KEY:{SECRET}@bucket/a" and addresses.parts(given).login() == ("KEY", "se/cret@word")
    assert addresses.redacted(given) == "s3://***@bucket/a"
    stored = addresses.without_credentials(given)
    assert stored == "s3://bucket/a" == addresses.checked("s3://bucket/a")
    assert addresses.with_credentials(f"{stored}/b", given) == f"{given}/b"
    for other in ("s3://elsewhere/a", "gs://bucket/a", "/bucket/a"):
        assert addresses.with_credentials(other, given) == other
    # a container or a user, and no password
    for plain in ("abfs://box@account.example/a", "sftp://me@host/a", "/folder/a@b", "s3://bucket/a@b"):
        assert addresses.redacted(plain) == addresses.without_credentials(plain) == plain
    assert addresses.redacted_in(f"--checkpoints={given}", given) == "--checkpoints=s3://***@bucket/a"
