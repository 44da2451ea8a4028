"""The formats of an export: how each is written, opened again in its own runtime, and how near it must be to Keras."""

import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import CnnsearchError, nearest
from cnnsearch.core.host import cores
from cnnsearch.data.dataset import Images
from cnnsearch.results.export import snippets

if TYPE_CHECKING:
    from cnnsearch.training.model_io import Predict

BATCH = 64
"""How many images a written file is asked about at a time."""

SAMPLES = 200
"""How many training images tell the int8 converter which values a network's layers take."""


class Format(NamedTuple):
    """One format of an exported model.

    Attributes:
        file: its file or folder in an export.
        write: of a model, a path, and the training images.
        open: the written path as its own runtime answers.
        backends: the Keras backends that can write it; none named: any.
        needs: modules that must be there, besides what cnnsearch brings.
        extra: cnnsearch's extra that brings them.
        tolerance: how far a probability may be from Keras'; None where decisions are compared instead.
        use: Python that uses the file without this package, once `snippets.program` has filled it in.
    """

    name: str
    file: str
    write: Callable[[Any, Path, Images], None]
    open: Callable[[Path], "Predict"]
    backends: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    extra: str = "formats"
    tolerance: float | None = 1e-4
    use: str = ""


def _write_keras(model: Any, path: Path, images: Images) -> None:
    from cnnsearch.training import model_io

    model_io.save(model, path)


def _open_keras(path: Path) -> "Predict":
    from cnnsearch.training import model_io

    model = model_io.open_(path, lambda: None)
    return lambda x: model_io.answered(model.predict_on_batch(x))


def _write_saved_model(model: Any, path: Path, images: Images) -> None:
    model.export(str(path), format="tf_saved_model", verbose=False)


def _open_saved_model(path: Path) -> "Predict":
    import tensorflow as tf

    from cnnsearch.training import model_io

    loaded = tf.saved_model.load(str(path))
    return lambda x: model_io.answered(loaded.serve(x.astype("float32")))


def _write_onnx(model: Any, path: Path, images: Images) -> None:
    # Keras refuses a model that was never called, as one that was trained inside another
    model(images[:1].astype("float32"))
    model.export(str(path), format="onnx", verbose=False)


def _open_onnx(path: Path) -> "Predict":
    from cnnsearch.training import model_io

    return model_io.opened(path, lambda: None)


def _write_litert(model: Any, path: Path, images: Images) -> None:
    import tensorflow as tf

    # Keras allows TensorFlow's operations too, which LiteRT alone cannot run
    only = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    model.export(str(path), format="litert", verbose=False, target_spec=only)


def _write_litert_int8(model: Any, path: Path, images: Images) -> None:
    import tensorflow as tf

    # from everywhere: a folder's images come class by class
    chosen = images[np.linspace(0, len(images) - 1, min(SAMPLES, len(images))).astype(int)]
    model.export(
        str(path),
        format="litert",
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([image[None].astype("float32")] for image in chosen),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        inference_input_type=tf.uint8,
        inference_output_type=tf.uint8,
    )


def _open_litert(path: Path) -> "Predict":
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=cores())
    interpreter.allocate_tensors()

    def answer(x: Images) -> Any:
        given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        if tuple(given["shape"]) != x.shape:
            interpreter.resize_tensor_input(given["index"], x.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], _quantised(x, *given["quantization"]))
        interpreter.invoke()
        scale, zero = made["quantization"]
        found = interpreter.get_tensor(made["index"]).astype("float32")
        return (found - zero) * np.float32(scale) if scale else found

    return answer


def _quantised(x: Images, scale: float, zero: int) -> Any:
    """Pixels as an int8 network takes them; a network that is not quantised has a `scale` of 0."""
    if not scale:
        return x.astype("float32")
    return np.clip(np.rint(x / scale + zero), 0, 255).astype("uint8")


def _write_openvino(model: Any, path: Path, images: Images) -> None:
    path.mkdir()
    model.export(str(path / "model.xml"), format="openvino", verbose=False)


def _open_openvino(path: Path) -> "Predict":
    import openvino

    # by itself it computes in bfloat16 where the processor can, some 1e-3 off
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(cores())}
    compiled = openvino.Core().compile_model(str(path / "model.xml"), "CPU", exact)
    return lambda x: np.array(compiled(x.astype("float32"))[0])


