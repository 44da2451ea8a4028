"""One real run on arrays as people bring them: standardised images, text for labels, MedMNIST's names."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.conftest import TINY, Run


def test_standardised_images_with_text_labels(run: Run, tmp_path: Path) -> None:
    digits = load_digits()
    pixels, names = np.rint(digits.images * 15.9375), np.array([f"digit {label}" for label in digits.target])
    images = ((pixels - 80) / 70).astype("float32")
    parts = {"train": slice(600), "val": slice(600, 700), "test": slice(700, 900)}
    arrays = {f"{part}_images": images[rows] for part, rows in parts.items()}
    np.savez(tmp_path / "digits.npz", **arrays, **{f"{part}_labels": names[rows, None] for part, rows in parts.items()})
    np.save(tmp_path / "raw.npy", images[700:703])
    Image.fromarray(pixels[700].astype("uint8")).save(tmp_path / "a.png")

    done = run("run", "--space", "digits_cnn", "--dataset", "digits.npz", "--trials", "1", *TINY, "--study", "std")
    assert done.returncode == 0 and "trial 0 complete" in done.stdout, done.stdout + done.stderr
    done = run("export", "--best", "std", "-o", "out")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["classes"] == [f"digit {label}" for label in range(10)] and card["data"]["dtype"] == "float32"
    assert card["data"]["value_range"] == [float(images[:600].min()), float(images[:600].max())]
    assert card["data"]["images"] == {"train": 300, "val": 100, "test": 200}
    assert "float32 from -1.14286 to 2.5. It scales them itself." in (tmp_path / "out" / "card.md").read_text()

    done = run("predict", "out", "raw.npy", "a.png", "--json")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [answer["file"] for answer in answers] == ["raw.npy[0]", "raw.npy[1]", "raw.npy[2]", "a.png"]
    # the picture goes from 0 to 255 as the raw image does from its lowest to its highest value
    first, picture = answers[0]["top"], answers[3]["top"]
    assert first[0]["class"] == picture[0]["class"] and first[0]["class"].startswith("digit ")
    assert first[0]["probability"] == pytest.approx(picture[0]["probability"], abs=1e-3)
