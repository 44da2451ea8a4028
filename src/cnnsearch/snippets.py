"""How a written model is used without this package: Python for the card, format by format."""

KERAS = """import keras, numpy as np

model = keras.saving.load_model("model.keras")  # needs Keras alone
images = np.zeros({shape})  # raw pixels, 0 to 255
probabilities = model.predict(images)  # (n, {classes}); the classes' names are in labels.json"""

SAVED_MODEL = """import numpy as np, tensorflow as tf

model = tf.saved_model.load("saved_model")  # needs TensorFlow alone
images = np.zeros({shape}, "float32")  # raw pixels, 0 to 255
probabilities = model.serve(images).numpy()  # (n, {classes}); the classes' names are in labels.json"""

ONNX = """import numpy as np, onnxruntime

model = onnxruntime.InferenceSession("model.onnx")  # needs ONNX Runtime alone
images = np.zeros({shape}, "float32")  # raw pixels, 0 to 255
name = model.get_inputs()[0].name
probabilities = model.run(None, {{name: images}})[0]  # (n, {classes}); the classes' names are in labels.json"""

LITERT = """import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = Interpreter("model.tflite")  # needs ai-edge-litert alone
model.allocate_tensors()
images = np.zeros({shape}, "float32")  # raw pixels, 0 to 255; resize_tensor_input for more than one image
model.set_tensor(model.get_input_details()[0]["index"], images)
model.invoke()
probabilities = model.get_tensor(model.get_output_details()[0]["index"])  # (n, {classes}), named in labels.json"""

LITERT_INT8 = """import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = Interpreter("model_int8.tflite")  # needs ai-edge-litert alone
model.allocate_tensors()
given, made = model.get_input_details()[0], model.get_output_details()[0]
images = np.zeros({shape})  # raw pixels, 0 to 255
scale, zero = given["quantization"]
model.set_tensor(given["index"], np.clip(np.rint(images / scale + zero), 0, 255).astype("uint8"))
model.invoke()
scale, zero = made["quantization"]
probabilities = (model.get_tensor(made["index"]).astype("float32") - zero) * scale  # (n, {classes})"""

OPENVINO = """import numpy as np, openvino

model = openvino.Core().compile_model("openvino/model.xml", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
images = np.zeros({shape}, "float32")  # raw pixels, 0 to 255
probabilities = model(images)[0]  # (n, {classes}); the classes' names are in labels.json"""
