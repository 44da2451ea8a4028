"""Trains models built from plans with one compiled program for each epoch; the images stay on the device.

Keras' `fit` copies each batch and calls callbacks before and after it, which takes most of the time for small networks.
Here one program does all batches of an epoch, and callbacks are called only before and after epochs. The layers, the
loss, the optimizer and the random seeds are the same, so the losses are equal within rounding for the same order of
images. With JAX the last batch of an epoch is not smaller; see `jax.py`.
"""

import functools
import importlib
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsearch.core import gpus
from cnnsearch.core.host import memory_allowed
from cnnsearch.core.metrics import Measures
from cnnsearch.data import image_cache
from cnnsearch.study.config import GPU_SHARE, WORKERS
from cnnsearch.training.device import on_gpu

BACKENDS = ("tensorflow", "jax")

VALIDATION_BATCH = 512

AROUND_BATCHES = tuple(
    f"on_{what}_{when}" for what in ("batch", "train_batch", "test_batch") for when in ("begin", "end")
)


def suits(model: Any, callbacks: Sequence[Any]) -> bool:
    """Whether this `fit` can train the compiled model: its backend, its precision, and no callback for batches."""
    known = keras.backend.backend() in BACKENDS
    # an optimizer that scales losses may skip steps, or divides its gradients again
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) or model.optimizer.loss_scale_factor
    plain = not any(_looks_at_batches(callback) for callback in callbacks)
    return known and not scaled and plain and isinstance(model.loss, keras.losses.Loss)


def holds(data: Any) -> bool:
    """Whether the images of this TrainingData fit into half of the device's memory.

    On a CPU TensorFlow uses images that are mapped from a file without a copy; all other images are copied. The memory
    that is free at the moment does not matter, so that all trials of a search are trained in the same way.
    """
    need = sum(part.nbytes for part in (data.x, data.x_val))
    if on_gpu():
        return not (memory := _gpu_memory()) or need <= memory / 2
    stays = keras.backend.backend() == "tensorflow" and all(map(_stays, (data.x, data.x_val)))
    return stays or need <= memory_allowed(int(os.environ.get(WORKERS, 1))) / 2


def _stays(images: NDArray[Any]) -> bool:
    """Whether TensorFlow on a CPU does not copy these images."""
    return image_cache.is_mapped(images) and images.flags.writeable


@functools.cache
def _gpu_memory() -> int:
    """Bytes of its GPU's memory that this process may take; 0 if that is not known."""
    share = float(os.environ.get(GPU_SHARE, gpus.MEMORY_SHARE))
    return int(share * 2**20 * gpus.memory(os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]))


def _looks_at_batches(callback: Any) -> bool:
    mine = (
        name for name in AROUND_BATCHES if getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name)
    )
    # a LambdaCallback has its functions as attributes
    return any(mine) or any(name in vars(callback) for name in AROUND_BATCHES)


def fit(
    model: Any,
    data: Any,
    *,
    epochs: int,
    callbacks: Sequence[Any],
    first_epoch: int = 0,
    measures: Measures | None = None,
) -> None:
    """Train `model` on TrainingData with one-hot labels, from `first_epoch` to `epochs`, as Keras' `fit` would.

    The metrics that `measures` computes from the answers to the validation images are reported with each epoch.

    The order of the images in an epoch depends only on NumPy's seed and the epoch. So a training that is resumed has
    the same orders as one that was never interrupted.
    """
    seed = np.random.randint(2**31 - 1)
    program = _program(model, data)
    try:
        _epochs(program, model, data, seed, range(first_epoch, epochs), callbacks, measures)
    finally:
        program.drop()


def _epochs(
    program: Any,
    model: Any,
    data: Any,
    seed: int,
    every: range,
    callbacks: Sequence[Any],
    measures: Measures | None,
) -> None:
    told = keras.callbacks.CallbackList(list(callbacks), model=model)
    told.set_params({"epochs": every.stop, "verbose": 0, "steps": -(-len(data.x) // data.batch_size)})
    model.stop_training = False
    # callbacks read the model's metrics to find out if higher is better; Keras creates them with the first answers
    model.compute_metrics(None, data.y[:1], data.y[:1])
    model.reset_metrics()
    told.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in every:
        told.on_epoch_begin(epoch)
        loss, accuracy = program.epoch(order(seed, epoch, len(data.x)))
        told.on_test_begin()
        val_loss, val_accuracy, more = _validated(program, measures)
        told.on_test_end({"loss": val_loss, "accuracy": val_accuracy})
        logs = {"loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy, **more}
        told.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    told.on_train_end(logs)


def _validated(program: Any, measures: Measures | None) -> tuple[float, float, dict[str, float]]:
    """Loss, accuracy and the computed metrics of the validation images."""
    if measures is None:
        return *program.validate(), {}
    loss, accuracy, answers = program.answers()
    return loss, accuracy, measures(answers)


def order(seed: int, epoch: int, count: int) -> NDArray[np.int32]:
    """The order of `count` images in an epoch, counted from 0."""
    return np.random.default_rng((seed, epoch)).permutation(count).astype("int32")


def _program(model: Any, data: Any) -> Any:
    """The program that trains `model`. It is the earlier one, if there is one, as compiling takes time."""
    program = getattr(model, "epoch_program", None)
    if program is None:
        backend = importlib.import_module(f"cnnsearch.training.compiled.{keras.backend.backend()}")
        program = backend.Program(model, data.batch_size, max(VALIDATION_BATCH, data.batch_size))
        model.epoch_program = program
    program.take(data.x, data.y, data.x_val, data.y_val, data.weights)
    return program
