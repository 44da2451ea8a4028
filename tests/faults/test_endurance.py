"""What is held does not grow with the number of trials."""

from pathlib import Path

import pytest

from tests.faults import endurance


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_trials_leave_nothing_behind(tmp_path: Path, blank_mlflow: Path) -> None:
    held = endurance.watch(tmp_path, 30, blank_mlflow)
    assert [each.trials for each in held] == list(range(1, 31))
    early, late = held[9], held[-1]
    assert late.parent - early.parent < 50 << 20, f"the parent grew from {early.parent:,} to {late.parent:,} bytes"
    assert late.files <= early.files + 3, f"open files grew from {early.files} to {late.files}"
