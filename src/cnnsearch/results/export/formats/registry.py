"""The known formats of exported models, and which of them a model can be written in."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from cnnsearch.core.errors import CnnsearchError, nearest
from cnnsearch.results.export import snippets
from cnnsearch.results.export.formats import runtimes
from cnnsearch.results.export.formats.base import Format

_TF = ("tensorflow",)
_LITERT = ("tensorflow", "ai_edge_litert")
KNOWN = {
    form.name: form
    for form in (
        Format("keras", "model.keras", runtimes.write_keras, runtimes.open_keras, use=snippets.KERAS),
        Format(
            "saved_model",
            "saved_model",
            runtimes.write_saved_model,
            runtimes.open_saved_model,
            backends=(*_TF, "jax"),
            needs=_TF,
            use=snippets.SAVED_MODEL,
        ),
        Format(
            "onnx",
            "model.onnx",
            runtimes.write_onnx,
            runtimes.open_onnx,
            backends=_TF,
            needs=("tf2onnx",),
            use=snippets.ONNX,
        ),
        Format(
            "litert",
            "model.tflite",
            runtimes.write_litert,
            runtimes.open_litert,
            backends=_TF,
            needs=_LITERT,
            use=snippets.LITERT,
        ),
        Format(
            "litert_int8",
            "model_int8.tflite",
            runtimes.write_litert_int8,
            runtimes.open_litert,
            backends=_TF,
            needs=_LITERT,
            tolerance=None,
            use=snippets.LITERT_INT8,
        ),
        Format(
            "openvino",
            "openvino",
            runtimes.write_openvino,
            runtimes.open_openvino,
            backends=_TF,
            needs=("openvino",),
            extra="openvino",
            use=snippets.OPENVINO,
        ),
    )
}
"""The formats of Keras models, by name."""


def parse_names(given: tuple[str, ...]) -> tuple[str, ...]:
    """`("keras,onnx", "litert")` -> `("keras", "onnx", "litert")`, each once.

    Raises:
        CnnsearchError: if a name is empty.
    """
    names = [name.strip() for part in given for name in part.split(",")]
    if not all(names):
        raise CnnsearchError(f"--format has an empty name; it takes names such as {', '.join(KNOWN)}.")
    return tuple(dict.fromkeys(names))


def usable_formats(names: tuple[str, ...], model: Any, blank: Callable[[], Any]) -> list[Format]:
    """The formats of these names for this model; without names, the formats that the model itself writes.

    `blank` makes a model without trained weights, for files that hold only weights.

    Raises:
        CnnsearchError: if a format is unknown, does not fit the model or the backend, or needs a missing module.
    """
    import keras

    from cnnsearch.training import model_io

    known, backend = KNOWN, keras.backend.backend()
    if not isinstance(model, keras.Model):
        known = {suffix: _own_format(suffix, blank) for suffix in model_io.formats(model)}
    elif obstacle := model_io.obstacle(model):
        if "keras" in names:
            raise CnnsearchError(
                f"This model cannot be written as keras: {obstacle}. Register it with "
                "@keras.saving.register_keras_serializable(), and give it get_config; or export its weights: "
                f"--format {model_io.WEIGHTS}. saved_model, onnx and litert may work, too."
            )
        others = {name: form for name, form in KNOWN.items() if name != "keras"}
        known = {model_io.WEIGHTS: _own_format(model_io.WEIGHTS, blank), **others}
    for name in names:
        if name not in known:
            raise CnnsearchError(
                f"This model cannot be written as '{name}'.{nearest(name, known)} It can be written "
                f"as {', '.join(known)}."
            )
        _check(known[name], backend)
    return [known[name] for name in names or model_io.formats(model)]


def check_whole(forms: list[Format]) -> None:
    """Check that the formats hold a whole model, as a mean of models needs it.

    Raises:
        CnnsearchError: if one of them holds weights only.
    """
    from cnnsearch.training import model_io

    if any(form.name == model_io.WEIGHTS for form in forms):
        raise CnnsearchError(
            f"A mean of several models or views cannot be exported as {model_io.WEIGHTS}, and this model cannot be "
            "written as keras. Name other formats, such as --format saved_model,onnx."
        )


def _own_format(suffix: str, blank: Callable[[], Any]) -> Format:
    """A format that a classifier writes itself because it is no Keras model, or the weights of a Keras model."""
    from cnnsearch.training import model_io

    file = f"model.{suffix}"
    use = snippets.ONNX if suffix == "onnx" else f"# {file} is read by the space that wrote it"
    if suffix == model_io.WEIGHTS:
        use = f"# {file} holds weights: model = build(hp); model.load_weights({file!r})"
    return Format(suffix, file, runtimes.write_keras, lambda path: model_io.opened(path, blank), use=use)


def _check(form: Format, backend: str) -> None:
    if form.backends and backend not in form.backends:
        raise CnnsearchError(
            f"The {backend} backend cannot write {form.name}. The same study can be exported with "
            f"KERAS_BACKEND={form.backends[0]} in the environment."
        )
    # OpenVINO sends usage data over the network without asking if it can import this module.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    for name in form.needs:
        try:
            importlib.import_module(name)
        except ImportError as error:
            package = "tensorflow" if name == "tensorflow" else f"'cnnsearch[{form.extra}]'"
            raise CnnsearchError(f"{form.name} needs {name}, which is not installed: pip install {package}") from error
