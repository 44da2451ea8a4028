"""What is kept of a candidate, a Keras model or a classifier of another kind: saved, opened again, proved."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsearch.batches import MOST
from cnnsearch.data import Images
from cnnsearch.machine import cores

BATCH = 512
"""Images that a model answers at once."""

Predict = Callable[[Images], NDArray[Any]]
"""Raw pixels (n, height, width, channels) to probabilities (n, classes)."""


class Classifier(Protocol):
    """A candidate that is no Keras model. Its space's `fit`, or a trainer, trains it epoch by epoch.

    Attributes:
        stop_training: set by a callback when the training shall end after this epoch.
        formats: suffixes of the files that `save` writes, such as `("npz", "onnx")`; checkpoints are of the first.
    """

    stop_training: bool
    formats: tuple[str, ...]

    def predict(self, x: Images, batch_size: int = 512, verbose: int = 0) -> NDArray[Any]:
        """Raw pixels (n, height, width, channels) to probabilities (n, classes)."""

    def get_weights(self) -> list[Any]:
        """Copies of all weights."""

    def set_weights(self, weights: list[Any]) -> None:
        """Take these weights."""

    def count_params(self) -> int:
        """How many numbers they are."""

    def save(self, path: Path) -> None:
        """Write the file, in the format of its suffix."""

    def load(self, path: Path) -> None:
        """Take the weights from a file that `save` wrote, of any format but `.onnx`."""


PROMISES = tuple(name for name in (*Classifier.__annotations__, *vars(Classifier)) if not name.startswith("_"))


def missing(model: Any) -> list[str]:
    """What `model` lacks of a Classifier."""
    return [name for name in PROMISES if not hasattr(model, name)]


def formats(model: Any) -> tuple[str, ...]:
    """Suffixes of the files that `model` can be saved as, that of its checkpoints first."""
    return ("keras",) if isinstance(model, keras.Model) else tuple(model.formats)


def save(model: Any, path: Path) -> None:
    """Save `model` whole or not at all, in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        model.save(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_(path: Path, blank: Callable[[], Any]) -> Any:
    """The model of a checkpoint. `blank` makes one to be filled, where the file alone makes none.

    Raises:
        ValueError: if the file does not fit.
    """
    if path.suffix == ".keras":
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    model = blank()
    model.load(path)
    return model


def predict(model: Any, x: Images) -> NDArray[Any]:
    """What `model` answers, in float32."""
    # Keras copies all images that it is given at once
    step = max(BATCH, MOST // max(1, x[:1].nbytes) // BATCH * BATCH)
    parts = [model.predict(x[at : at + step], batch_size=BATCH, verbose=0) for at in range(0, len(x), step)]
    return np.concatenate([np.asarray(part, "float32") for part in parts])


def latency(model: Any, x: Images, times: int = 20) -> float:
    """Seconds that `model` takes for the batch `x`, once it is warm: the median of so many calls."""
    call = model.predict_on_batch if isinstance(model, keras.Model) else model.predict
    taken = []
    for _ in range(times + 3):
        started = time.perf_counter()
        call(x)
        taken.append(time.perf_counter() - started)
    return median(taken[3:])


def opened(path: Path, blank: Callable[[], Any]) -> Predict:
    """The written file as its own runtime answers: ONNX Runtime for `.onnx`, else what wrote it."""
    if path.suffix != ".onnx":
        model = open_(path, blank)
        return lambda x: predict(model, x)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x.astype("float32")})[0])
