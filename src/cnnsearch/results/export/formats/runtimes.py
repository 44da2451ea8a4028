"""How a Keras model is written in each format, and how the runtime of each format opens the file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnsearch.core.host import cores
from cnnsearch.data.dataset import Images

if TYPE_CHECKING:
    from cnnsearch.training.model_io import Predict

CALIBRATION_IMAGES = 200
"""The number of training images that the int8 converter uses to find the range of each layer's values."""


def write_keras(model: Any, path: Path, images: Images) -> None:
    from cnnsearch.training import model_io

    model_io.save(model, path)


def open_keras(path: Path) -> "Predict":
    from cnnsearch.training import model_io

    model = model_io.open_(path, lambda: None)
    return lambda x: model_io.answered(model.predict_on_batch(x))


def write_saved_model(model: Any, path: Path, images: Images) -> None:
    model.export(str(path), format="tf_saved_model", verbose=False)


def open_saved_model(path: Path) -> "Predict":
    import tensorflow as tf

    from cnnsearch.training import model_io

    loaded = tf.saved_model.load(str(path))
    return lambda x: model_io.answered(loaded.serve(x.astype("float32")))


def write_onnx(model: Any, path: Path, images: Images) -> None:
    # Keras refuses a model that was never called, for example one that was trained inside another model.
    model(images[:1].astype("float32"))
    model.export(str(path), format="onnx", verbose=False)


def open_onnx(path: Path) -> "Predict":
    from cnnsearch.training import model_io

    return model_io.opened(path, lambda: None)


def write_litert(model: Any, path: Path, images: Images) -> None:
    import tensorflow as tf

    # Keras also allows TensorFlow's operations, which LiteRT alone cannot run.
    builtins = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    model.export(str(path), format="litert", verbose=False, target_spec=builtins)


def write_litert_int8(model: Any, path: Path, images: Images) -> None:
    import tensorflow as tf

    # Spread over all images, because the images of a folder are sorted by class.
    places = np.linspace(0, len(images) - 1, min(CALIBRATION_IMAGES, len(images))).astype(int)
    model.export(
        str(path),
        format="litert",
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([image[None].astype("float32")] for image in images[places]),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        inference_input_type=tf.uint8,
        inference_output_type=tf.uint8,
    )


def open_litert(path: Path) -> "Predict":
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=cores())
    interpreter.allocate_tensors()

    def predict(x: Images) -> Any:
        inputs, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        if tuple(inputs["shape"]) != x.shape:
            interpreter.resize_tensor_input(inputs["index"], x.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(inputs["index"], _quantised(x, *inputs["quantization"]))
        interpreter.invoke()
        scale, zero = outputs["quantization"]
        found = interpreter.get_tensor(outputs["index"]).astype("float32")
        return (found - zero) * np.float32(scale) if scale else found

    return predict


def _quantised(x: Images, scale: float, zero: int) -> Any:
    """Pixels as the input of an int8 network; a network that is not quantised has a `scale` of 0."""
    if not scale:
        return x.astype("float32")
    return np.clip(np.rint(x / scale + zero), 0, 255).astype("uint8")


def write_openvino(model: Any, path: Path, images: Images) -> None:
    path.mkdir()
    model.export(str(path / "model.xml"), format="openvino", verbose=False)


def open_openvino(path: Path) -> "Predict":
    import openvino

    # By default OpenVINO computes in bfloat16 on processors that can, with errors of about 1e-3.
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(cores())}
    compiled = openvino.Core().compile_model(str(path / "model.xml"), "CPU", exact)
    return lambda x: np.array(compiled(x.astype("float32"))[0])
