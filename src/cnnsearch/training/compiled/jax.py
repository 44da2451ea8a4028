"""An epoch as one JAX program: a `lax.scan` over batches gathered from images that stay on the device.

XLA compiles a program again for each shape, and tries out kernels on a GPU. That takes longer than the epochs of a
small network. So all batches have the same size: the last one is filled with the first images of the epoch.
"""

import contextlib
import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import out_of_memory
from cnnsearch.training import image_sizes
from cnnsearch.training.batch_layers import mixed_labels
from cnnsearch.training.compiled import shared_numbers

COMPILED = 2 * 2**30
"""Bytes of compiled programs that are kept."""

OPTIONS: dict[str, Any] = {
    "xla_gpu_exclude_nondeterministic_ops": True,
    "xla_gpu_enable_triton_gemm": False,
    "xla_gpu_experimental_enable_fusion_autotuner": False,
    "xla_gpu_autotune_level": 1,
}
"""XLA's options for a GPU: use the first kernel that fits, and do not try out all of them.

XLA does so if nondeterministic operations are excluded. cuDNN has about 65 kernels for a convolution, and each one
that is tried is compiled first. Epochs take longer without trying, so trying pays in long trainings
(docs/benchmarks/gpu.md).
"""


def keep_compiled(folder: Path) -> None:
    """Save compiled programs in `folder`, unless the user chose another. The oldest are deleted above COMPILED bytes.

    JAX's own limit is not used: after a process is killed while it writes a file, JAX writes no more files.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    folder.mkdir(parents=True, exist_ok=True)
    # another worker may do the same at this moment
    with contextlib.suppress(FileNotFoundError):
        _tidy(folder)
    settings: dict[str, Any] = {"compilation_cache_dir": str(folder), "persistent_cache_min_compile_time_secs": 0.0}
    for name, value in settings.items():
        jax.config.update(f"jax_{name}", value)  # type: ignore[no-untyped-call]


def _tidy(folder: Path) -> None:
    files = [(path.stat().st_mtime, path.stat().st_size, path) for path in folder.rglob("*") if path.is_file()]
    held = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if held <= COMPILED:
            return
        held -= size
        path.unlink()


@functools.cache
def compiler_options() -> dict[str, Any]:
    """Those of OPTIONS that this XLA knows and XLA_FLAGS does not name; none if there is no GPU."""
    if jax.default_backend() != "gpu":
        return {}
    flags = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in OPTIONS.items() if name not in flags and _known(name, value)}


def _known(name: str, value: Any) -> bool:
    try:
        jax.jit(lambda x: x, compiler_options={name: value}).lower(0.0).compile()
    except jax.errors.JaxRuntimeError as error:
        return "No such compile option" not in str(error)
    return True


def compiled(function: Callable[..., Any], **given: Any) -> Callable[..., Any]:
    """`jax.jit` of `function` with `compiler_options`, or without them if XLA cannot compile it with them."""
    options = compiler_options()
    program = jax.jit(function, compiler_options=options, **given)

    def call(*parts: Any) -> Any:
        nonlocal program, options
        try:
            found = program(*parts)
        except jax.errors.JaxRuntimeError as error:
            # a program that began to run has deleted the arguments that were donated to it
            begun = any(leaf.is_deleted() for leaf in jax.tree.leaves(parts) if isinstance(leaf, jax.Array))
            if not options or begun or out_of_memory(error):
                raise
            warnings.warn(f"compiled without {options}: {error}", stacklevel=2)
            program = jax.jit(function, **given)
            found = program(*parts)
        options = {}
        return found

    return call


class Program:
    """Training and validation of a compiled model, one epoch in each call."""

    def __init__(self, model: Any, batch_size: int, validation_batch: int) -> None:
        self._model, self._batch, self._validation_batch = model, batch_size, validation_batch
        self._train: tuple[Any, ...] = ()
        self._val: tuple[Any, ...] = ()
        self._slots = shared_numbers.slots(model)
        self._epoch = compiled(self._trained, donate_argnums=0, static_argnums=4)
        self._validate = compiled(functools.partial(self._evaluated, keep=False))
        self._answers = compiled(functools.partial(self._evaluated, keep=True))

    def take(self, x: Any, y: Any, x_val: Any, y_val: Any, weights: Any = None) -> None:
        """Set the images (n, height, width, channels), with any n, and the one-hot labels (n, classes).

        `weights`, float32 (n,), is how much each image counts in the loss of training.
        """
        train = (x, y) if weights is None else (x, y, weights)
        self._train, self._val = tuple(map(jnp.asarray, train)), (jnp.asarray(x_val), jnp.asarray(y_val))

    def drop(self) -> None:
        """Free the memory of the images, but keep the program."""
        self._train = self._val = ()

    def epoch(self, order: Any) -> tuple[float, float]:
        """Train on the images in this `order`; the mean loss and the accuracy during the epoch."""
        rows = _batches(order, self._batch)
        size = image_sizes.present(self._model)
        state, sums = self._epoch(self._state(), self._numbers(), self._train, rows, size)
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        loss, right = sums.tolist()
        return loss / rows.size, right / rows.size

    def validate(self) -> tuple[float, float]:
        """The mean loss and the accuracy on the validation images."""
        return self._validated(self._validate)[:2]

    def answers(self) -> tuple[float, float, Any]:
        """The results of `validate`, and the answers (n, classes) to the validation images."""
        return self._validated(self._answers)

    def _validated(self, program: Callable[..., Any]) -> tuple[float, float, Any]:
        trained, fixed, _ = self._state()
        count = len(self._val[0])
        rows = _batches(np.arange(count), self._validation_batch)
        counts = (np.arange(rows.size) < count).astype("float32").reshape(rows.shape)
        sums, answers = program(trained, fixed, self._numbers(), *self._val, rows, counts)
        loss, right = sums.tolist()
        kept = None if answers is None else np.asarray(answers).reshape(rows.size, -1)[:count]
        return loss / count, right / count, kept

    def _variables(self) -> tuple[Any, Any, Any]:
        model = self._model
        return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables

    def _state(self) -> tuple[list[Any], ...]:
        return tuple([variable.value for variable in variables] for variables in self._variables())

    def _numbers(self) -> list[Any]:
        """The numbers as arguments. Python's floats take the type of what they are combined with."""
        found = shared_numbers.values(self._slots)
        return [np.asarray(each, "float32") if isinstance(each, tuple) else float(each) for each in found]

    def _trained(self, state: Any, numbers: list[Any], data: tuple[Any, ...], rows: Any, _size: float) -> Any:
        """Train on all batches of images, labels and, if there are any, weights. Each size has its own program."""
        with shared_numbers.bound(self._slots, numbers):
            state, sums = jax.lax.scan(
                lambda carry, part: self._step(carry, *(each[part] for each in data)), state, rows
            )
        return state, sums.sum(0)

    def _evaluated(
        self, trained: Any, fixed: Any, numbers: list[Any], x: Any, y: Any, rows: Any, counts: Any, *, keep: bool
    ) -> Any:
        """The sum of the losses and the number of right answers, and with `keep` the answers (steps, batch, classes).

        `counts` is 1 for each image that counts, else 0.
        """

        def look(carry: Any, part: Any) -> Any:
            rows, counts = part
            loss, (answers, _) = self._loss(trained, fixed, x[rows], y[rows], False, counts, counts.mean())
            right = y[rows].argmax(-1) == answers.argmax(-1)
            sums = jnp.stack([loss * len(rows), (right * counts).sum()])
            return carry, (sums, answers.astype("float32") if keep else None)

        with shared_numbers.bound(self._slots, numbers):
            sums, answers = jax.lax.scan(look, None, (rows, counts))[1]
        return sums.sum(0), answers

    def _step(self, state: Any, x: Any, y: Any, weights: Any = None) -> Any:
        """Train on one batch; the new variables, and the sum of its losses with the number of right answers."""
        trained, fixed, moments = state
        slope = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (answers, fixed)), gradients = slope(trained, fixed, x, y, True, weights)
        trained, moments = self._model.optimizer.stateless_apply(moments, gradients, trained)
        right = (y.argmax(-1) == answers.argmax(-1)).sum()
        return (trained, fixed, moments), jnp.stack([loss * len(y), right.astype("float32")])

    def _loss(
        self, trained: Any, fixed: Any, x: Any, y: Any, training: bool, weights: Any = None, share: Any = 1
    ) -> Any:
        """The mean of the weighted losses, plus `share` of the losses that layers add."""
        answers, fixed, more = self._model.stateless_call(trained, fixed, x, training=training, return_losses=True)
        y = mixed_labels(self._model, y) if training else y
        return shared_numbers.loss(self._model, y, answers, weights) + share * sum(more), (answers, fixed)


def _batches(order: Any, batch: int) -> NDArray[np.int32]:
    """`order` as batches of equal size (steps, batch); the last one is filled from the beginning."""
    batch = min(batch, len(order))
    return np.resize(order, (-(-len(order) // batch), batch)).astype("int32")
