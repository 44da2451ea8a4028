"""A clock that jumps: the search goes on, and nobody is taken for dead or alive by it."""

from pathlib import Path

from tests.conftest import TINY, Run

JUMPS = '''"""Every process that finds this module sees a clock that is a day ahead for 4 seconds, then a day behind."""

import time

real, began = time.time, time.monotonic()


def jumping():
    gone = time.monotonic() - began
    return real() + (0 if gone < 4 else 86400 if gone < 8 else -86400)


time.time = jumping
'''


def test_a_clock_that_jumps_ahead_and_back_harms_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(JUMPS)
    jumping = {"PYTHONPATH": str(tmp_path / "clock")}
    line = ("run", "--space", "digits_cnn", "--jobs", "1", *TINY)
    done = run(*line, "--trials", "2", **jumping)
    assert done.returncode == 0 and "[2/2]" in done.stdout, done.stdout + done.stderr
    # the lease and the trials of a day that is yet to come bind nobody
    again = run(*line, "--trials", "3")
    assert again.returncode == 0 and "[3/3]" in again.stdout, again.stdout + again.stderr
