"""SIGKILL at random moments: the same command finishes the study all the same."""

from pathlib import Path

import pytest

from tests.faults import storm


@pytest.mark.timeout(600)
def test_a_search_that_is_killed_again_and_again_loses_nothing(tmp_path: Path, blank_mlflow: Path) -> None:
    done = storm.rage(tmp_path, trials=8, kills=4, seed=0, pause=12, blank=blank_mlflow)
    assert done.workers + done.parents <= 4
    storm.check(tmp_path, 8)
