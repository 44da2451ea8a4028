"""An epoch as one JAX program: a `lax.scan` over batches gathered from images that stay on the device."""

from typing import Any

import jax
import jax.numpy as jnp


class Program:
    """Training and validation of a compiled model, an epoch a call."""

    def __init__(self, model: Any, batch_size: int, validation_batch: int) -> None:
        self._model, self._batch, self._validation_batch = model, batch_size, validation_batch
        self._train: tuple[Any, ...] = ()
        self._val: tuple[Any, ...] = ()
        self._epoch = jax.jit(self._trained, donate_argnums=0)
        self._validate = jax.jit(self._looked_at)

    def take(self, x: Any, y: Any, x_val: Any, y_val: Any) -> None:
        """Take images, uint8 or float32 (n, height, width, channels), and one-hot labels (n, classes)."""
        self._train, self._val = (jnp.asarray(x), jnp.asarray(y)), (jnp.asarray(x_val), jnp.asarray(y_val))

    def drop(self) -> None:
        """Let the images go; the program stays."""
        self._train = self._val = ()

    def epoch(self, order: Any) -> tuple[float, float]:
        """Train on the images in this `order`; gives back the mean loss and the accuracy on the way."""
        state, total = self._state(), jnp.zeros(2)
        for rows in _batches(order, self._batch):
            state, sums = self._epoch(state, *self._train, rows)
            total += sums
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        loss, right = total.tolist()
        return loss / len(order), right / len(order)

    def validate(self) -> tuple[float, float]:
        """The mean loss and the accuracy on the validation images."""
        trained, fixed, _ = self._state()
        count = len(self._val[0])
        rows = _batches(jnp.arange(count), self._validation_batch)
        loss, right = sum(self._validate(trained, fixed, *self._val, part) for part in rows).tolist()
        return loss / count, right / count

    def _variables(self) -> tuple[Any, Any, Any]:
        model = self._model
        return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables

    def _state(self) -> tuple[list[Any], ...]:
        return tuple([variable.value for variable in variables] for variables in self._variables())

    def _trained(self, state: Any, x: Any, y: Any, rows: Any) -> Any:
        state, sums = jax.lax.scan(lambda carry, part: self._step(carry, x[part], y[part]), state, rows)
        return state, sums.sum(0)

    def _looked_at(self, trained: Any, fixed: Any, x: Any, y: Any, rows: Any) -> Any:
        def look(carry: Any, part: Any) -> Any:
            loss, (answers, _) = self._loss(trained, fixed, x[part], y[part], False)
            return carry, _sums(loss, y[part], answers)

        return jax.lax.scan(look, None, rows)[1].sum(0)

    def _step(self, state: Any, x: Any, y: Any) -> Any:
        """Train on one batch; gives back the variables, and its summed losses with how many were right."""
        trained, fixed, moments = state
        slope = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (answers, fixed)), gradients = slope(trained, fixed, x, y, True)
        trained, moments = self._model.optimizer.stateless_apply(moments, gradients, trained)
        return (trained, fixed, moments), _sums(loss, y, answers)

    def _loss(self, trained: Any, fixed: Any, x: Any, y: Any, training: bool) -> Any:
        answers, fixed, more = self._model.stateless_call(trained, fixed, x, training=training, return_losses=True)
        return self._model.loss(y, answers) + sum(more), (answers, fixed)


def _batches(order: Any, batch: int) -> list[Any]:
    """`order` as whole batches (steps, batch), and the smaller one that is left."""
    order = jnp.asarray(order)
    whole = len(order) // batch * batch
    parts = [order[:whole].reshape(-1, batch), order[whole:][None]]
    return [part for part in parts if part.size]


def _sums(loss: Any, y: Any, answers: Any) -> Any:
    return jnp.stack([loss * len(y), (y.argmax(-1) == answers.argmax(-1)).sum().astype("float32")])
