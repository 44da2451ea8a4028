"""export --ensemble and --refit: the comparison, the training, the card, and the evaluations on the test set."""

import csv
import html
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnsearch.core.errors import StudyError
from cnnsearch.data.splits import Split
from cnnsearch.results import origin
from cnnsearch.results.export import ensemble, gain, refit
from cnnsearch.study import listing, ranking
from cnnsearch.training import heads
from tests.conftest import Run, invoke

# each model sees only a quarter of the digit, so an ensemble is better than each of them
QUARTERS = """
import keras

def build(hp):
    top, left = hp.Choice("top", [0, 4]), hp.Choice("left", [0, 4])
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Cropping2D(((top, 4 - top), (left, 4 - left))),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(10, "softmax"),
    ], name="quarter")
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


def test_the_interval_is_that_of_bonett_and_price() -> None:
    # 12 gained and 2 lost of 100, computed by hand: (13 - 3) / 102 +- 1.959964 sqrt((16/102 - (10/102)^2) / 102)
    y = np.zeros(100, int)
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    several = np.array([right] * 92 + [wrong] * 8)
    alone = np.array([right] * 80 + [wrong] * 12 + [wrong] * 6 + [right] * 2)
    found = gain.compare(several, alone, y, 3)
    assert (found.difference, found.n, found.models) == (pytest.approx(0.1), 100, 3)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0236, 0.1725) and found.better
    same = gain.compare(alone, alone, y, 3)
    assert same.difference == 0 and not same.better and same.low < 0 < same.high


def test_an_ensemble_with_a_gain_above_chance_is_exported_as_one_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(QUARTERS)
    line = ("--dataset", "digits", "--trials", "4", "--epochs", "6", "--jobs", "2", "--sampler", "grid", "--quiet")
    searched = run("run", "--space", "mine.py:build", *line, "--pruner", "none")
    assert searched.returncode == 0, searched.stderr
    done = run("export", "--ensemble", "4", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "Exported the mean of trials " in done.stdout
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["ensemble"]["better"] and card["ensemble"]["low"] > 0 and sorted(card["members"]) == [0, 1, 2, 3]
    assert card["validation"]["accuracy"] == pytest.approx(card["score"] + card["ensemble"]["difference"], abs=0.005)
    model = keras.saving.load_model(tmp_path / "out" / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1)).astype("uint8")
    study = listing.load(None, tmp_path / "runs")
    singles = [keras.saving.load_model(study.checkpoint(record)) for record in study.trials()]
    mean = np.mean([single.predict(images, verbose=0) for single in singles], axis=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), mean, atol=1e-5)
    assert model.count_params() == card["params"] == 4 * singles[0].count_params()
    (look,) = study.test_results()
    assert look["model"] == "+".join(map(str, card["members"]))

    pytest.importorskip("ai_edge_litert")
    again = run("export", "--ensemble", "4", "--refit", "--format", "keras,litert_int8", "-o", "out")
    assert again.returncode == 0, again.stderr
    assert "litert_int8: " in again.stdout and " of the 240 validation images are correct, Keras " in again.stdout
    assert json.loads((tmp_path / "out" / "card.json").read_text())["refit"]
    assert {look["model"] for look in listing.load(None, tmp_path / "runs").test_results()} == {
        look["model"],
        f"{look['model']} refit",
    }


def test_without_a_gain_above_chance_the_best_model_is_exported_alone(searched: Path) -> None:
    done = invoke(searched, "export", "--ensemble", "2", "--views", "mirror", "-o", "two")
    assert done.returncode == 0, done.stderr
    assert "Test-time views are not used: on validation the mean over 2 views of each image differs " in done.stdout
    assert (
        "The best model alone was exported: on validation the mean of the best 2 models differs from the best model by "
        in done.stdout
    )
    card = json.loads((searched / "two" / "card.json").read_text())
    assert len(card["members"]) == 1 and card["ensemble"]["low"] <= 0 and not card["ensemble"]["better"]
    assert "views" not in (searched / "two" / "leaderboard.md").read_text()
    for arguments, said in (
        (("--ensemble", "90"), "complete trials, too few for --ensemble 90"),
        (("--ensemble", "2", "--trial", "0"), "--ensemble and --trial cannot be used together"),
    ):
        refused = invoke(searched, "export", *arguments, "-o", "no")
        assert refused.returncode == 2 and said in refused.stderr and not (searched / "no").exists()


# the model sees the left half, and the digit is in the left half or, mirrored, in the right half
LEFT = """
import keras

