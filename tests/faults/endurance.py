"""Many tiny trials in one run: what the parent and its workers hold as it goes on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.faults import storm

SPACE = """
dataset = { use = "digits", limit = 100 }
input_shape = [8, 8, 1]
dimensions = [{ use = "filters", first = [2, 4] }, { use = "head", width = [8, 16] }, { use = "learning_rate" }]
[defaults]
epochs = 1
batch_size = 64
"""


class Holding(NamedTuple):
    """What was held after so many trials: bytes and open files of the parent, bytes of the largest worker."""

    trials: int
    parent: int
    files: int
    worker: int


def watch(folder: Path, trials: int, blank: Path | None = None) -> list[Holding]:
    """Run so many trials and look at the processes after every one."""
    (folder / "tiny.toml").write_text(SPACE)
    asked = ["--space", "tiny.toml", "--trials", str(trials), "--jobs", "2", "--json", "--pruner", "none"]
    line = [sys.executable, "-m", "cnnsearch", "run", *asked, "--sampler", "random"]
    with (folder / "err.txt").open("wb") as err:
        running = subprocess.Popen(
            line, cwd=folder, env=storm.surroundings(folder, blank), stdout=subprocess.PIPE, stderr=err, text=True
        )
    parent, held = psutil.Process(running.pid), []
    assert running.stdout is not None
    with running:
        for said in running.stdout:
            if json.loads(said)["event"] == "trial" and running.poll() is None:
                workers = [child.memory_info().rss for child in parent.children(recursive=True)]
                held.append(Holding(len(held) + 1, parent.memory_info().rss, parent.num_fds(), max(workers, default=0)))
    assert running.returncode == 0, (folder / "err.txt").read_text()[-2000:]
    return held
