"""Python programs for the card: how each format predicts the class of a picture without this package."""

from collections.abc import Sequence

from cnnsearch.data.pixel_values import BYTES

READS = "\nfrom PIL import Image, ImageOps"


PICTURE = """height, width, channels = {shape}
picture = ImageOps.exif_transpose(Image.open("picture.png")).convert("RGBA")
picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)  # what is transparent is white
picture = picture.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
pixels = np.asarray(picture, "float32").reshape(1, height, width, channels)  # {scale}"""

FITTED = {"crop": "fit", "pad": "pad"}
"""Pillow's functions for the ways of resizing that keep the proportions of a picture."""

ARRAY = (
    """pixels = np.load("images.npy")[:1].astype("float32")  # {values} of shape (1, {shape}); the model scales them"""
)


def program(use: str, shape: Sequence[int], values: tuple[float, float], read: str = "") -> str:
    """The program `use`, completed for one model.

    Pictures have values of 8 bits; they are scaled if the model takes other values. If the model takes images with a
    number of channels that no picture has (2, or more than 3), the program reads an array.

    Args:
        use: the program with gaps, such as KERAS.
        shape: (height, width, channels) of the images.
        values: the lowest and the highest value of the training images.
        read: the lines that turn the model's outputs into probabilities (`reading`).
    """
    sides, (low, high) = ", ".join(map(str, shape)), values
    if shape[-1] not in (1, 3):
        return use.format(
            reads="", read=read, pixels=ARRAY.format(shape=sides, values=f"values from {low:g} to {high:g}")
        )
    if values == BYTES:
        return use.format(
            reads=READS, read=read, pixels=PICTURE.format(shape=sides, scale="0 to 255; the model scales them")
        )
    pixels = PICTURE.format(shape=sides, scale="0 to 255")
    pixels += (
        f"\npixels = {low!r} + pixels * {(high - low) / 255!r}  # to {low:g} to {high:g}, as the training images were"
    )
    return use.format(reads=READS, read=read, pixels=pixels)


def resized(text: str, resize: str) -> str:
    """The program `text`, which now resizes its picture as the training pictures were: stretch, crop or pad."""
    if resize not in FITTED:
        return text
    picture = 'picture.convert("L" if channels == 1 else "RGB")'
    stretched = f"{picture}.resize((width, height), Image.Resampling.BILINEAR)"
    return text.replace(stretched, f"ImageOps.{FITTED[resize]}({picture}, (width, height), Image.Resampling.BILINEAR)")


def _template(imports: str, load: str, predict: str) -> str:
    """A program for the folder of an export; `program` fills in `{pixels}` and `{read}`."""
    return f"""import json
from pathlib import Path

{imports}{{reads}}

{load}
{{pixels}}
{predict}
{{read}}classes = json.loads(Path("labels.json").read_text("utf-8"))
print(classes[probabilities.argmax()], probabilities.max())"""


SECOND = {
    "sigmoid": "{number}",
    "sigmoid logits": "1 / (1 + np.exp(-{number}))",
    "sign": "({number} + 1) / 2",
}
"""The probability of the second class, from a model's only output."""

NUMBER = "float(probabilities[0])"


def reading(reads: str, outputs: int, classes: int) -> str:
    """Lines of code that turn a model's outputs into probabilities, as `heads.read` does; empty if none are needed."""
    if outputs == 1:
        second = SECOND.get(reads, SECOND["sigmoid"]).format(number=NUMBER)
        return f"second = {second}  # the model has one output\nprobabilities = np.array([1 - second, second])\n"
    lines = []
    if reads == "softmax logits":
        lines = ["probabilities = np.exp(probabilities - probabilities.max())  # the model returns logits"]
    elif reads == "sigmoid logits":
        lines = ["probabilities = 1 / (1 + np.exp(-probabilities))  # the model returns logits"]
    elif reads == "sign":
        lines = ["probabilities = (probabilities + 1) / 2  # the model returns numbers from -1 to 1"]
    if outputs > classes > 0:
        lines.append(f"probabilities = probabilities[:{classes}]  # further outputs have no class")
    if lines or reads == "sigmoid":
        lines.append("probabilities = probabilities / probabilities.sum()")
    return "".join(f"{line}\n" for line in lines)


def meaning(reads: str, outputs: int, classes: list[str]) -> str:
    """What a model returns, in one sentence."""
    if outputs == 1:
        kind = {"sigmoid logits": "a logit", "sign": "from -1 to 1"}.get(reads, "the probability of the second class")
        above = {"sigmoid": 0.5}.get(reads, 0)
        return f"The model returns one number, {kind}. Above {above} the class is {classes[1]}, else {classes[0]}."
    what = {"softmax logits": "logits", "sigmoid logits": "logits", "sign": "numbers from -1 to 1"}.get(reads, "")
    return (
        f"The model returns {what}, one for each class." if what else "The model returns a probability for each class."
    )


KERAS = _template(
    "import keras\nimport numpy as np",
    'model = keras.saving.load_model("model.keras", compile=False)',
    "probabilities = model.predict(pixels, verbose=0)[0]",
)

SAVED_MODEL = _template(
    "import numpy as np\nimport tensorflow as tf",
    'model = tf.saved_model.load("saved_model")',
    "probabilities = model.serve(pixels).numpy()[0]",
)

ONNX = _template(
    "import numpy as np\nimport onnxruntime",
    'model = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])',
    "probabilities = model.run(None, {{model.get_inputs()[0].name: pixels}})[0][0]",
)

LITERT = _template(
    "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter",
    'model = Interpreter("model.tflite")\nmodel.allocate_tensors()',
    """model.set_tensor(model.get_input_details()[0]["index"], pixels)
model.invoke()
probabilities = model.get_tensor(model.get_output_details()[0]["index"])[0]""",
)

LITERT_INT8 = _template(
    "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter",
    'model = Interpreter("model_int8.tflite")\nmodel.allocate_tensors()',
    """given, made = model.get_input_details()[0], model.get_output_details()[0]
scale, zero = given["quantization"]
model.set_tensor(given["index"], np.clip(np.rint(pixels / scale + zero), 0, 255).astype("uint8"))
model.invoke()
scale, zero = made["quantization"]
probabilities = (model.get_tensor(made["index"])[0].astype("float32") - zero) * scale""",
)

OPENVINO = _template(
    "import numpy as np\nimport openvino",
    'exact = {{"INFERENCE_PRECISION_HINT": "f32"}}\n'
    'model = openvino.Core().compile_model("openvino/model.xml", "CPU", exact)',
    "probabilities = model(pixels)[0][0]",
)
