"""What a terminal shows of a running search, for widths of 80 and 200 columns."""

import io
from typing import Any

import pytest
from rich.console import Console

from cnnsearch.cli import live_panel
from cnnsearch.cli.live_display import LiveDisplay
from cnnsearch.cli.live_panel import Curve
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.progress import Running, StudyStatistics, TuningStatus

CHOICES = {f"filters/width{number}": 16 * number for number in range(1, 9)}
BEST = Trial(number=3, state="complete", score=0.9903, epochs=12, best_epoch=8, seconds=5.2, choices=CHOICES)
FAILED = Trial(number=4, state="failed", failure="nan", reason="the loss was nan", seconds=1.0)


def status(running: int, done: Trial | None = None) -> TuningStatus:
    statistics = StudyStatistics(True).plus(BEST).plus(FAILED)
    trials = tuple(Running(10 + number, 3, 12, 6.0) for number in range(running))
    return TuningStatus(50, statistics, trials, 57.0, 2, {}, done)


def drawn(width: int, given: TuningStatus, curves: dict[int, Curve], height: int = 30) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO())
    console.print(live_panel.panel(given, curves, width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 200])
def test_each_line_fits_the_width_and_says_what_runs(width: int) -> None:
    curves = {10: Curve((0.5, 0.75, 1.0), 1.8), 11: Curve((0.5, 0.5, float("nan")), None), 12: Curve((0.9,), 1.0)}
    summary, best, paused, first, second = drawn(width, status(2), curves | {13: Curve((), None)})
    assert summary.startswith("2/50 trials  2 running 1 complete 0 pruned 1 failed (1 nan)  0:57, about ")
    assert best.startswith("best 0.9903  trial 3: filters/width1=16 ")
    assert best.rstrip().endswith("+5" if width == 80 else "+2"), "as many hyperparameters as fit"
    assert paused.rstrip() == "paused  1 at low fidelity, 1 at epoch 1"
    assert first.split() == ["trial", "10", "epoch", "3/12", "▁▅█", "1.0000", "1.8", "s/epoch", "0:16", "left"]
    assert second.split() == ["trial", "11", "epoch", "3/12", "▁▁", "nan", "0:06"]


def test_many_running_trials_leave_the_screen_its_other_lines() -> None:
    lines = drawn(80, status(64), {}, height=20)
    assert len(lines) <= 20 - 2 and lines[-1].rstrip() == "and 50 more"


def test_lines_of_ended_trials_are_coloured_only_if_best_or_failed() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    display, other = LiveDisplay(console), Trial(number=5, state="complete", score=0.5, epochs=2, best_epoch=1)
    for done in (BEST, FAILED, other):
        display.on_status(status(1, done))
    assert isinstance(console.file, io.StringIO)
    best, failed, plain = console.file.getvalue().splitlines()
    assert "\x1b[32m" in best and "\x1b[31m" in failed and "\x1b" not in plain
    assert failed.count("trial 4 failed (nan): the loss was nan") == 1


def test_a_trial_is_shown_as_paused_until_it_runs_again_or_ends() -> None:
    console = Console(width=80, height=30, file=io.StringIO())
    display, running = LiveDisplay(console), status(1)

    def shown() -> str:
        assert isinstance(console.file, io.StringIO)
        console.file.truncate(console.file.seek(0))
        drawn: Any = display._drawn()
        console.print(drawn)
        return console.file.getvalue()

    assert "Starting a worker" in shown()
    display.on_loading(12_345, 50_000)
    assert "Reading images" in shown() and "12,345 of 50,000" in shown()
    for number in (10, 11):
        display.on_trial_start(Trial(number=number))
        display.on_epoch_end(Trial(number=number), 1, {})
    display.on_status(running)
    assert "paused  1 at epoch 1" in shown()
    display.on_status(status(2))
    assert "paused" not in shown()
    display.on_status(running)
    display.on_trial_end(Trial(number=11))
    assert "paused" not in shown()
