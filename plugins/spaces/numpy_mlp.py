"""A network of three dense layers in NumPy, as an example of a candidate that is not a Keras model."""

import zipfile
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cnnsearch import space
from cnnsearch.data import pixel_values

_PIECE = 1024  # images in one step of computation: 50,000 would need a gigabyte
_NAMES = ("kernel1", "bias1", "kernel2", "bias2", "kernel3", "bias3")


@space
def numpy_mlp(input_shape, num_classes):
    """Three dense layers written in NumPy, with their own training."""
    return Perceptrons(input_shape, num_classes)


class Perceptrons:
    """The hypermodel: it builds and trains the networks."""

    def __init__(self, input_shape, num_classes):
        self.input_shape, self.num_classes = input_shape, num_classes

    def build(self, hp):
        """The network drawn from `hp`. The trial's seed sets NumPy's global state, from which its seed is drawn."""
        widths = hp.Choice("width1", (256, 128, 512)), hp.Choice("width2", (128, 64, 256))
        training = Training(
            loss=hp.Choice("loss", ("cross_entropy", "mse")),
            optimizer=hp.Choice("optimizer", ("sgd", "adam")),
            rate=hp.Float("rate", 1e-4, 1e-1, sampling="log", default=0.05),
            decay=hp.Choice("decay", (0.9, 0.8, 1.0)),
            dropout=round(hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2), 6),
            batch_size=hp.Choice("batch_size", (64, 32, 128, 0)),
            shift=hp.Choice("shift", (0.0, 0.1)),
            rotate=hp.Choice("rotate", (0.0, 10.0)),
        )
        return Network(self.input_shape, widths, self.num_classes, training, np.random.randint(2**31 - 1))

    def fit(
        self, hp, model, x, y, *, epochs=1, validation_data=None, callbacks=(), validation_batch_size=512, **ignored
    ):
        """Train `model` on pixels `x` and integers `y`, in batches of the size it was built with.

        As Keras does, the loss and accuracy of training are means over the batches, each before its step.
        """
        training, model.stop_training = model.training, False
        model.values = pixel_values.value_range(x)
        step = _OPTIMIZERS[training.optimizer](model.weights)
        for callback in callbacks:
            callback.set_model(model)
            callback.on_train_begin()
        for epoch in range(epochs):
            rate = training.rate * training.decay**epoch
            # the loss shows whether a network diverges
            with np.errstate(over="ignore", invalid="ignore"):
                logs = {**_epoch(model, x, y, step, rate), "learning_rate": rate}
                if validation_data is not None:
                    logs |= _validated(model, *validation_data, validation_batch_size)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        for callback in callbacks:
            callback.on_train_end()


class Training(NamedTuple):
    """How a network is trained.

    Args:
        loss: `cross_entropy`, or `mse`: the squared error of the probabilities (after softmax, so both losses
            train the same network), summed over the classes.
        optimizer: `sgd` with momentum 0.9, or `adam`.
        rate: the learning rate of the first epoch.
        decay: its factor after each epoch.
        dropout: the share of units left out after each hidden layer.
        batch_size: images in a step; 0 for all of them.
        shift: the largest shift of a training image, as a fraction of its side.
        rotate: its largest rotation to either side, in degrees.
    """

    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    rate: float = 0.05
    decay: float = 0.9
    dropout: float = 0.0
    batch_size: int = 64
    shift: float = 0.0
    rotate: float = 0.0