_TF = ("tensorflow",)
_LITERT = ("tensorflow", "ai_edge_litert")
KNOWN = {
    form.name: form
    for form in (
        Format("keras", "model.keras", _write_keras, _open_keras, use=snippets.KERAS),
        Format(
            "saved_model",
            "saved_model",
            _write_saved_model,
            _open_saved_model,
            (*_TF, "jax"),
            _TF,
            use=snippets.SAVED_MODEL,
        ),
        Format("onnx", "model.onnx", _write_onnx, _open_onnx, _TF, ("tf2onnx",), use=snippets.ONNX),
        Format("litert", "model.tflite", _write_litert, _open_litert, _TF, _LITERT, use=snippets.LITERT),
        Format(
            "litert_int8",
            "model_int8.tflite",
            _write_litert_int8,
            _open_litert,
            _TF,
            _LITERT,
            tolerance=None,
            use=snippets.LITERT_INT8,
        ),
        Format(
            "openvino",
            "openvino",
            _write_openvino,
            _open_openvino,
            _TF,
            ("openvino",),
            "openvino",
            use=snippets.OPENVINO,
        ),
    )
}
"""The formats of Keras models, by name."""


def parse(given: tuple[str, ...]) -> tuple[str, ...]:
    """`("keras,onnx", "litert")` -> `("keras", "onnx", "litert")`, each once.

    Raises:
        CnnsearchError: if a name is empty.
    """
    names = [name.strip() for part in given for name in part.split(",")]
    if not all(names):
        raise CnnsearchError(f"--format has an empty name; it takes names such as {', '.join(KNOWN)}.")
    return tuple(dict.fromkeys(names))


def usable(names: tuple[str, ...], model: Any, blank: Callable[[], Any]) -> list[Format]:
    """What `names` stand for with this model; without names its own formats, as they have always been written.

    Raises:
        CnnsearchError: if one is unknown, is not for this model or backend, or lacks a module here.
    """
    import keras

    from cnnsearch.training import model_io

    known, backend = KNOWN, keras.backend.backend()
    if not isinstance(model, keras.Model):
        known = {suffix: _own(suffix, blank) for suffix in model_io.formats(model)}
    elif obstacle := model_io.obstacle(model):
        if "keras" in names:
            raise CnnsearchError(
                f"This model cannot be written as keras: {obstacle}. Register it with "
                "@keras.saving.register_keras_serializable(), and give it get_config; or export its weights: "
                f"--format {model_io.WEIGHTS}. saved_model, onnx and litert may work, too."
            )
        others = {name: form for name, form in KNOWN.items() if name != "keras"}
        known = {model_io.WEIGHTS: _own(model_io.WEIGHTS, blank), **others}
    for name in names:
        if name not in known:
            raise CnnsearchError(
                f"This model cannot be written as '{name}'.{nearest(name, known)} It can as {', '.join(known)}."
            )
        _check(known[name], backend)
    return [known[name] for name in names or model_io.formats(model)]


def _own(suffix: str, blank: Callable[[], Any]) -> Format:
    """A format that a classifier of another kind writes itself."""
    from cnnsearch.training import model_io

    file = f"model.{suffix}"
    use = snippets.ONNX if suffix == "onnx" else f"# {file} is read by the space that wrote it"
    if suffix == model_io.WEIGHTS:
        use = f"# {file} holds weights: model = build(hp); model.load_weights({file!r})"
    return Format(suffix, file, _write_keras, lambda path: model_io.opened(path, blank), use=use)


def _check(form: Format, backend: str) -> None:
    if form.backends and backend not in form.backends:
        raise CnnsearchError(
            f"On the {backend} backend nothing is written as {form.name}. The same study can be exported with "
            f"KERAS_BACKEND={form.backends[0]} in the environment."
        )
    # OpenVINO reports its use over the network, unasked, wherever it can import this
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    for name in form.needs:
        try:
            importlib.import_module(name)
        except ImportError as error:
            brings = "tensorflow" if name == "tensorflow" else f"'cnnsearch[{form.extra}]'"
            raise CnnsearchError(f"{form.name} needs {name}, which is not here: pip install {brings}") from error


def write(form: Format, model: Any, folder: Path, images: Images) -> Path:
    """Write `model` into `folder`, and give back where; `images` are of training, for formats that look at some.

    Raises:
        CnnsearchError: if it cannot be written so.
        OSError: if the folder cannot be written.
    """
    path = folder / form.file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            form.write(model, path, images)
    except (CnnsearchError, OSError):
        raise
    except Exception as error:
        raise CnnsearchError(f"The model cannot be written as {form.name}: {said(error)}. {NOTHING}") from error
    return path


NOTHING = "Nothing was exported; leave that one out of --format."


def reopened(form: Format, path: Path) -> "Predict":
    """The written file in its own runtime.

    Raises:
        CnnsearchError: if that refuses it.
    """
    try:
        return form.open(path)
    except Exception as error:
        raise CnnsearchError(f"The written {form.file} does not open again: {said(error)}. {NOTHING}") from error


def said(error: Exception) -> str:
    """The first line of an error, with its type."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0].strip()[:200]}".rstrip(" .:")
