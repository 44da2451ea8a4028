"""Saves and opens the models of candidates, Keras models or classifiers of another kind, and predicts with them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.host import cores
from cnnsearch.core.whole_file import replaced
from cnnsearch.data.dataset import Images
from cnnsearch.training import heads
from cnnsearch.training.copies import MOST
from cnnsearch.training.lazy_keras import is_model

BATCH = 512
"""The number of images in a batch for predictions."""

Predict = Callable[[Images], NDArray[Any]]
"""Maps raw pixels (n, height, width, channels) to a model's answers (n, units), mostly probabilities (n, classes)."""


class Classifier(Protocol):
    """A candidate that is not a Keras model. Its space's `fit`, or a trainer, trains it.

    Attributes:
        stop_training: a callback sets it to end the training after this epoch.
        formats: suffixes of the files that `save` writes, such as `("npz", "onnx")`. The first is used for checkpoints.
    """

    stop_training: bool
    formats: tuple[str, ...]

    def predict(self, x: Images, batch_size: int = 512, verbose: int = 0) -> NDArray[Any]:
        """The probabilities (n, classes) as float32 for raw pixels `x`, of shape (n, height, width, channels).

        At most `batch_size` images are computed at once. `verbose` is Keras'; 0 prints nothing.
        """

    def get_weights(self) -> list[Any]:
        """Copies of all weights, as a list of arrays."""

    def set_weights(self, weights: list[Any]) -> None:
        """Set all `weights`, as `get_weights` gave them."""

    def count_params(self) -> int:
        """The number of parameters."""

    def save(self, path: Path) -> None:
        """Write the file `path`, in the format of its suffix."""

    def load(self, path: Path) -> None:
        """Load the weights from a file `path` that `save` wrote, in any format except `.onnx`."""


ATTRIBUTES = tuple(name for name in (*Classifier.__annotations__, *vars(Classifier)) if not name.startswith("_"))


def missing(model: Any) -> list[str]:
    """The names of Classifier's attributes that `model` does not have."""
    return [name for name in ATTRIBUTES if not hasattr(model, name)]


WEIGHTS = "weights.h5"
"""The format of a Keras model that needs its author's code to be opened: only its weights are saved."""


def formats(model: Any) -> tuple[str, ...]:
    """Suffixes of the files that `model` can be saved as. The first is used for checkpoints."""
    if not is_model(model):
        return tuple(model.formats)
    return (WEIGHTS,) if obstacle(model) else ("keras",)


def obstacle(model: Any) -> str:
    """Why Keras alone cannot open the `.keras` file of a Keras model; empty if it can."""
    import keras

    try:
        config = keras.saving.serialize_keras_object(model)
    except Exception as error:  # `get_config` may be the author's
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return " ".join(lines)[:200] or type(error).__name__
    for part in _parts(config):
        name, module = str(part.get("class_name")), part.get("module")
        if name == "__lambda__" or name == "Lambda":
            return "it has a Lambda, which Keras does not open again"
        # Keras' own, of Python itself, or registered under a package's name
        known = str(module or "").split(".")[0] in ("keras", "builtins", "") and name != "function"
        if not known and ">" not in str(part.get("registered_name")):
            own = part.get("config") if name == "function" else name
            return f"{own} is the author's own and not registered with Keras"
    return ""


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in `config`, without what a model was compiled with, as its answers do not need it."""
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            yield config
        for key, value in config.items():
            if key != "compile_config":
                yield from _parts(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _parts(value)


def save(model: Any, path: Path) -> None:
    """Save `model` completely or not at all, in the format of the path's suffix.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial:
        if is_model(model) and path.name.endswith(WEIGHTS):
            model.save_weights(partial)
        else:
            model.save(partial)


def open_(path: Path, blank: Callable[[], Any]) -> Any:
    """The model in a file. `blank` makes a new model for the weights, if the file contains only weights.

    Raises:
        ValueError: if the file does not fit.
    """
    if path.suffix == ".keras":
        import keras

        return keras.saving.load_model(path, compile=False, safe_mode=True)
    model = blank()
    if is_model(model):
        fill(model, path)
    else:
        model.load(path)
    return model


def fill(model: Any, path: Path) -> None:
    """Load the weights in a file into a Keras model.

    Raises:
        ValueError: if they are another model's.
    """
    # a model that was never compiled has none
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        # its variables are in the file too
        optimizer.build(model.trainable_variables)
    model.load_weights(path)


def answers(model: Any, x: Images) -> NDArray[Any]:
    """The answers of `model` itself: (n, units) in float32."""
    # Keras copies all images that it is given at once
    step = max(BATCH, MOST // max(1, x[:1].nbytes) // BATCH * BATCH)
    parts = [model.predict(x[at : at + step], batch_size=BATCH, verbose=0) for at in range(0, len(x), step)]
    return np.concatenate([answered(part) for part in parts])


def answers_at_once(model: Any, x: Images) -> NDArray[Any]:
    """The same without compiling `model` first, which takes longer than a few batches."""
    if not is_model(model):
        return answers(model, x)
    eager, model.run_eagerly = model.run_eagerly, True
    try:
        return answers(model, x)
    finally:
        model.run_eagerly, model.predict_function = eager, None


def predict(model: Any, x: Images, reads: str = "", classes: int = 0) -> NDArray[Any]:
    """Probabilities (n, classes) in float32 from the answers of `model`; `reads` is as in `heads.read`."""
    found = answers(model, x)
    return heads.read(found, reads, classes or found.shape[-1])


def plain_output(model: Any) -> Any:
    """A graph of layers with one output in a list or under a name, as a model with only that output."""
    found = heads.outputs(model)
    if len(found) != 1 or not isinstance(getattr(model, "output", None), dict | list | tuple):
        return model
    import keras

    inputs = model.inputs if len(model.inputs) > 1 else model.inputs[0]
    return keras.Model(inputs, found[0], name=model.name)


def units(model: Any, shape: tuple[int, ...]) -> int:
    """The number of outputs of a Keras model for an image of this shape."""
    known = heads.outputs(model)
    return int((known[0] if known else answers(model, np.zeros((1, *shape), "float32"))).shape[-1])


def answered(found: Any) -> NDArray[Any]:
    """An answer in float32, taken out of a list or a dict with only this answer."""
    while isinstance(found, dict | list | tuple) and len(found) == 1:
        found = next(iter(found.values())) if isinstance(found, dict) else found[0]
    return np.asarray(found, "float32")


def latency(model: Any, x: Images, times: int = 20) -> float:
    """Seconds that `model` takes for the batch `x` after the first calls: the median of several calls."""
    call = model.predict_on_batch if is_model(model) else model.predict
    taken = []
    for _ in range(times + 3):
        started = time.perf_counter()
        call(x)
        taken.append(time.perf_counter() - started)
    return median(taken[3:])


def opened(path: Path, blank: Callable[[], Any]) -> Predict:
    """The predictions of the written file, by ONNX Runtime for `.onnx`, else by the library that wrote it."""
    if path.suffix != ".onnx":
        model = open_(path, blank)
        return lambda x: answers(model, x)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x.astype("float32")})[0])
