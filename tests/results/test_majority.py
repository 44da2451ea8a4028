"""The score of a constant answer next to the scores; searches for other metrics and with class weights."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnsearch.api import notebook
from cnnsearch.core import metrics
from cnnsearch.results import leaderboard, majority, registry, report
from cnnsearch.results.export import card_text
from cnnsearch.results.majority import constant
from cnnsearch.results.report import findings
from cnnsearch.results.report.facts import gather
from cnnsearch.study import listing, ranking
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.study import Study
from tests.conftest import TINY, Run
from tests.results.test_report import complete, made, page

Begun = Callable[..., Study]
UNEVEN = [97, 3, 0]


@pytest.fixture
def begun(tmp_path: Path) -> Begun:
    """`begun(scores, counts, metric)`: a study of trials with these scores; `counts` are validation images a class."""

    number = count()

    def _begun(scores: list[float], counts: list[int], metric: str = "val_accuracy") -> Study:
        study = made(tmp_path / f"study{next(number)}", [complete(at, score) for at, score in enumerate(scores)])
        names = [f"kind {at}" for at in range(len(counts))]
        data = {**study.info["data"], "classes": names, "counts": {"train": counts, "val": counts}}
        study.remember(data=data, metric=metric)
        return study

    return _begun


def test_a_search_that_is_not_better_than_a_constant_answer_gets_a_warning(begun: Begun) -> None:
    study = begun([0.97, 0.9], UNEVEN)
    (line,) = majority.lines(study)
    assert line == (
        "WARNING: 97.0% of the validation images are of class 'kind 0': a constant answer reaches 97.0%, and the best "
        "trial reaches 97.0%. Search for --metric val_balanced_accuracy or val_auc."
    )
    study.add_repeat(Repeat(0, 5, 0.95)._asdict())
    (line,) = majority.lines(study)
    assert "the best trial reaches 95.0%" in line, "the mean over new seeds counts"


def test_a_better_search_gets_one_line_with_the_share(begun: Begun) -> None:
    told = "A constant answer reaches 0.1020: 10.2% of the 98 validation images are of class 'kind 3'."
    assert majority.lines(begun([0.5], [9, 9, 9, 10, 9, 9, 9, 9, 9, 8, 8])) == [told]


@pytest.mark.parametrize(("metric", "value"), [("val_auc", "0.5000"), ("val_balanced_accuracy", "0.5000")])
def test_other_metrics_have_another_constant(begun: Begun, metric: str, value: str) -> None:
    (line,) = majority.lines(begun([0.6], UNEVEN, metric))
    assert line == f"A constant answer reaches {value}: 97.0% of the 100 validation images are of class 'kind 0'."
    (line,) = majority.lines(begun([0.4], UNEVEN, metric))
    assert line.startswith("WARNING: ") and line.endswith("The best trial reaches 0.4000, which is not more.")


def test_a_loss_is_not_compared(begun: Begun) -> None:
    assert majority.lines(begun([0.9], UNEVEN, "val_loss")) == [
        "97.0% of the 100 validation images are of class 'kind 0'."
    ]


@pytest.mark.parametrize("counts", [UNEVEN, [30, 30, 40], [5, 4, 3, 2, 1, 1, 1, 0]])
def test_the_constants_are_the_measured_scores_of_a_constant_answer(counts: list[int]) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    # the most frequent class first, and the others in the order of their frequency
    answer = np.linspace(1, 0, len(counts))[np.argsort(np.argsort(-np.array(counts), kind="stable"))]
    found = metrics.measured(y, np.tile(answer, (len(y), 1)))
    for metric, value in found.items():
        assert constant(metric, counts) == pytest.approx(value, abs=1e-6), metric


def test_studies_without_counts_or_trials_have_no_line(begun: Begun, tmp_path: Path) -> None:
    assert majority.lines(made(tmp_path, [complete(0, 0.1)])) == []
    assert majority.lines(begun([], UNEVEN)) == []
    old = listing.load("finished", Path(__file__).parents[1] / "old_runs" / "0.1.0")
    assert majority.lines(old) == [] and leaderboard.rows(old)


def test_a_notebook_shows_it(begun: Begun) -> None:
    assert "<small>WARNING: 97.0% of the validation images" in notebook.summary_html(begun([0.5], UNEVEN), "1 trial")


def test_the_report_warns_and_names_the_metric(begun: Begun, tmp_path: Path) -> None:
    report.write(begun([0.95], UNEVEN), tmp_path / "report.html")
    top = page(tmp_path / "report.html").sections[""]
    assert "97.00%by a constant answer" in "".join(top.split("\n")).replace("  ", "")
    assert "WARNING: 97.0% of the validation images" in top
    study = begun([0.8125], UNEVEN, "val_auc")
    study.add_test_result({"trial": 0, "model": "0", "accuracy": 0.9, "auc": 0.75, "loss": 0.5, "n": 100})
    report.write(study, tmp_path / "report.html")
    top = page(tmp_path / "report.html").sections[""]
    assert "The only trial reaches 0.8125 validation AUC on digits, 0.75 on test" in top
    assert "WARNING" not in top and "AUC 0.75, accuracy 90.00%" in top


@pytest.mark.parametrize(
    ("metric", "told"), [("val_accuracy", "50% fewer"), ("val_balanced_accuracy", "10.00 points"), ("val_auc", "0.1")]
)
def test_only_accuracies_are_shown_as_fewer_errors(begun: Begun, metric: str, told: str) -> None:
    known = gather(begun([0.9, 0.8], UNEVEN, metric))
    best, second = known.complete
    known = replace(known, complete=(best, replace(second, origin="default")))
    (tile,) = [tile for tile in findings.tiles(known) if tile.label.endswith("the default point")]
    assert tile.value == told


def test_a_champion_is_compared_by_the_metric_of_the_search() -> None:
    here = dict.fromkeys(registry.SAME, "1")
    by_auc = {registry.METRIC: "val_auc", registry.ACCURACY: "0.9"}
    mine, theirs = ({**here, **by_auc, "cnnsearch.val_auc": value} for value in ("0.8", "0.7"))
    assert registry.verdict(mine, SimpleNamespace(tags=theirs, version="4"))[0] is True
    other = SimpleNamespace(tags={**here, registry.ACCURACY: "0.1"}, version="4")
    better, why = registry.verdict(mine, other)
    assert not better and "optimized val_accuracy, and this one val_auc, so they are not compared" in why


def test_a_card_warns_too() -> None:
    told = {"accuracy": 0.97, "n": 100}
    card: dict[str, Any] = {"metric": "val_accuracy", "validation": told, "test": told}
    card["majority"] = {"class": "no", "validation": 0.97, "test": 0.96}
    row = card_text._constant_answer(card)
    assert row.startswith("97.00% of validation, 96.00% of test are of class 'no' **WARNING: a constant answer")
    assert "WARNING" not in card_text._constant_answer({**card, "metric": "val_auc"})


# -- real searches ---------------------------------------------------------------------------------


def rare(path: Path) -> None:
    """Two classes as arrays, 3% of the images are of the second; a network can learn to distinguish them."""
    digits = load_digits()
    y = (digits.target == 0).astype("int64")
    kept = np.sort(np.concatenate([np.flatnonzero(y == 0)[:970], np.flatnonzero(y)[:30]]))
    x = np.rint(digits.images * 255 / 16).astype("uint8")[kept]
    np.savez(path, x_train=x, y_train=y[kept])


SPACE = """
dataset = { use = "npz", path = "rare.npz" }
dimensions = [
  { use = "conv_depth", min = 1, max = 1 },
  { use = "filters", first = [4, 8] },
  { use = "class_weight", choices = ["balanced", "none"] },
  { use = "batch_size", choices = [32] },
]
[defaults]
epochs = 3
metric = "val_auc"
"""


def test_a_search_by_auc_with_weights_of_classes_to_its_export(run: Run, tmp_path: Path) -> None:
    rare(tmp_path / "rare.npz")
    (tmp_path / "uneven.toml").write_text(SPACE)
    done = run("run", "--space", "uneven.toml", "--trials", "2", "--jobs", "1", "--confirm", "1x1")
    assert done.returncode == 0, done.stderr
    assert "the best by val_auc" in done.stdout and "of the 134 validation images are of class '0'" in done.stdout
    study = listing.load("uneven", tmp_path / "runs")
    assert study.info["data"]["counts"] == {"train": [646, 20], "val": [130, 4]}
    assert sum(map(sum, study.info["data"]["counts"].values())) == 800, "test is not counted"
    first = ranking.ranked(study)[0]
    assert first.score == max(epoch["val_auc"] for epoch in first.history)
    assert json.loads(study.trials()[0].plan)["class_weight"] == "balanced"
    assert 0 < study.repeats()[0]["score"] <= 1

    exported = run("export", "--trial", "0", "-o", "out")
    assert exported.returncode == 0, exported.stderr
    assert "test AUC" in exported.stdout
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["validation"]["auc"] == pytest.approx(study.trials()[0].score, abs=1e-3)
    assert 0 <= card["test"]["auc"] <= 1 and card["test"]["n"] == 200
    assert card["majority"]["class"] == "0" and card["majority"]["test"] == pytest.approx(0.97)
    text = (tmp_path / "out" / "card.md").read_text()
    assert "| test AUC | " in text and "| a constant answer | 97.01% of validation, 97.00% of test" in text
    (look,) = listing.load("uneven", tmp_path / "runs").test_results()
    assert look["auc"] == card["test"]["auc"]

    again = run("reproduce", "0")
    assert again.returncode == 0 and "(val_auc)" in again.stdout, again.stderr
    assert float(again.stdout.partition("The largest difference is ")[2].rstrip().rstrip(".")) < 1e-3


def test_labels_that_cannot_be_learned_get_a_warning(run: Run, tmp_path: Path) -> None:
    digits = load_digits()
    x, y = np.rint(digits.images * 255 / 16).astype("uint8"), (np.arange(1797) % 33 == 0).astype("int64")
    np.savez(tmp_path / "labels.npz", x_train=x[:1200], x_test=x[1200:], y_train=y[:1200], y_test=y[1200:])
    found = ("--dataset", "npz:labels.npz", "--trials", "1", "--jobs", "1")
    done = run("run", "--space", "digits_cnn", *found, "--epochs", "1", *TINY[4:])
    assert done.returncode == 0, done.stderr
    assert "WARNING: 97.0% of the validation images are of class '0': a constant answer reaches 97.0%" in done.stdout
    shown = run("leaderboard")
    assert "WARNING: 97.0% of the validation images" in shown.stdout
