"""`cnnsearch reproduce` runs on a worker, as a search does: a killed worker is replaced, and Ctrl-C ends it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults import storm


def reproducing(folder: Path) -> tuple["subprocess.Popen[str]", list[int]]:
    """A running `cnnsearch reproduce 0`, and its workers."""
    line = [sys.executable, "-m", "cnnsearch", "reproduce", "0"]
    running = subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline, workers = time.monotonic() + 200, []
    while not workers and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.02)
        workers = storm.workers(running.pid)
    return running, workers


def test_a_killed_worker_is_replaced_and_ctrl_c_ends_the_command(searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched / "runs", tmp_path / "runs")
    running, workers = reproducing(tmp_path)
    os.kill(workers[0], signal.SIGKILL)
    said, errors = running.communicate(timeout=200)
    assert running.returncode == 0 and "(val_accuracy)" in said, said + errors
    assert float(said.partition("The largest difference is ")[2].rstrip().rstrip(".")) < 0.1

    running, _ = reproducing(tmp_path)
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=200)
    assert running.returncode == 130 and "There is no result" in errors and not said, said + errors
