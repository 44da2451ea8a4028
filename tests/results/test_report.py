"""report: every section on one page that loads nothing from a network, for studies of every kind."""

import json
import re
import shutil
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
from cnnsearch.results.export import exported_model
from cnnsearch.results.origin import origin_of
from cnnsearch.results.report import facts, fanova, forest, importance, model_images, trial_records
from cnnsearch.results.report.study_cost import study_cost
from cnnsearch.study import listing
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.trial import Trial
from tests.conftest import invoke
from tests.made_studies import complete, end, failed, made

SECTIONS = (
    *("leaderboard", "recipes", "history", "curves", "cost", "importance", "slices", "effects", "tradeoff", "best"),
    *("mistakes", "samples", "versions", "commands"),
)


class Read(HTMLParser):
    """A page's tags, the addresses in it, its alternative texts, the text of each section, and its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.alts: list[str] = []
        self.sections: dict[str, str] = {"": ""}
        self.scripts: list[str] = []
        self.feed(text)
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [given[name] or "" for name in ("src", "href", "action") if name in given]
        if tag == "img":
            self.alts.append(given.get("alt") or "")
        if tag == "script":
            self.scripts.append("")
        if "data-alt" in given:
            self.alts.append(given["data-alt"] or "")
        if tag == "section":
            self.sections[given["id"] or ""] = ""

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            self.scripts[-1] += data
            return
        self.sections[list(self.sections)[-1]] += data


def page(path: Path) -> Read:
    """A report, read; it was checked that it has every section and loads nothing from a network."""
    text = path.read_text("utf-8")
    read = Read(text)
    assert tuple(read.sections)[1:] == SECTIONS
    assert all(address.startswith(("data:image/", "#")) for address in read.addresses)
    # the data, and four scripts of which the policy has the digests
    assert len(read.scripts) == 5 and not {"link", "iframe"} & set(read.tags)
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)
    assert policy and policy[1].startswith("default-src") and "http" not in policy[1]
    assert policy[1].count("sha256-") == 4 and "unsafe-eval" not in policy[1]
    assert all(read.alts)
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
    (data,) = read.data
    assert data["best"] == best.number and len(data["trials"]["number"]) == 5
    assert data["trials"]["score"][best.number] == pytest.approx(best.score, abs=1e-6)
    assert data["curves"][str(best.number)] and data["plans"][str(best.number)][-2][0] == "head"


def test_the_mistakes_are_those_that_the_worker_stored(searched: Path) -> None:
    study = listing.load(None, searched / "runs")
    best = facts.gather(study).best
    assert best is not None
    origin = origin_of(study, best, ())
    stored = model_images.stored_predictions(origin)
    assert stored is not None
    expected = origin.predict(exported_model.trained_model(origin), origin.parts.x_val)
    assert (stored.predicted == expected.argmax(1)).mean() > 0.99
    assert (stored.predicted == origin.parts.y_val).mean() == pytest.approx(best.score, abs=0.005)
    assert stored.confidence == pytest.approx(expected.max(1), abs=0.01)


def test_it_is_in_mlflow_too(reported: Path, searched: Path) -> None:
    client = MlflowClient(f"sqlite:///{searched / 'mlflow.db'}")
    run_id = listing.load(None, searched / "runs").fact("mlflow")["run_id"]
    assert [item.path for item in client.list_artifacts(run_id, "report")] == ["report/report.html"]
    links = page(reported).data[0]["runs"]
    assert len(links) == 5
    for number, link in links.items():
        _, experiment, _, run = link.split("/")
        found = client.get_run(run)
        assert found.info.experiment_id == experiment and found.data.tags["cnnsearch.trial"] == number


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


# -- studies made by hand --------------------------------------------------------------------------


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
    hostile = "<img src=http://example.com/x> </script><script>alert(1)</script>"
    study = made(tmp_path, [failed(0, "nan", hostile), failed(1, "oom", "too much"), failed(2, "oom", "more")])
    report.write(study, tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    assert "None of 3 trials is complete" in read.sections[""]
    assert "2 oom, 1 nan" in read.sections[""]
    assert hostile in read.sections["cost"]
    assert read.data[0]["trials"]["reason"] == [hostile, "too much", "more"]
    assert read.data[0]["trials"]["score"] == [None, None, None]


def test_the_end_of_a_log_is_on_the_page_as_text(tmp_path: Path) -> None:
    study = made(tmp_path, [failed(0, "nan", "why"), complete(1, 0.9), complete(2, 0.8)])
    (study.folder / "logs").mkdir(exist_ok=True)
    study.add_to_log(0, b"\x1b[31m</script><b>red</b>\x1b[0m\rdone\r\nnext\x07 \xff\n")
    study.add_to_log(1, b"first\n" + b"x" * 100 + b"\n" + b"12345678 \n" * 400)
    report.write(study, tmp_path / "report.html")
    logs = page(tmp_path / "report.html").data[0]["logs"]
    assert logs.keys() == {"0", "1"}
    assert logs["0"] == "done\nnext \N{REPLACEMENT CHARACTER}"
    assert len(logs["1"]) <= trial_records.LOG_BYTES and logs["1"].startswith("…\n12345678 \n12345678")


def test_a_study_without_a_default_point_is_not_compared_with_one(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.7)])
    assert not study.info.get("default")
    report.write(study, tmp_path / "report.html")
    shown = page(tmp_path / "report.html").sections["best"]
    assert "a/x" in shown and "trial 0" in shown and "default point" not in shown
    study.remember(default={"a/x": 0.5})
    report.write(study, tmp_path / "report.html")
    assert "Different from the default point" in page(tmp_path / "report.html").sections["best"]


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
    assert re.search(r"92\.00% \(8\d\.\d\d% to 9\d\.\d\d%\) validation accuracy over 3 new seeds", top)
    assert "The validation accuracy of its model on new images of this kind is between 8" in top
    assert "was too optimistic by 1.00 points" in top and "Trial 1 may be as good" in top


def test_time_and_epochs_are_added_up() -> None:
    pruned = Trial(2, "pruned", epochs=2, seconds=8.0, score=0.5)
    resumed = Trial(3, "pruned", epochs=3, resumed=1, seconds=4.0, plan='{"epochs": 4}')
    found = study_cost([complete(0, 0.9), complete(1, 0.8), pruned, resumed, failed(4, "nan", "loss was nan")], 10)
    assert (found.trials, found.epochs, found.seconds) == (5, 11, 28.0)
    # 8 epochs at 4 seconds each, and 1 of a plan of 4 at 2 seconds: one of its three was trained before a cut
    assert (found.saved_epochs, found.saved_seconds) == (9, 34.0)
    assert [(part.kind, part.trials, part.seconds) for part in found.failures] == [("nan", 1, 4.0)]


def test_equal_scores_make_no_hyperparameter_important(tmp_path: Path) -> None:
    """`a/drift` grows with the number of the trial, as a sampler's values may."""
    study = made(tmp_path, [])
    for number in range(20):
        study.optuna.enqueue_trial({"a/drift": number / 20})
        end(study, complete(number, 0.5), more=("a/drift",))
    assert not any(row.above_chance for row in importance.importances(study))


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
    assert read.data[0]["importance"][0]["name"] == "a/y" and read.data[0]["importance"][0]["above"]