def build(hp):
    hp.Choice("one", [1])
    model = keras.Sequential([
        keras.Input((8, 16, 1)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Cropping2D(((0, 0), (0, 8))),
        keras.layers.Flatten(),
        keras.layers.Dense(10, "softmax"),
    ])
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


def test_views_are_averaged_if_they_are_better(run: Run, tmp_path: Path) -> None:
    (tmp_path / "left.py").write_text(LEFT)
    found = load_digits()
    x = np.zeros((len(found.target), 8, 16, 1), "uint8")
    x[:, :, :8, 0] = found.images * 15
    x[::2] = x[::2, :, ::-1]
    np.savez(tmp_path / "both.npz", x=x, y=found.target)
    line = ("--dataset", "both.npz", "--trials", "1", "--epochs", "8", "--jobs", "1", "--confirm", "0", "--quiet")
    done = run("run", "--space", "left.py:build", *line)
    assert done.returncode == 0, done.stderr
    done = run("export", "--views", "mirror,shift", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "Averages test-time views (mirror, shift): on validation the mean over 6 views" in done.stdout
    study = listing.load(None, tmp_path / "runs")
    model = keras.saving.load_model(tmp_path / "out" / "model.keras")
    single = keras.saving.load_model(study.checkpoint(study.trials()[0]))
    wide = np.pad(x[:20], ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    shown = [x[:20], wide[:, 2:, 2:], wide[:, :-2, :-2]]
    mean = np.mean([single.predict(each[:, :, ::step], verbose=0) for each in shown for step in (1, -1)], axis=0)
    np.testing.assert_allclose(model.predict(x[:20], verbose=0), mean, atol=1e-5)
    assert [look["model"] for look in study.test_results()] == ["0 views mirror,shift"]
    assert "Averages test-time views (mirror, shift)" in (tmp_path / "out" / "card.md").read_text("utf-8")
    card = json.loads((tmp_path / "out" / "card.json").read_text("utf-8"))
    assert card["views"]["better"] and card["views"]["names"] == ["mirror", "shift"]

    (row,) = csv.DictReader((tmp_path / "out" / "leaderboard.csv").read_text().splitlines())
    assert row["views"] == "mirror,shift" and float(row["score"]) == study.trials()[0].score
    assert " mirror,shift | " in (tmp_path / "out" / "leaderboard.md").read_text()
    table = run("leaderboard").stdout
    assert " mirror,shift " in table and "views: an exported model averages these test-time views" in table
    assert run("report").returncode == 0
    page = html.unescape((tmp_path / "report.html").read_text())
    accuracy = study.test_results()[0]["accuracy"]
    assert f"Exported with views mirror,shift, it was evaluated on the test set: {accuracy:.2%} (" in page
    assert "was not evaluated on the test set" not in page

    refused = run("export", "--views", "miror", "-o", "no")
    assert refused.returncode == 2 and "there is no view 'miror'. Did you mean 'mirror'?" in refused.stderr


@pytest.mark.slow
def test_a_refit_trains_the_trial_on_more_images(searched: Path) -> None:
    study = listing.load(None, searched / "runs")
    chosen = next(record for record in ranking.ranked(study) if record.state == "complete")
    source = origin.origin_of(study, chosen, ())
    again = refit.refit(source).get_weights()

    # the same training, written out
    parts = source.parts
    keras.utils.set_random_seed(chosen.seed)
    made = source._replace(parts=refit.joined(parts)).candidate(pretrained=True)
    x = np.concatenate([parts.x, parts.x_val])
    assert len(x) == len(parts.x) + len(parts.x_val) > len(parts.x)
    y = np.eye(10, dtype="float32")[np.concatenate([parts.y, parts.y_val])]
    made.model.fit(x, y, batch_size=made.batch_size, epochs=chosen.best_epoch, verbose=0)
    for one, other in zip(again, made.core.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.slow
def test_the_card_and_the_evaluations_distinguish_a_refit_from_its_trial(searched: Path) -> None:
    done = invoke(searched, "export", "--refit", "-o", "refit")
    assert done.returncode == 0, done.stderr
    assert (
        "Trained again on the training and validation images together" in (searched / "refit" / "card.md").read_text()
    )
    card = json.loads((searched / "refit" / "card.json").read_text())
    assert card["refit"] and card["validation"]["accuracy"] == pytest.approx(card["score"], abs=1.5 / 40)
    looks = listing.load(None, searched / "runs").test_results()
    assert f"{card['trial']} refit" in {look.get("model") for look in looks}
    assert card["commands"][1].startswith(f"cnnsearch export --trial {card['trial']} --refit")


@pytest.mark.parametrize("reads", ["sigmoid", "sigmoid logits", "sign", "softmax logits", ""])
def test_the_mean_of_models_is_that_of_their_probabilities(reads: str) -> None:
    activation = {"sigmoid": "sigmoid", "sign": "tanh", "": "softmax"}.get(reads)
    dense = [keras.layers.Dense(3, activation) for _ in range(2)]
    models = {n: keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), dense[n]]) for n in range(2)}
    x = np.random.default_rng(0).normal(size=(7, 2, 2, 1)).astype("float32")
    found = ensemble.average(models, dict.fromkeys(models, reads), 3)(x)
    expected = np.mean([heads.read(model(x), reads, 3) for model in models.values()], axis=0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=1e-6)


FITS = """
import json
from pathlib import Path
import keras
import keras_tuner


class Fits(keras_tuner.HyperModel):
    def build(self, hp):
        units = hp.Int("units", 8, 9)
        model = keras.Sequential([
            keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dense(10, "softmax")
        ])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, x, y, validation_data=None, epochs=1, **given):
        model.fit(x, y, epochs=epochs, verbose=0)
        with Path("epochs.txt").open("a") as file:
            file.write(f"{epochs} ")
        return -float(model.evaluate(*validation_data, verbose=0)[1])
"""


def test_a_model_whose_own_fit_returns_a_number_is_trained_again_for_all_epochs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FITS)
    line = ("--dataset", "digits", "--trials", "1", "--epochs", "3", "--confirm", "0")
    done = run("run", "--space", "mine.py:Fits", *line)
    assert done.returncode == 0, done.stderr
    for model in (tmp_path / "runs").glob("*/checkpoints/*"):
        model.unlink()
    (tmp_path / "epochs.txt").unlink()
    for words in (("-o", "again"), ("--refit", "-o", "refit")):
        done = run("export", *words)
        assert done.returncode == 0, done.stderr
    assert set((tmp_path / "epochs.txt").read_text().split()) == {"3"}


