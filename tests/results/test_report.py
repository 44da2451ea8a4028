"""report: every section on one page that loads nothing from a network, for studies of every kind."""

import base64
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from optuna.importance import FanovaImportanceEvaluator

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results import leaderboard, report
from cnnsearch.results.comparison import evidence
from cnnsearch.results.report import drawing, facts, fanova, importance, model_images, plots
from cnnsearch.results.report.plots import Point
from cnnsearch.results.report.study_cost import study_cost
from cnnsearch.spaces import plugins
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.space import Use
from cnnsearch.study import listing, opening
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.trial_recorder import finish
from tests.conftest import invoke

SECTIONS = (
    *(
        "leaderboard",
        "recipes",
        "history",
        "cost",
        "importance",
        "slices",
        "effects",
        "best",
        "curves",
        "mistakes",
        "samples",
    ),
    *("tradeoff", "versions", "commands"),
)


class Read(HTMLParser):
    """A page's tags, the addresses in it, its alternative texts, and the text of each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.alts: list[str] = []
        self.sections: dict[str, str] = {"": ""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [given[name] or "" for name in ("src", "href", "action") if name in given]
        if tag == "img":
            self.alts.append(given.get("alt") or "")
        if tag == "section":
            self.sections[given["id"] or ""] = ""

    def handle_data(self, data: str) -> None:
        self.sections[list(self.sections)[-1]] += data


def page(path: Path) -> Read:
    """A report, read; it was checked that it has every section and loads nothing from a network."""
    text = path.read_text("utf-8")
    read = Read(text)
    assert tuple(read.sections)[1:] == SECTIONS
    assert all(address.startswith(("data:image/", "#")) for address in read.addresses)
    assert not {"script", "link", "iframe"} & set(read.tags) and "url(" not in text and "@import" not in text
    assert all(read.alts)
    for svg in re.findall('data:image/svg[+]xml;base64,([^"]+)', text):
        drawn = base64.b64decode(svg).decode()
        assert all(link.startswith(("#", "data:image/")) for link in re.findall('href="([^"]*)"', drawn))
    return read


@pytest.fixture(scope="module")
def reported(searched: Path) -> Path:
    done = invoke(searched, "report", "-o", "pages/report.html")
    assert done.returncode == 0, done.stderr
    assert "Wrote pages/report.html: The best of 5 trials reaches" in done.stdout
    assert "not logged" not in done.stdout and not done.stderr
    return searched / "pages" / "report.html"


def test_a_real_study_has_every_part(reported: Path, searched: Path) -> None:
    read = page(reported)
    best = facts.gather(listing.load(None, searched / "runs")).best
    assert best is not None
    assert f"{best.score:.2%}" in read.sections[""] and "new seeds" in read.sections[""]
    assert "validation images" in read.sections["mistakes"] and "Not shown" not in read.sections["mistakes"]
    assert "Not shown" not in read.sections["samples"]
    assert "too few to estimate importances" in read.sections["importance"]
    assert "cnnsearch run --space digits_cnn --trials 5" in read.sections["commands"]
    assert sum(alt.startswith("validation accuracy") for alt in read.alts) >= 4


def test_it_is_in_mlflow_too(reported: Path, searched: Path) -> None:
    client = MlflowClient(f"sqlite:///{searched / 'mlflow.db'}")
    run_id = listing.load(None, searched / "runs").fact("mlflow")["run_id"]
    assert [item.path for item in client.list_artifacts(run_id, "report")] == ["report/report.html"]


def test_it_never_evaluates_on_the_test_set(reported: Path, searched: Path) -> None:
    before = listing.load(None, searched / "runs").test_results()
    report.write(listing.load(None, searched / "runs"), searched / "pages" / "again.html")
    assert listing.load(None, searched / "runs").test_results() == before


def test_the_model_and_the_data_may_be_lost(searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched / "runs", tmp_path / "runs")
    study = listing.load(None, tmp_path / "runs")
    study.remember(folder=str(tmp_path / "runs" / study.name))
    (best, *_) = facts.gather(study).complete
    # a study that was copied keeps its models in its own folder
    shutil.rmtree(tmp_path / "runs" / study.name / "checkpoints")
    report.write(study, tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    assert f"the model of trial {best.number} is not stored any more" in read.sections["mistakes"]
    assert "Not shown" not in read.sections["samples"]
    study.remember(dataset=["npz", {"path": str(tmp_path / "gone.npz")}])
    report.write(study, tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    for name in ("mistakes", "samples"):
        assert "Not shown: the data cannot be read again." in read.sections[name]
        assert "gone.npz" in read.sections[name]


def test_another_file_is_not_overwritten(reported: Path, searched: Path) -> None:
    (searched / "thesis.html").write_text("<p>mine</p>")
    done = invoke(searched, "report", "-o", "thesis.html")
    assert done.returncode == 2 and "exists and is not a report of cnnsearch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    with pytest.raises(CnnsearchError, match="cannot be written"):
        report.write(listing.load(None, searched / "runs"), searched / "runs")
    assert (searched / "thesis.html").read_text() == "<p>mine</p>"


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_nothing_is_wider_than_a_phone(reported: Path, tmp_path: Path) -> None:
    told = "<script>document.title = `${document.documentElement.scrollWidth} in ${innerWidth}`</script></body>"
    (tmp_path / "page.html").write_text(reported.read_text("utf-8").replace("</body>", told))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    opened = [str(CHROMIUM), *options, "--window-size=500,900", "--dump-dom", str(tmp_path / "page.html")]
    done = subprocess.run(opened, capture_output=True, text=True, timeout=120, check=False)
    found = re.search("<title>([0-9]+) in ([0-9]+)</title>", done.stdout)
    assert found, done.stderr
    assert int(found[1]) <= int(found[2]) <= 500


# -- studies made by hand --------------------------------------------------------------------------


def made(folder: Path, records: Iterable[Trial]) -> Study:
    """A study that holds these trials."""
    space = spaces.load("digits_cnn", plugins.load())
    study = opening.begin(
        SearchConfig.of(
            space=space,
            dataset=Use("digits", {}),
            name="made",
            trials=5,
            epochs=10,
            metric="val_accuracy",
            runs=folder / "runs",
        )
    )
    data = {"name": "digits", "fingerprint": "0", "input_shape": [8, 8, 1], "classes": list("0123456789")}
    study.remember(data={**data, "images": {"train": 100, "val": 100, "test": 100}})
    study.optuna.sampler = optuna.samplers.RandomSampler(seed=1)
    for wanted in records:
        end(study, wanted)
    return study


def end(study: Study, wanted: Trial, by: str = "") -> None:
    """One more trial that ended so; its score is what it drew for `by`, if that is named."""
    trial = study.optuna.ask()
    for name in ("a/x", "a/y", "a/z"):
        trial.suggest_float(name, 0, 1)
    finish(study, trial, replace(wanted, score=trial.params[by]) if by else wanted)


def complete(number: int, score: float) -> Trial:
    history = tuple({"loss": 1 / (n + 1), "val_loss": 1.0, "accuracy": score, "val_accuracy": score} for n in range(3))
    shape = {"best_epoch": 3, "epochs": 3, "seconds": 6.0, "weights": 100 + number, "macs": 1000 + number}
    return Trial(number, "complete", score=score, history=history, **shape)


def failed(number: int, kind: str, reason: str) -> Trial:
    return Trial(number, "failed", failure=kind, reason=reason, seconds=4.0)


def test_one_trial(tmp_path: Path) -> None:
    report.write(made(tmp_path, [complete(0, 0.9)]), tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    assert "The only trial reaches 90.00% validation accuracy on digits" in read.sections[""]
    assert "Too few trials to compare" in read.sections["effects"]
    assert "This trial was not evaluated on the test set." in read.sections[""]
    assert "With 100 validation images chance alone changes a score like this by 7.44 points" in read.sections[""]


def test_the_figure_on_test_is_that_of_the_best_itself(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.9)])
    study.add_test_result({"trial": 0, "model": "0", "accuracy": 0.85, "loss": 0.5, "n": 100})
    study.remember_fact(
        "test:0 refit", {"trial": 0, "model": "0 refit", "accuracy": 0.87, "n": 100, "loss": 0.5, "when": "z"}
    )
    report.write(study, tmp_path / "report.html")
    top = page(tmp_path / "report.html").sections[""]
    assert "85.00% on test" in top and "87" not in top
    assert "2 models of this study were evaluated on the test set" in top


def test_only_failures_and_their_texts_are_escaped(tmp_path: Path) -> None:
    hostile = "<img src=http://example.com/x> <script>alert(1)</script>"
    study = made(tmp_path, [failed(0, "nan", hostile), failed(1, "oom", "too much"), failed(2, "oom", "more")])
    report.write(study, tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    assert "None of 3 trials is complete" in read.sections[""]
    assert "2 oom, 1 nan" in read.sections[""]
    assert hostile in read.sections["cost"]


def test_no_trial_at_all(tmp_path: Path) -> None:
    report.write(made(tmp_path, []), tmp_path / "report.html")
    assert "No trial is complete." in page(tmp_path / "report.html").sections[""]


def test_the_headline_has_the_mean_over_new_seeds(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.93), complete(1, 0.95), complete(2, 0.2)])
    for trial, scores in ((0, (0.91, 0.92, 0.93)), (1, (0.90, 0.91, 0.92))):
        for seed, score in enumerate(scores):
            study.add_repeat(Repeat(trial, seed, score)._asdict())
    report.write(study, tmp_path / "report.html")
    top = page(tmp_path / "report.html").sections[""]
    # Student's t for 4 degrees of freedom, 2.776, times 0.01 over the root of 3
    assert "92.00% ± 1.60% validation accuracy over 3 new seeds" in top
    assert "was too optimistic by 1.00 points" in top and "Trial 1 may be as good" in top


def test_time_and_epochs_are_added_up() -> None:
    pruned = Trial(2, "pruned", epochs=2, seconds=8.0, score=0.5)
    resumed = Trial(3, "pruned", epochs=3, resumed=1, seconds=4.0, plan='{"epochs": 4}')
    found = study_cost([complete(0, 0.9), complete(1, 0.8), pruned, resumed, failed(4, "nan", "loss was nan")], 10)
    assert (found.trials, found.epochs, found.seconds) == (5, 11, 28.0)
    # 8 epochs at 4 seconds each, and 1 of a plan of 4 at 2 seconds: one of its three was trained before a cut
    assert (found.saved_epochs, found.saved_seconds) == (9, 34.0)
    assert [(part.kind, part.trials, part.seconds) for part in found.failures] == [("nan", 1, 4.0)]


@pytest.mark.slow
def test_only_the_hyperparameter_that_decides_the_score_is_above_chance(tmp_path: Path) -> None:
    study = made(tmp_path, [])
    for number in range(importance.MIN_TRIALS - 1):
        end(study, complete(number, 0.5), by="a/y")
    assert importance.importances(study) == ()
    for number in range(importance.MIN_TRIALS - 1, 25):
        end(study, complete(number, 0.5), by="a/y")
    first, *rest = importance.importances(study)
    assert first.name == "a/y" and first.above_chance and first.share > 0.8
    assert {row.name for row in rest} == {"a/x", "a/z"} and not any(row.above_chance for row in rest)
    report.write(study, tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    assert "Above chance: a/y." in read.sections["importance"]
    assert "Importance not above chance." in read.sections["slices"]


def test_a_large_study_draws_and_shows_some_of_its_trials_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made(tmp_path, [])
    for number in range(30):
        end(study, complete(number, 0.5), by="a/y")
    for constant in (
        "importance.MOST",
        "plot_sections.MOST",
        "plot_sections.POINTS",
        "drawing.POINTS",
        "sections.ROWS",
    ):
        monkeypatch.setattr(f"cnnsearch.results.report.{constant}", 20)
    monkeypatch.setattr(evidence, "MOST", 20)
    report.write(study, tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    assert "The first 20 of 30 rows" in read.sections["leaderboard"]
    assert "over the ranks of 20 of the 30 complete trials, chosen by chance" in read.sections["importance"]
    assert "20 of 30 complete trials, chosen by chance" in read.sections["effects"]
    assert "At most 20 points of each kind are drawn" in read.sections["history"]
    assert "At most 20 points of each kind are drawn" in read.sections["slices"]
    assert len(leaderboard.to_csv(leaderboard.rows(study)).splitlines()) == 31


def test_points_are_thinned_evenly() -> None:
    found = drawing.thinned(range(10_000))
    assert len(found) == drawing.POINTS and found[0] == 0 and found[1] == 10
    assert drawing.thinned([3, 1, 2]) == [3, 1, 2]


def test_shares_are_those_of_optuna() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        trial = study.ask()
        value = trial.suggest_float("a", 0.01, 1, log=True) + trial.suggest_int("b", 8, 64, step=8) / 64
        study.tell(trial, value + (trial.suggest_categorical("c", ["x", "y", None]) == "x"))
    expected = FanovaImportanceEvaluator(n_trees=fanova.TREES, seed=0).evaluate(study)
    points = fanova.encoded(
        [trial.params for trial in study.trials], dict(sorted(study.trials[0].distributions.items()))
    )
    assert fanova.shares(points, np.array([trial.value for trial in study.trials])) == pytest.approx(expected)


def test_the_pareto_front_is_what_no_other_point_beats() -> None:
    points = [Point(1, 0.5, 0), Point(2, 0.4, 1), Point(2, 0.7, 2), Point(3, 0.7, 3), Point(4, 0.9, 4)]
    assert [point.trial for point in plots.pareto_front(points, maximize=True)] == [0, 2, 4]
    assert [point.trial for point in plots.pareto_front(points, maximize=False)] == [0, 1]


def test_many_classes_have_no_matrix_but_the_most_frequent_confusions() -> None:
    classes = [f"class <{n}>" for n in range(30)]
    y = np.arange(30)
    predicted = np.where(y < 3, 29, y)
    assert model_images.confusion_table(y, predicted, classes) is None
    found = model_images.frequent_confusions(y, predicted, classes)
    assert found is not None and found.rows[0] == ("class <0>", "class <29>", "1") and len(found.rows) == 3
