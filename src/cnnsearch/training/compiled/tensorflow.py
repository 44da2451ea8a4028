"""An epoch as one TensorFlow graph: a loop that gathers each batch from images that stay on the device."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cnnsearch.training import image_sizes
from cnnsearch.training.batch_layers import mixed_labels
from cnnsearch.training.compiled import fused, shared_numbers


def limit_gpu_memory(mib: int) -> None:
    """Limit this process to this many MiB of its GPU's memory. Nothing happens if it has already begun to compute."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.set_logical_device_configuration(gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=mib)])


ALIGNED = 64


class Program:
    """Training and validation of a compiled model, one epoch in each call."""

    def __init__(self, model: Any, batch_size: int, validation_batch: int) -> None:
        self._model, self._batch, self._validation_batch = model, batch_size, validation_batch
        self._train: tuple[Any, ...] = ()
        self._val: tuple[Any, ...] = ()
        self._epochs: dict[tuple[float, int], Any] = {}
        self._validate: Any = None
        self._answers: Any = None
        self._slots = shared_numbers.slots(model)

    def take(self, x: Any, y: Any, x_val: Any, y_val: Any, weights: Any = None) -> None:
        """Set the images (n, height, width, channels), with any n, and the one-hot labels (n, classes).

        `weights`, float32 (n,), is how much each image counts in the loss of training.
        """
        self._train, self._val = (_held(x), tf.constant(y)), (_held(x_val), tf.constant(y_val))
        if self._validate is None:
            # images and labels are arguments, so that the program does not keep them and accepts any number
            kinds = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in self._train]
            numbers = [tf.TensorSpec(np.shape(number), "float32") for number in self._numbers()]
            self._validate = tf.function(self._evaluated, [numbers, *kinds], autograph=False)
            self._answers = tf.function(self._answered, [numbers, *kinds], autograph=False)
        if weights is not None:
            self._train = (*self._train, tf.constant(weights))

    def drop(self) -> None:
        """Free the memory of the images, but keep the program."""
        self._train = self._val = ()

    def _numbers(self) -> list[Any]:
        return [tf.constant(number, "float32") for number in shared_numbers.values(self._slots)]

    def epoch(self, order: Any) -> tuple[float, float]:
        """Train on the images in this `order`; the mean loss and the accuracy during the epoch."""
        with _traced_well():
            loss, right = self._program()(self._numbers(), tf.constant(order), *self._train).numpy().tolist()
        return loss / len(order), right / len(order)

    def _program(self) -> Any:
        """The program of an epoch with the present size of images, with or without weights."""
        key = image_sizes.present(self._model), len(self._train)
        if key not in self._epochs:
            self._epochs[key] = self._new_program()
        return self._epochs[key]

    def _new_program(self) -> Any:
        numbers = [tf.TensorSpec(np.shape(number), "float32") for number in self._numbers()]
        parts = [tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in self._train]
        return tf.function(self._trained, [numbers, tf.TensorSpec((None,), "int32"), *parts], autograph=False)

    def validate(self) -> tuple[float, float]:
        """The mean loss and the accuracy on the validation images."""
        with _traced_well():
            loss, right = self._validate(self._numbers(), *self._val).numpy().tolist()
        return loss / len(self._val[0]), right / len(self._val[0])

    def answers(self) -> tuple[float, float, Any]:
        """The results of `validate`, and the answers (n, classes) to the validation images."""
        with _traced_well():
            sums, answers = self._answers(self._numbers(), *self._val)
        loss, right = sums.numpy().tolist()
        return loss / len(self._val[0]), right / len(self._val[0]), answers.numpy()

    def _trained(self, numbers: list[Any], order: Any, x: Any, y: Any, weights: Any = None) -> Any:
        def step(at: Any, end: Any) -> Any:
            rows = order[at:end]
            return self._step(
                tf.gather(x, rows), tf.gather(y, rows), None if weights is None else tf.gather(weights, rows)
            )

        with shared_numbers.bound(self._slots, numbers):
            return _over(tf.size(order), self._batch, step)

    def _evaluated(self, numbers: list[Any], x: Any, y: Any) -> Any:
        def step(at: Any, end: Any) -> Any:
            return self._evaluate_batch(x[at:end], y[at:end])

        with shared_numbers.bound(self._slots, numbers):
            return _over(tf.shape(x)[0], self._validation_batch, step)

    def _answered(self, numbers: list[Any], x: Any, y: Any) -> Any:
        """The results of `_evaluated`, and the answers of all batches."""
        count, batch = tf.shape(x)[0], self._validation_batch
        kept = tf.TensorArray("float32", (count + batch - 1) // batch, infer_shape=False)

        def body(at: Any, sums: Any, kept: Any) -> Any:
            end = tf.minimum(at + batch, count)
            answers = self._model(x[at:end], training=False)
            sums += _sums(_loss(self._model, y[at:end], answers), y[at:end], answers)
            return end, sums, kept.write(at // batch, tf.cast(answers, "float32"))

        start = (tf.constant(0), tf.zeros(2), kept)
        with shared_numbers.bound(self._slots, numbers):
            _, sums, kept = tf.while_loop(lambda at, *_: at < count, body, start, parallel_iterations=1)
        return sums, kept.concat()

    def _step(self, x: Any, y: Any, weights: Any) -> Any:
        """Train on one batch; the sum of its losses and the number of right answers."""
        model = self._model
        with tf.GradientTape() as tape:
            answers = model(x, training=True)
            loss = _loss(model, mixed_labels(model, y), answers, weights)
        variables = model.trainable_weights
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return _sums(loss, y, answers)

    def _evaluate_batch(self, x: Any, y: Any) -> Any:
        answers = self._model(x, training=False)
        return _sums(_loss(self._model, y, answers), y, answers)


def _held(images: Any) -> Any:
    """Images as a tensor. On a CPU, images that are mapped from a file, which all workers share, are not copied.

    TensorFlow needs a copy unless the memory begins at a multiple of ALIGNED bytes.
    """
    here = not tf.config.list_physical_devices("GPU")
    # some operations on a GPU do not support 16-bit and signed images
    if not here and images.dtype not in ("uint8", "float32"):
        images = images.astype("float32")
    suits = images.ctypes.data % ALIGNED == 0 and images.flags.c_contiguous and images.flags.writeable
    return tf.experimental.dlpack.from_dlpack(images.__dlpack__()) if here and suits else tf.constant(images)


def _over(count: Any, batch: int, step: Any) -> Any:
    """The sum of what `step` returns for all batches of `count` images. The last batch may be smaller."""

    def body(at: Any, total: Any) -> Any:
        end = tf.minimum(at + batch, count)
        return end, total + step(at, end)

    return tf.while_loop(lambda at, total: at < count, body, (tf.constant(0), tf.zeros(2)), parallel_iterations=1)[1]


def _loss(model: Any, y: Any, answers: Any, weights: Any = None) -> Any:
    return tf.add_n([tf.cast(shared_numbers.loss(model, y, answers, weights), "float32"), *model.losses])


def _sums(loss: Any, y: Any, answers: Any) -> Any:
    right = tf.equal(tf.argmax(y, -1), tf.argmax(answers, -1))
    return tf.stack([loss * tf.cast(tf.shape(y)[0], "float32"), tf.reduce_sum(tf.cast(right, "float32"))])


@contextlib.contextmanager
def _traced_well() -> Iterator[None]:
    """Trace with fused operations, and without TensorFlow's rewriting of graphs if that takes longer than it saves.

    It saves nothing in float32 on a CPU. In half precision it fuses a normalisation with what follows.
    """
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    plain = keras.config.dtype_policy().compute_dtype == "float32" and not tf.config.list_physical_devices("GPU")
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": plain})
    try:
        with fused.operations():
            yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})
