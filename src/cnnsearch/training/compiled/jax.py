"""An epoch as one JAX program: a `lax.scan` over batches gathered from images that stay on the device.

Every batch is whole, since XLA compiles, and on a GPU tries out kernels, anew for each shape; that takes longer than
the epochs of a small network. So the last batch of an epoch is filled up with the images that the epoch began with.
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

COMPILED = 2 * 2**30
"""Bytes of compiled programs that are kept."""

OPTIONS: dict[str, Any] = {
    "xla_gpu_exclude_nondeterministic_ops": True,
    "xla_gpu_enable_triton_gemm": False,
    "xla_gpu_experimental_enable_fusion_autotuner": False,
    "xla_gpu_autotune_level": 1,
}
"""What XLA is told where it compiles for a GPU: to take the first kernel that fits, and not to try them all out.

It does so where what may differ from run to run is to be excluded. cuDNN knows some 65 kernels for a convolution, and
each that is tried is compiled first. Epochs get longer, so that trying out pays in long trainings (docs/gpu.md).
"""


def keep_compiled(folder: Path) -> None:
    """Keep compiled programs in `folder`, unless JAX was told of another place; the oldest go, down to COMPILED.

    JAX's own limit is not used: a file that was half written when its process was killed stops all writing to it.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    folder.mkdir(parents=True, exist_ok=True)
    # another worker may do the same just now
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
    """Those of OPTIONS that this XLA knows and XLA_FLAGS does not name; none where it compiles for no GPU."""
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
    """`jax.jit` of `function` by `compiler_options`, or without them where XLA cannot compile it so."""
    options = compiler_options()
    program = jax.jit(function, compiler_options=options, **given)

    def call(*parts: Any) -> Any:
        nonlocal program, options
        try:
            found = program(*parts)
        except jax.errors.JaxRuntimeError as error:
            # one that began to run has taken what was donated to it
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
    """Training and validation of a compiled model, an epoch a call."""

    def __init__(self, model: Any, batch_size: int, validation_batch: int) -> None:
        self._model, self._batch, self._validation_batch = model, batch_size, validation_batch
        self._train: tuple[Any, ...] = ()
        self._val: tuple[Any, ...] = ()
        self._epoch = compiled(self._trained, donate_argnums=0)
        self._validate = compiled(functools.partial(self._looked_at, keep=False))
        self._answers = compiled(functools.partial(self._looked_at, keep=True))

    def take(self, x: Any, y: Any, x_val: Any, y_val: Any, weights: Any = None) -> None:
        """Take images of any numbers (n, height, width, channels), and one-hot labels (n, classes).

        `weights`, float32 (n,), is how much each image counts in the loss of training.
        """
        train = (x, y) if weights is None else (x, y, weights)
        self._train, self._val = tuple(map(jnp.asarray, train)), (jnp.asarray(x_val), jnp.asarray(y_val))

    def drop(self) -> None:
        """Let the images go; the program stays."""
        self._train = self._val = ()

    def epoch(self, order: Any) -> tuple[float, float]:
        """Train on the images in this `order`; gives back the mean loss and the accuracy on the way."""
        rows = _batches(order, self._batch)
        state, sums = self._epoch(self._state(), self._train, rows)
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        loss, right = sums.tolist()
        return loss / rows.size, right / rows.size

    def validate(self) -> tuple[float, float]:
        """The mean loss and the accuracy on the validation images."""
        return self._validated(self._validate)[:2]

    def answers(self) -> tuple[float, float, Any]:
        """As `validate`, and the answers (n, classes) to the validation images."""
        return self._validated(self._answers)

    def _validated(self, program: Callable[..., Any]) -> tuple[float, float, Any]:
        trained, fixed, _ = self._state()
        count = len(self._val[0])
        rows = _batches(np.arange(count), self._validation_batch)
        counts = (np.arange(rows.size) < count).astype("float32").reshape(rows.shape)
        sums, answers = program(trained, fixed, *self._val, rows, counts)
        loss, right = sums.tolist()
        kept = None if answers is None else np.asarray(answers).reshape(rows.size, -1)[:count]
        return loss / count, right / count, kept

    def _variables(self) -> tuple[Any, Any, Any]:
        model = self._model
        return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables

    def _state(self) -> tuple[list[Any], ...]:
        return tuple([variable.value for variable in variables] for variables in self._variables())

    def _trained(self, state: Any, data: tuple[Any, ...], rows: Any) -> Any:
        """Train on images, labels and weights, if there are any, batch after batch."""
        state, sums = jax.lax.scan(lambda carry, part: self._step(carry, *(each[part] for each in data)), state, rows)
        return state, sums.sum(0)

    def _looked_at(self, trained: Any, fixed: Any, x: Any, y: Any, rows: Any, counts: Any, *, keep: bool) -> Any:
        """The summed losses of the images that count, 1 or 0 for each, and how many of them were right; and, if they
        are to `keep`, the answers (steps, batch, classes)."""

        def look(carry: Any, part: Any) -> Any:
            rows, counts = part
            loss, (answers, _) = self._loss(trained, fixed, x[rows], y[rows], False, counts, counts.mean())
            right = y[rows].argmax(-1) == answers.argmax(-1)
            sums = jnp.stack([loss * len(rows), (right * counts).sum()])
            return carry, (sums, answers.astype("float32") if keep else None)

        sums, answers = jax.lax.scan(look, None, (rows, counts))[1]
        return sums.sum(0), answers

    def _step(self, state: Any, x: Any, y: Any, weights: Any = None) -> Any:
        """Train on one batch; gives back the variables, and its summed losses with how many were right."""
        trained, fixed, moments = state
        slope = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (answers, fixed)), gradients = slope(trained, fixed, x, y, True, weights)
        trained, moments = self._model.optimizer.stateless_apply(moments, gradients, trained)
        right = (y.argmax(-1) == answers.argmax(-1)).sum()
        return (trained, fixed, moments), jnp.stack([loss * len(y), right.astype("float32")])

    def _loss(
        self, trained: Any, fixed: Any, x: Any, y: Any, training: bool, weights: Any = None, share: Any = 1
    ) -> Any:
        """The mean of the weighted losses, and that `share` of what layers add."""
        answers, fixed, more = self._model.stateless_call(trained, fixed, x, training=training, return_losses=True)
        return self._model.loss(y, answers, weights) + share * sum(more), (answers, fixed)


def _batches(order: Any, batch: int) -> NDArray[np.int32]:
    """`order` as whole batches (steps, batch), begun again where the last one is short."""
    batch = min(batch, len(order))
    return np.resize(order, (-(-len(order) // batch), batch)).astype("int32")