def test_callbacks_that_monitor_validation_are_left_out_and_their_rates_are_replayed() -> None:
    other = keras.callbacks.TerminateOnNaN()
    monitoring = [keras.callbacks.EarlyStopping("val_accuracy"), keras.callbacks.ReduceLROnPlateau("val_loss")]
    history = ({"learning_rate": 0.1}, {"learning_rate": 0.05}, {"learning_rate": 0.05})
    first, rates = refit.without_validation([monitoring[0], other, monitoring[1]], history)
    assert first is other
    assert [rates.schedule(epoch, 0.1) for epoch in range(3)] == [0.1, 0.1, 0.05]
    assert refit.without_validation([other, monitoring[0]], history) == [other]


def test_images_without_noise_are_joined_or_refused() -> None:
    x, y = np.zeros((2, 4, 4, 1), "uint8"), np.array([0, 1])
    parts = Split(x, y, x + 1, y, x, y, x + 2, x + 3)
    both = refit.joined(parts)
    assert both.x_clean is not None and [int(image[0, 0, 0]) for image in both.x_clean] == [2, 2, 3, 3]
    assert [int(image[0, 0, 0]) for image in both.x] == [0, 0, 1, 1] and list(both.y) == [0, 1, 0, 1]
    with pytest.raises(StudyError, match="--refit needs validation images without noise"):
        refit.joined(Split(x, y, x, y, x, y, x))