def test_a_large_study_draws_and_shows_some_of_its_trials_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made(tmp_path, [])
    for number in range(30):
        end(study, complete(number, 0.5), by="a/y")
    for constant in ("importance.MOST", "chart_sections.MOST", "chart_sections.TRIALS", "payload.TRIALS"):
        monkeypatch.setattr(f"cnnsearch.results.report.{constant}", 20)
    for module in ("chart_sections", "payload"):
        monkeypatch.setattr(f"cnnsearch.results.report.{module}.LINES", 10)
    monkeypatch.setattr(evidence, "MOST", 20)
    report.write(study, tmp_path / "report.html")
    read = page(tmp_path / "report.html")
    shown = read.data[0]["trials"]
    assert len(shown["number"]) == 20 and read.data[0]["all_trials"] == 30 and sorted(shown["rank"]) == [*range(1, 21)]
    assert "over the ranks of 20 of the 30 complete trials, chosen at random" in read.sections["importance"]
    assert "20 of 30 complete trials, chosen at random" in read.sections["effects"]
    assert "The first 20 of 30 trials of the leaderboard are drawn" in read.sections["history"]
    assert read.data[0]["lines"] == 10 and "10 of 30 complete trials are drawn" in read.sections["slices"]
    assert len(leaderboard.to_csv(leaderboard.rows(study)).splitlines()) == 31


