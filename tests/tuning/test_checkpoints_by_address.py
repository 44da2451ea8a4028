"""A search whose trials pause, are killed and resume through an S3 server: the study's folder gets no checkpoint."""

import json
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest

from cnnsearch.study import listing
from cnnsearch.study.trial import COUNTED
from tests import servers
from tests.conftest import Run, cnnsearch, surroundings

SPACE = """
dataset = "digits"
dimensions = [
  { use = "filters", first = [8, 4] },
  { use = "learning_rate" },
]
[defaults]
batch_size = 8
"""
LINE = ("run", "--space", "small.toml", "--study", "s", "--trials", "3", "--no-default", "--set", "dataset.limit=300")
SECRET = "hid%2Fden%40w0rd"
AWS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}


def bucket_at(s3: str) -> tuple[Any, str]:
    """A client, and the name of a new bucket."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=s3, aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1"
    )
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name)
    return client, name


def test_a_killed_search_resumes_from_an_object_store_and_shows_no_password(
    tmp_path: Path, blank_mlflow: Path, s3: str
) -> None:
    client, bucket = bucket_at(s3)

    def objects() -> list[str]:
        return [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    (tmp_path / "small.toml").write_text(SPACE)
    shutil.copy(blank_mlflow, tmp_path / "mlflow.db")
    line = (*LINE, "--epochs", "9", "--scheduler", "halving")
    given = ("--checkpoints", f"s3://KEY:{SECRET}@{bucket}/folder/")
    output = tmp_path / "output.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cnnsearch", *line, *given],
            cwd=tmp_path,
            env=surroundings(AWS_ENDPOINT_URL=s3),
            stdout=out,
            stderr=out,
        )
        until = time.monotonic() + 300
        while not any(key.endswith(".npz") for key in objects()) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.1)
        workers = [" ".join(each.cmdline()) for each in psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        process.wait()
    assert any("cnnsearch" in each for each in workers) and not any("w0rd" in each for each in workers)
    (key,) = objects()
    assert key.startswith("folder/s-") and key.endswith("/trial-00000.npz"), output.read_text()

    assert f"s3://***@{bucket}/folder/" in listing.load("s", tmp_path / "runs").info["command"]

    # the address is known, and the credentials are those of the environment
    done = cnnsearch(tmp_path, *line, AWS_ENDPOINT_URL=s3, **AWS)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = " ".join(done.stdout.split())
    assert f"Checkpoints are written to s3://{bucket}/folder, as in the run before." in shown
    study = listing.load("s", tmp_path / "runs")
    ended = [record for record in study.trials() if record.state in COUNTED]
    assert len(ended) == 3 and sum(record.resumed > 0 for record in ended) == 1
    # each of them was paused at 1 and 3 epochs
    assert any(record.state == "complete" and record.epochs == len(record.history) == 9 for record in ended)
    assert not objects() and not (study.folder / "epochs").exists()
    assert study.fact("training_checkpoints")["address"] == f"s3://{bucket}/folder"
    output.write_text(output.read_text() + done.stdout + done.stderr)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"w0rd" not in path.read_bytes(), path


def test_an_address_that_cannot_be_used_is_one_line_before_anything_is_trained(run: Run, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SPACE)
    for address, words in (
        (f"s3://KEY:{SECRET}@bucket/a", "--checkpoints s3://***@bucket/a cannot be used: Could not connect"),
        ("memory://a", "--checkpoints memory://a: memory:// exists only within one process"),
    ):
        done = run(*LINE, "--checkpoints", address, AWS_ENDPOINT_URL="http://127.0.0.1:9")
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert "w0rd" not in done.stdout + done.stderr
    assert not list((tmp_path / "runs").rglob("worker-*.log"))


@pytest.mark.slow
@pytest.mark.parametrize(("scheduler", "code"), [("none", 0), ("halving", 1)])
def test_a_store_that_is_lost_ends_no_search_unless_a_trial_must_pause(
    tmp_path: Path, store: str, scheduler: str, code: int
) -> None:
    (tmp_path / "small.toml").write_text(SPACE)
    line = [*LINE, "--epochs", "3", "--scheduler", scheduler, "--json"]
    with servers.s3(tmp_path) as address:
        _, bucket = bucket_at(address)
        process = subprocess.Popen(
            [sys.executable, "-m", "cnnsearch", *line, "--checkpoints", f"s3://{bucket}"],
            cwd=tmp_path,
            env=surroundings(AWS_ENDPOINT_URL=address, MLFLOW_TRACKING_URI=store, **AWS),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not (tmp_path / "runs" / "s" / "logs" / "worker-0.log").exists() and process.poll() is None:
            time.sleep(0.1)
    said, complaints = process.communicate(timeout=400)
    assert process.returncode == code, said + complaints
    log = (tmp_path / "runs" / "s" / "logs" / "worker-0.log").read_text()
    assert f"the checkpoint s3://{bucket}/s-" in log and "is not written: Could not connect" in log
    if code:
        assert f"s3://{bucket}/s-" in complaints and "cannot be written. See that this address can be" in complaints
        assert log.count("is not written") > 1, "it is tried again before the search ends"
    else:
        assert sum(json.loads(each).get("state") == "complete" for each in said.splitlines()) >= 1