class Network:
    """A network with two hidden layers (ReLU) that gives the probability of each class.

    `values` are the lowest and the highest pixel of the training images; they are scaled to 0 and 1.
    """

    formats = ("npz", "onnx")

    def __init__(self, input_shape, widths, num_classes, training, seed):
        self.input_shape, self.training = tuple(input_shape), training
        self.stop_training = False
        self.values = (0.0, 255.0)
        self.generator = np.random.default_rng(seed)
        sizes = (int(np.prod(input_shape)), *widths, num_classes)
        self.weights = []
        for inputs, outputs in pairwise(sizes):
            normal = self.generator.standard_normal((inputs, outputs), "float32")
            # He et al. 2015, arXiv:1502.01852
            self.weights += [normal * (2 / inputs) ** 0.5, np.zeros(outputs, "float32")]

    def predict(self, x, batch_size=512, verbose=0):
        """The probabilities (n, classes) of images (n, height, width, channels)."""
        result = np.empty((len(x), len(self.weights[-1])), "float32")
        for start in range(0, len(x), batch_size):
            part = slice(start, start + batch_size)
            result[part] = self._forward(x[part])[-1]
        return result

    def gradients(self, x, y):
        """The sum of the losses, the number of hits, and the gradient of the sum for each array of weights."""
        *inputs, probabilities = self._forward(x, self.training.dropout)
        loss, hits, delta = _judged(self.training.loss, probabilities, y)
        gradients = []
        for number in (2, 1, 0):
            gradients = [inputs[number].T @ delta, delta.sum(axis=0), *gradients]
            if number:
                # units that ReLU or dropout set to 0 have no gradient
                delta = (delta @ self.weights[2 * number].T) * (inputs[number] > 0)
                delta *= 1 / (1 - self.training.dropout)
        return loss, hits, gradients

    def get_weights(self):
        """Copies of the weights: kernel and bias of each layer in turn."""
        return [array.copy() for array in self.weights]

    def set_weights(self, weights):
        """Copy the values of `weights`."""
        for own, array in zip(self.weights, weights, strict=True):
            own[...] = array

    def count_params(self):
        """The number of all weights."""
        return sum(array.size for array in self.weights)

    def save(self, path):
        """Write the network as `.npz` or `.onnx`, by the suffix of `path`."""
        if path.suffix == ".npz":
            named = dict(zip(_NAMES, self.weights, strict=True))
            np.savez(path, input_shape=self.input_shape, values=self.values, **named)
        elif path.suffix == ".onnx":
            path.write_bytes(_onnx(self).SerializeToString())
        else:
            raise ValueError(f"{path.name}: expected a name that ends in .npz or .onnx")

    def load(self, path):
        """Read the weights of a network of the same shape from a `.npz` file of `save`.

        Raises:
            ValueError: if the file holds something else.
        """
        try:
            with path.open("rb") as file:
                arrays = dict(np.load(file, allow_pickle=False))
        except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: this is no .npz file of a network") from error
        shapes = {name: arrays[name].shape if name in arrays else "missing" for name in _NAMES}
        for (name, found), own in zip(shapes.items(), self.weights, strict=True):
            if found != own.shape:
                raise ValueError(f"{path}: {name} is {found}, expected {own.shape}")
        if not np.array_equal(arrays.get("input_shape"), self.input_shape):
            raise ValueError(f"{path}: it is for other images than {self.input_shape}")
        self.set_weights([arrays[name] for name in _NAMES])
        low, high = arrays.get("values", (0.0, 255.0))
        self.values = (float(low), float(high))

    def _forward(self, x, dropout=0.0):
        """The inputs of the three layers, and the probabilities."""
        low, high = self.values
        pixels = x.reshape(len(x), -1).astype("float32")
        steps = [(pixels - np.float32(low)) * np.float32(1 / (high - low))]
        for kernel, bias in zip(self.weights[:-2:2], self.weights[1:-2:2], strict=True):
            units = np.maximum(steps[-1] @ kernel + bias, 0)
            if dropout:
                units *= (self.generator.random(units.shape, "float32") >= dropout) * np.float32(1 / (1 - dropout))
            steps.append(units)
        outputs = steps[-1] @ self.weights[-2] + self.weights[-1]
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return [*steps, powers / powers.sum(axis=1, keepdims=True)]


def moved(x, generator, shift, rotate):
    """Images `x` with random shifts and rotations, by bilinear interpolation."""
    if not (shift or rotate):
        return x
    count, height, width, channels = x.shape
    turn, down, right = 2 * generator.random((3, count, 1, 1), "float32") - 1
    cos, sin = np.cos(turn * np.float32(np.radians(rotate))), np.sin(turn * np.float32(np.radians(rotate)))
    middle, center = (height - 1) / 2, (width - 1) / 2
    rows, columns = np.ogrid[-middle : middle + 0.5, -center : center + 0.5]
    rows, columns = rows.astype("float32"), columns.astype("float32")
    # the source of each pixel; beyond the edge it is the pixel of the edge
    row = np.clip(cos * rows + sin * columns + (middle + down * shift * height), 0, height - 1)
    column = np.clip(cos * columns - sin * rows + (center + right * shift * width), 0, width - 1)
    top, left = np.floor(row), np.floor(column)
    row, column = (row - top)[..., None], (column - left)[..., None]
    top, left = top.astype(np.intp), left.astype(np.intp)
    bottom, end = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    pixels = x.reshape(-1, channels)
    first = np.arange(0, count * height * width, height * width)[:, None, None]
    top, bottom = first + top * width, first + bottom * width
    above = pixels[top + left] * (1 - column) + pixels[top + end] * column
    below = pixels[bottom + left] * (1 - column) + pixels[bottom + end] * column
    return above * (1 - row) + below * row