def test_shares_are_near_those_of_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    # forests of few trees differ by chance
    monkeypatch.setattr(fanova, "TREES", 100)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        trial = study.ask()
        value = trial.suggest_float("a", 0.01, 1, log=True) + trial.suggest_int("b", 8, 64, step=8) / 64
        study.tell(trial, value + (trial.suggest_categorical("c", ["x", "y", None]) == "x"))
    expected = FanovaImportanceEvaluator(n_trees=fanova.TREES, seed=0).evaluate(study)
    points = fanova.encoded(
        [trial.params for trial in study.trials], dict(sorted(study.trials[0].distributions.items()))
    )
    scores = np.array([trial.value for trial in study.trials])
    found = fanova.shares(points, np.array([scores, np.ones(20)]))
    assert {name: share[0] for name, share in found.items()} == pytest.approx(expected, abs=0.04)
    assert all(share[1] == 0 for share in found.values())
    # more choices than MOST_HALVES are computed in another way, with the same result
    monkeypatch.setattr(fanova, "MOST_HALVES", 1)
    again = fanova.shares(points, np.array([scores, np.ones(20)]))
    assert again["c"][0] == pytest.approx(found["c"][0])


def test_a_forest_fits_every_point_that_it_was_given() -> None:
    generator = np.random.default_rng(0)
    x = np.column_stack([generator.random(30), generator.integers(2, size=30), generator.integers(4, size=30) / 3])
    leaves = forest.grown(x, generator.random((2, 30)), 3)
    assert [*np.unique(leaves.tree)] == [*range(6)]
    volumes = np.prod(leaves.high - leaves.low, axis=1)
    assert np.bincount(leaves.tree, volumes) == pytest.approx(np.ones(6))
    above = (leaves.low[:, None] < x) | (leaves.low[:, None] == 0)
    inside = (above & (x <= leaves.high[:, None])).all(2)
    assert (np.array([inside[leaves.tree == tree].sum(0) for tree in range(6)]) == 1).all()


def test_many_classes_have_no_matrix_but_the_most_frequent_confusions() -> None:
    classes = [f"class <{n}>" for n in range(30)]
    y = np.arange(30)
    predicted = np.where(y < 3, 29, y)
    assert model_images.confusion_table(y, predicted, classes) is None
    found = model_images.frequent_confusions(y, predicted, classes)
    assert found is not None and found.rows[0] == ("class <0>", "class <29>", "1") and len(found.rows) == 3


def test_a_study_without_test_images_is_not_told_to_evaluate_on_them(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.7), complete(1, 0.8)])
    study.remember(data={**study.info["data"], "images": {}}, default={})
    written = invoke(tmp_path, "report", "-o", "report.html")
    assert written.returncode == 0, written.stderr
    text = (tmp_path / "report.html").read_text("utf-8")
    shown = re.sub(r"(?s)<script.*?</script>", "", text)
    assert "test set" not in shown and "cnnsearch export" not in shown and "a plain network" not in shown
    assert page(tmp_path / "report.html").data[0]["tested"] is False
