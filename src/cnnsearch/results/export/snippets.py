"""How a written model answers a picture without this package: Python for the card, format by format."""

from collections.abc import Sequence

from cnnsearch.data.pixel_values import BYTES

READS = "\nfrom PIL import Image, ImageOps"


PICTURE = """height, width, channels = {shape}
picture = ImageOps.exif_transpose(Image.open("picture.png")).convert("RGBA")
picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)  # what is transparent is white
picture = picture.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
pixels = np.asarray(picture, "float32").reshape(1, height, width, channels)  # {scale}"""

FITTED = {"crop": "fit", "pad": "pad"}
"""Pillow's functions for the ways of resizing that keep proportions."""

ARRAY = (
    """pixels = np.load("images.npy")[:1].astype("float32")  # {values} of shape (1, {shape}); the model scales them"""
)


def program(use: str, shape: Sequence[int], values: tuple[float, float], read: str = "") -> str:
    """The program `use` for images of this (height, width, channels) and of these values, low and high.

    Pictures have 8 bits: where a model takes other values, theirs are brought to them. Where it takes images of 2
    channels, or of more than 3, which no picture has, the program begins with an array. `read` are the lines that make
    probabilities of its answers (`reading`).
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
    """The program `text` with its picture resized as those of training were: stretch, crop or pad."""
    if resize not in FITTED:
        return text
    picture = 'picture.convert("L" if channels == 1 else "RGB")'
    stretched = f"{picture}.resize((width, height), Image.Resampling.BILINEAR)"
    return text.replace(stretched, f"ImageOps.{FITTED[resize]}({picture}, (width, height), Image.Resampling.BILINEAR)")


def _whole(imports: str, load: str, answer: str) -> str:
    """A program for an export's folder; `program` fills in `{pixels}` and `{read}`."""
    return f"""import json
from pathlib import Path

{imports}{{reads}}

{load}
{{pixels}}
{answer}
{{read}}classes = json.loads(Path("labels.json").read_text("utf-8"))
print(classes[probabilities.argmax()], probabilities.max())"""


SECOND = {
    "sigmoid": "{number}",
    "sigmoid logits": "1 / (1 + np.exp(-{number}))",
    "sign": "({number} + 1) / 2",
}
"""The probability of the second class, from the one number that a model answers."""

NUMBER = "float(probabilities[0])"


def reading(reads: str, outputs: int, classes: int) -> str:
    """Lines that make probabilities of what a model answers, by `heads.read`; nothing where it answers those."""
    if outputs == 1:
        second = SECOND.get(reads, SECOND["sigmoid"]).format(number=NUMBER)
        return f"second = {second}  # the model answers one number\nprobabilities = np.array([1 - second, second])\n"
    lines = []
    if reads == "softmax logits":
        lines = ["probabilities = np.exp(probabilities - probabilities.max())  # the model answers logits"]
    elif reads == "sigmoid logits":
        lines = ["probabilities = 1 / (1 + np.exp(-probabilities))  # the model answers logits"]
    elif reads == "sign":
        lines = ["probabilities = (probabilities + 1) / 2  # the model answers numbers from -1 to 1"]
    if outputs > classes > 0:
        lines.append(f"probabilities = probabilities[:{classes}]  # further outputs stand for no class")
    if lines or reads == "sigmoid":
        lines.append("probabilities = probabilities / probabilities.sum()")
    return "".join(f"{line}\n" for line in lines)


def meaning(reads: str, outputs: int, classes: list[str]) -> str:
    """What a model's answer is, in a sentence."""
    if outputs == 1:
        kind = {"sigmoid logits": "a logit", "sign": "from -1 to 1"}.get(reads, "the probability of the second class")
        above = {"sigmoid": 0.5}.get(reads, 0)
        return f"The model answers one number, {kind}: above {above} it says {classes[1]}, else {classes[0]}."
    what = {"softmax logits": "logits", "sigmoid logits": "logits", "sign": "numbers from -1 to 1"}.get(reads, "")
    return f"The model answers {what}, one a class." if what else "The model answers a probability for each class."


KERAS = _whole(
    "import keras\nimport numpy as np",
    'model = keras.saving.load_model("model.keras", compile=False)',
    "probabilities = model.predict(pixels, verbose=0)[0]",
)

SAVED_MODEL = _whole(
    "import numpy as np\nimport tensorflow as tf",
    'model = tf.saved_model.load("saved_model")',
    "probabilities = model.serve(pixels).numpy()[0]",
)

ONNX = _whole(
    "import numpy as np\nimport onnxruntime",
    'model = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])',
    "probabilities = model.run(None, {{model.get_inputs()[0].name: pixels}})[0][0]",
)

LITERT = _whole(
    "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter",
    'model = Interpreter("model.tflite")\nmodel.allocate_tensors()',
    """model.set_tensor(model.get_input_details()[0]["index"], pixels)
model.invoke()
probabilities = model.get_tensor(model.get_output_details()[0]["index"])[0]""",
)

LITERT_INT8 = _whole(
    "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter",
    'model = Interpreter("model_int8.tflite")\nmodel.allocate_tensors()',
    """given, made = model.get_input_details()[0], model.get_output_details()[0]
scale, zero = given["quantization"]
model.set_tensor(given["index"], np.clip(np.rint(pixels / scale + zero), 0, 255).astype("uint8"))
model.invoke()
scale, zero = made["quantization"]
probabilities = (model.get_tensor(made["index"])[0].astype("float32") - zero) * scale""",
)

OPENVINO = _whole(
    "import numpy as np\nimport openvino",
    'exact = {{"INFERENCE_PRECISION_HINT": "f32"}}\n'
    'model = openvino.Core().compile_model("openvino/model.xml", "CPU", exact)',
    "probabilities = model(pixels)[0][0]",
)
