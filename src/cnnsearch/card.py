"""The card of an exported model: what it is, how good, from which data and how to make it again."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cnnsearch
from cnnsearch.data import Dataset, Labels
from cnnsearch.record import Record
from cnnsearch.study import FORMAT, Study


@dataclass(frozen=True)
class Measured:
    """An accuracy over `n` images."""

    accuracy: float
    loss: float
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the accuracy (Wilson 1927)."""
        z, n, p = 1.959964, self.n, self.accuracy
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {self.n:,})"


def measure(probabilities: NDArray[Any], y: Labels) -> Measured:
    """Accuracy and cross-entropy of probabilities (n, classes) against integer labels."""
    right = probabilities.argmax(1) == y
    likely = probabilities[np.arange(len(y)), y].astype("float64")
    return Measured(float(right.mean()), float(-np.log(np.maximum(likely, 1e-12)).mean()), len(y))


def card(
    study: Study,
    chosen: Record,
    dataset: Dataset,
    validation: Measured,
    looks: list[dict[str, Any]],
    formats: tuple[str, ...],
) -> dict[str, Any]:
    """The card as plain data; `formats` are the suffixes of the model's files."""
    import keras

    info, test = study.info, looks[-1]
    measured = Measured(test["accuracy"], test["loss"], test["n"])
    return {
        "format": FORMAT,
        "study": study.name,
        "trial": chosen.number,
        "origin": chosen.origin,
        "score": chosen.score,
        "metric": info["metric"],
        "best_epoch": chosen.best_epoch,
        "epochs": chosen.epochs,
        "params": chosen.weights,
        "macs": chosen.macs,
        "hyperparameters": chosen.params,
        "classes": list(dataset.classes),
        "input_shape": list(dataset.input_shape),
        "data": {**info["data"], "options": info["dataset"][1]},
        "seed": info["seed"],
        "validation": {"accuracy": validation.accuracy, "interval": validation.interval, "n": validation.n},
        "test": {"accuracy": measured.accuracy, "interval": measured.interval, "n": measured.n},
        "test_looks": len(looks),
        "test_again": bool(test.get("again")),
        "versions": {
            "cnnsearch": cnnsearch.__version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
        "formats": list(formats),
        "commands": [str(info.get("command", "")), _export_command(study, chosen)],
    }


def _export_command(study: Study, chosen: Record) -> str:
    runs = study.folder.parent
    where = "" if runs == Path.cwd() / "runs" else f" --runs {_near(runs)}"
    return f"cnnsearch export --trial {chosen.number} {study.name}{where}"


def _near(path: Path) -> Path:
    """`path` from the current folder, where it lies inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


PICTURE = """picture = ImageOps.exif_transpose(Image.open("picture.png")).convert("RGBA")
picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)  # what is transparent is white
picture = picture.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
pixels = np.asarray(picture, "float32").reshape(1, height, width, channels)  # 0 to 255; the model scales them"""

PRINT = """classes = json.loads(Path("labels.json").read_text("utf-8"))
print(classes[probabilities.argmax()], probabilities.max())"""

KERAS = f"""import json
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps

model = keras.saving.load_model("model.keras")
height, width, channels = model.input_shape[1:]
{PICTURE}
probabilities = model.predict(pixels, verbose=0)[0]
{PRINT}"""

ONNX = f"""import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
height, width, channels = model.get_inputs()[0].shape[1:]
{PICTURE}
probabilities = model.run(None, {{model.get_inputs()[0].name: pixels}})[0][0]
{PRINT}"""


def _options(given: dict[str, Any]) -> str:
    """` (noise = 1.0)`, or nothing."""
    return f" ({', '.join(f'{name} = {value}' for name, value in given.items())})" if given else ""


def _snippet(card: dict[str, Any]) -> str:
    """How the exported model is used without this package."""
    formats = card["formats"]
    if not {"keras", "onnx"} & set(formats):
        return f"# model.{formats[0]} is read by the space that wrote it"
    return KERAS if "keras" in formats else ONNX


def text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    test = Measured(card["test"]["accuracy"], 0, card["test"]["n"])
    validation = Measured(card["validation"]["accuracy"], 0, card["validation"]["n"])
    images, versions = card["data"]["images"], card["versions"]
    looks = card["test_looks"]
    note = (
        ""
        if looks == 1
        else f" Test was looked at for {looks} models of this study; choosing among them by it is optimistic."
    )
    choices = "\n".join(f"| {name} | {value} |" for name, value in card["hyperparameters"].items())
    return f"""# {card["study"]}, trial {card["trial"]}

| | |
| --- | --- |
| test accuracy | {test} |
| validation accuracy | {validation} |
| parameters | {card["params"]:,} |
| multiply-adds | {f"{card['macs']:,}" if card["macs"] else "unknown"} |
| epochs | best {card["best_epoch"]} of {card["epochs"]} |
| origin | {card["origin"]} |

Validation chose this model, so its figure is optimistic; test had no part in the choice.{note}

![Learning curves](curves.png)
![Confusion matrix on validation](confusion.png)
![The worst mistakes on validation](mistakes.png)
![Samples of the training images](samples.png)

## Use

In this folder, without cnnsearch; `cnnsearch predict . picture.png` says the same. (Not of pictures of 16 bits a
channel, which this would clip.)

```python
{_snippet(card)}
```

## Data

{card["data"]["name"]}{_options(card["data"]["options"])}, fingerprint `{card["data"]["fingerprint"]}`:
{images["train"]:,} images for training, {images["val"]:,} for validation, {images["test"]:,} for test; split once,
stratified, by seed {card["seed"]}.

## Choices

| hyperparameter | value |
| --- | --- |
{choices}

## Made with

cnnsearch {versions["cnnsearch"]}, Keras {versions["keras"]} on {versions["backend"]}

```
{chr(10).join(card["commands"])}
```
"""
