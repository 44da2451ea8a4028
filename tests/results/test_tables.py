"""Tables of the terminal: one line a row, at most as wide as the terminal, and everything with --wide."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cnnsearch.results import leaderboard
from cnnsearch.results.export import card
from cnnsearch.results.export.evaluation import Evaluation
from cnnsearch.results.leaderboard import formats
from cnnsearch.results.leaderboard.table_layout import shortened
from cnnsearch.study.confirmation import Repeat
from tests.made_studies import complete, made

CHOICES = " ".join(f"dimension/hyperparameter_{n}={n}" for n in range(14))
REASON = "the loss was nan in epoch 1; a learning rate of 0.1 is too high for this network of 14 layers"


def row(rank: int | None, **facts: Any) -> leaderboard.Row:
    confirmed = {"rank": rank, "trial": 3, "state": "complete", "mean": 0.9875, "n": 3, "score": 0.99}
    confirmed |= {"low": 0.98, "high": 0.995}
    costs = {"best_epoch": 7, "epochs": 9, "seconds": 61.5, "params": 559978, "macs": 4492928, "pareto": "*"}
    exported = {"latency_1": 0.004, "latency_64": 0.05, "bytes": 494472, "origin": "sampler", "choices": CHOICES}
    return {**dict.fromkeys(leaderboard.COLUMNS), **confirmed, **costs, **exported, **facts}


FAILED = row(None, state="nan", mean=None, low=None, high=None, n=None, score=None, reason=REASON)
BOARD = [row(1), row(2, tie="="), FAILED]


def printed(board: list[leaderboard.Row], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(leaderboard.TerminalTable(board, width).text("a study"))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_trial_has_one_line_that_fits(width: int) -> None:
    title, header, *lines = printed(BOARD, width)
    assert title.strip() == "a study" and "mean over seeds" in header and "hyperparameters" in header
    assert len(lines) == 3 and all(len(line) <= width for line in lines)
    assert all("hyperparam" in line and "0.9875 (0.980-0.995)" in line for line in lines[:2])
    assert "the loss was nan" in lines[2] and leaderboard.TerminalTable(BOARD, width).is_cut
    assert ("pareto:" in leaderboard.TerminalTable(BOARD, width).caption()) == ("pareto" in header)


def test_wide_has_everything() -> None:
    lines = printed(BOARD, leaderboard.WIDE)
    assert len(lines) == 5 and not leaderboard.TerminalTable(BOARD, leaderboard.WIDE).is_cut
    assert all(CHOICES in line for line in lines[2:]) and REASON in lines[4] and "494" in lines[2]


def test_hyperparameters_that_do_not_fit_are_counted() -> None:
    assert shortened("a=1 b=2 c=3", 11) == "a=1 b=2 c=3"
    assert shortened("a=1 b=2 c=3", 10) == "a=1 b=2 +1"
    assert shortened("a=1 b=2 c=3 +4", 9) == "a=1 +6"
    assert shortened("the default point", 8) == "the def…"


def test_a_confirmed_trial_shows_its_mean_below_one_that_is_not_confirmed(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.9), complete(1, 0.8)])
    study.add_repeat(Repeat(1, 1, 0.75)._asdict())
    first, second = leaderboard.rows(study)
    assert (first["trial"], first["mean"], second["trial"]) == (0, None, 1)
    assert (second["mean"], second["n"], second["tie"]) == (0.75, 1, None)


def test_a_value_of_an_objective_with_the_name_of_a_latency_is_shown_as_it_is() -> None:
    assert formats.cell("latency", {"latency": 12.5}) == "12.5"
    assert formats.cell("latency_1", {"latency_1": 0.0125}) == "12.50"


def test_what_was_too_large_to_train_is_not_called_failed() -> None:
    too_large = [row(None, state="too_large"), row(None, state="too_large")]
    said = leaderboard.TerminalTable(BOARD).caption([*BOARD, *too_large]).splitlines()
    assert said[-2:] == ["not trained: 2 too_large", "failed: 1 nan"]


@pytest.mark.parametrize(("low", "high", "said"), [(0.93, 0.97, ""), (0.8, 0.9, "does not agree")])
def test_a_card_says_whether_the_test_set_agrees_with_new_seeds(low: float, high: float, said: str) -> None:
    made = {
        "metric": "val_accuracy",
        "confirmed": {"mean": (low + high) / 2, "interval": [low, high], "n": 3},
        "test": Evaluation(0.95, 0.1, 1000).to_dict(),
    }
    assert said in card.disagreement(made) and bool(said) == bool(card.disagreement(made))
    ((name, value),) = card.confirmed_rows(made)
    assert name == "expected on new images" and f"{low:.2%} to {high:.2%}, from 3 new seeds" in value
    ((name, _),) = card.confirmed_rows({**made, "metric": "val_auc"})
    assert name == "auc expected on new images"
    assert not card.confirmed_rows({**made, "confirmed": None}) and not card.disagreement({**made, "confirmed": None})