def _epoch(model, x, y, step, rate):
    """Train one epoch in random order. The result has its mean loss and accuracy."""
    training, order = model.training, model.generator.permutation(len(x))
    size, loss, hits = training.batch_size or len(x), 0.0, 0
    for start in range(0, len(x), size):
        batch, total = order[start : start + size], None
        for first in range(0, len(batch), _PIECE):
            piece = batch[first : first + _PIECE]
            images = moved(x[piece], model.generator, training.shift, training.rotate)
            more, right, gradients = model.gradients(images, y[piece])
            loss, hits = loss + more, hits + right
            total = gradients if total is None else [a + b for a, b in zip(total, gradients, strict=True)]
        step([gradient / len(batch) for gradient in total], rate)
    return {"loss": loss / len(x), "accuracy": hits / len(x)}


def _validated(model, x, y, batch_size):
    loss, hits, _ = _judged(model.training.loss, model.predict(x, batch_size), y)
    return {"val_loss": loss / len(x), "val_accuracy": hits / len(x)}


def _judged(loss, probabilities, y):
    """The sum of the losses, the number of correct predictions, and the gradient of the softmax's input."""
    hits = int((probabilities.argmax(axis=1) == y).sum())
    own, slope = (np.arange(len(y)), y), probabilities.copy()
    slope[own] -= 1
    if loss == "cross_entropy":
        return float(-np.log(np.maximum(probabilities[own], 1e-7)).sum()), hits, slope
    mean = (probabilities * slope).sum(axis=1, keepdims=True)
    return float((slope**2).sum()), hits, 2 * probabilities * (slope - mean)


def _sgd(weights, momentum=0.9):
    speeds = [np.zeros_like(array) for array in weights]

    def step(gradients, rate):
        for array, speed, gradient in zip(weights, speeds, gradients, strict=True):
            speed *= momentum
            speed -= rate * gradient
            array += speed

    return step


def _adam(weights, first=0.9, second=0.999):
    """Kingma & Ba 2014, arXiv:1412.6980."""
    means, squares = ([np.zeros_like(array) for array in weights] for _ in range(2))
    count = 0

    def step(gradients, rate):
        nonlocal count
        count += 1
        scale = rate * (1 - second**count) ** 0.5 / (1 - first**count)
        for array, mean, square, gradient in zip(weights, means, squares, gradients, strict=True):
            mean += (1 - first) * (gradient - mean)
            square += (1 - second) * (gradient * gradient - square)
            array -= scale * mean / (np.sqrt(square) + 1e-7)

    return step


_OPTIMIZERS = {"sgd": _sgd, "adam": _adam}


def _onnx(network):
    """The network as an ONNX model, for any number of images."""
    from onnx import checker, numpy_helper, parser

    height, width, channels = network.input_shape
    # old versions, so that older runtimes can read it
    model = parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 17]>
        numpy_mlp (float[N, {height}, {width}, {channels}] pixels)
            => (float[N, {len(network.weights[-1])}] probabilities) {{
            moved = Sub(pixels, low)
            scaled = Mul(moved, scale)
            flat = Flatten(scaled)
            dense1 = Gemm(flat, kernel1, bias1)
            relu1 = Relu(dense1)
            dense2 = Gemm(relu1, kernel2, bias2)
            relu2 = Relu(dense2)
            dense3 = Gemm(relu2, kernel3, bias3)
            probabilities = Softmax<axis = 1>(dense3)
        }}
    """)
    low, high = network.values
    constants = {"low": np.array(low, "float32"), "scale": np.array(1 / (high - low), "float32")}
    constants |= dict(zip(_NAMES, network.weights, strict=True))
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    checker.check_model(model, full_check=True)
    return model
