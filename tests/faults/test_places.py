"""Full disks, folders that may not be written, locked and deleted stores: one clear line, and nothing is lost."""

import contextlib
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TINY, Run, cnnsearch
from tests.faults import storm

LINE = ("run", "--space", "digits_cnn", *TINY, "--jobs", "1", "--quiet")


@contextlib.contextmanager
def tmpfs(path: Path, size: str) -> Iterator[Path]:
    """A file system of its own at `path`, where this process may make one."""
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """What a command said at its end; never a traceback."""
    assert "Traceback" not in done.stderr and "bug in cnnsearch" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def counted(folder: Path, runs: str = "runs") -> int:
    """How many trials have ended, by a query of the database itself."""
    with contextlib.closing(sqlite3.connect(folder / runs / "cnnsearch.db")) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        query = "select count(*) from trials where state in ('COMPLETE', 'PRUNED')"
        return int(database.execute(query).fetchone()[0])


def logged(folder: Path) -> int:
    """How many runs MLflow's database has."""
    if not (folder / "mlflow.db").exists():
        return 0
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, contextlib.suppress(sqlite3.Error):
        return int(database.execute("select count(*) from runs").fetchone()[0])
    return 0


@pytest.mark.timeout(600)
def test_a_full_disk_is_one_line_and_the_study_goes_on_when_there_is_space(
    run: Run, tmp_path: Path, store: str
) -> None:
    with tmpfs(tmp_path / "small", "40m") as small:
        first = run(*LINE, "--trials", "1", "--runs", "small/runs")
        assert first.returncode == 0, first.stderr
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 12)):
                pass
        # a process of its own, because also its end has no space
        full = cnnsearch(tmp_path, *LINE, "--trials", "4", "--runs", "small/runs", MLFLOW_TRACKING_URI=store)
        assert full.returncode != 0
        said = last_line(full)
        assert "disk is full" in said or "No space left" in said or "cannot be written" in said, said
        filler.unlink()
        again = run(*LINE, "--trials", "4", "--runs", "small/runs")
        assert again.returncode == 0, again.stderr
        assert counted(small) == 4


def test_a_read_only_folder_is_one_line(run: Run, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "fixed", "8m") as fixed:
        subprocess.run(["mount", "-o", "remount,ro", fixed], check=True)
        done = run(*LINE, "--trials", "1", "--runs", "fixed/runs")
        assert done.returncode != 0
        assert "cannot be written" in last_line(done) and "--runs DIR" in last_line(done)


def test_a_locked_database_is_waited_for(run: Run, searched: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copy(searched / "runs" / "cnnsearch.db", tmp_path / "runs")
    database = sqlite3.connect(tmp_path / "runs" / "cnnsearch.db", check_same_thread=False)
    database.execute("begin exclusive")
    # longer than SQLite waits by itself
    release = threading.Timer(7, lambda: (database.rollback(), database.close()))
    release.start()
    began = time.monotonic()
    done = run(*LINE, "--trials", "6")
    assert time.monotonic() - began > 7
    release.join()
    assert done.returncode == 0, done.stderr
    assert counted(tmp_path) == 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_database_that_stays_locked_is_one_line(run: Run, tmp_path: Path, store: str) -> None:
    assert run(*LINE, "--trials", "1").returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "runs" / "cnnsearch.db")) as database:
        database.execute("begin exclusive")
        done = cnnsearch(tmp_path, *LINE, "--trials", "2", MLFLOW_TRACKING_URI=store)
        database.rollback()
    assert done.returncode != 0
    assert "another process has locked it" in last_line(done)
    assert run(*LINE, "--trials", "2").returncode == 0
    assert counted(tmp_path) == 2


@pytest.mark.parametrize("gone", ["runs", "mlflow.db"])
@pytest.mark.timeout(600)
def test_a_store_that_is_deleted_under_the_run(tmp_path: Path, blank_mlflow: Path, gone: str) -> None:
    line, environment = [*storm.command(tmp_path, 4, 0), "--epochs", "40"], storm.surroundings(tmp_path, blank_mlflow)
    with (tmp_path / "log.txt").open("wb") as log:
        running = subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while logged(tmp_path) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    target = tmp_path / gone
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    code, said = running.wait(200), (tmp_path / "log.txt").read_text()
    assert "Traceback" not in said and "bug in cnnsearch" not in said, said
    if gone == "runs":
        assert code != 0 and "the study database in the runs folder cannot be used" in said, said
    else:
        # without MLflow the search goes on; it says once what is missing
        assert code == 0 and "MLflow" in said, said
        assert counted(tmp_path) == 4
