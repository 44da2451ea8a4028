"""Saves the state of a training after an epoch, so that an interrupted or paused trial can be resumed."""

import json
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from cnnsearch.core import checkpoint_store
from cnnsearch.core.checkpoint_address import local_path, redacted
from cnnsearch.training.lazy_keras import Callback

FORMAT = 1
SHARE = 0.05
"""The part of the training's time that writing may take."""

PATIENCE, AGAIN = 60.0, 3.0
"""Seconds for which a checkpoint that a trial needs to pause is sent again, and seconds between two tries."""

Facts = Callable[[], dict[str, Any]]
"""What is saved besides the variables: plain data, and `weights`, a list of arrays."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training after `epoch` epochs."""

    epoch: int
    facts: dict[str, Any]
    variables: list[Any]
    optimizer: list[Any]
    weights: list[Any]
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    def restore(self, model: Any) -> None:
        """Load these variables into a compiled model.

        Raises:
            ValueError: if they belong to another model. The model then has the values that it had before.
        """
        optimizer, same = model.optimizer, _shapes(self.variables) == _shapes(model.variables)
        if same and not optimizer.built and len(self.optimizer) > len(optimizer.variables):
            # in a new model it has no variables for the weights yet
            optimizer.build(model.trainable_variables)
        if not same or _shapes(self.optimizer) != _shapes(optimizer.variables):
            raise ValueError("the saved training is another model's")
        kept, owned = [*self.variables, *self.optimizer], [*model.variables, *optimizer.variables]
        initial = _arrays(owned)
        try:
            _assign(owned, kept)
        except Exception as error:
            _assign(owned, initial)
            raise ValueError(f"the saved training cannot be loaded: {error}") from error


def load(address: str, key: str) -> Checkpoint | None:
    """The checkpoint of the candidate with this key; None if there is none that can be used."""
    try:
        with checkpoint_store.read(address) as file, np.load(file, allow_pickle=False) as archive:
            facts = json.loads(str(archive["facts"]))
            if facts["format"] != FORMAT or facts["key"] != key:
                return None
            arrays = {
                kind: [archive[f"{kind}{number}"] for number in range(facts["counts"][kind])]
                for kind in ("variables", "optimizer", "weights")
            }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        _log(f"the checkpoint {redacted(address)} cannot be read: {error}")
        return None
    return Checkpoint(facts["epoch"], facts["facts"], callbacks=facts["callbacks"], **arrays)


def can_be_resumed(model: Any) -> bool:
    """Whether a checkpoint has the whole state of a training: the model is compiled, and has no other optimizer."""
    import keras

    optimizers = [each for each in vars(model).values() if isinstance(each, keras.optimizers.Optimizer)]
    compiled = getattr(model, "optimizer", None)
    return hasattr(compiled, "variables") and all(each is compiled for each in optimizers)


class CheckpointWriter(Callback):
    """Writes a checkpoint of a training to a file after an epoch, completely or not at all.

    It comes after the callbacks whose state it saves. A write that fails is ignored: the checkpoint would only have
    saved time after an interruption.
    """

    def __init__(
        self,
        address: str,
        key: str,
        model: Any,
        others: Sequence[Any],
        facts: Facts,
        must: Callable[[], bool] = bool,
        tried: Callable[[bool], object] = bool,
    ) -> None:
        """`others` are the callbacks whose state is saved; `must` returns whether this epoch has to be saved.

        `tried` is called with whether a checkpoint was written.
        """
        super().__init__()
        self._must, self._tried = must, tried
        self._address, self._key, self._whole, self._others, self._facts = address, key, model, others, facts
        self._wrote, self._took = time.monotonic(), 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        started, must = time.monotonic(), self._must()
        spared = getattr(self.model, "stop_training", False) or (started - self._wrote) * SHARE < self._took
        if spared and not must:
            return
        saved = self._save(epoch + 1)
        if must and not saved and local_path(self._address) is None:
            saved = self._save_later(epoch + 1, started + PATIENCE)
        self._tried(saved)
        self._wrote = time.monotonic()
        self._took = self._wrote - started

    def _save_later(self, epoch: int, until: float) -> bool:
        """Try again until it works or the time is over; whether it worked. `until` is a time of `time.monotonic`."""
        while time.monotonic() < until:
            time.sleep(AGAIN)
            if self._save(epoch):
                return True
        return False

    def _save(self, epoch: int) -> bool:
        """Write a checkpoint; whether that worked."""
        try:
            checkpoint_store.write(self._address, lambda file: self._write(file, epoch))
        except OSError as error:
            _log(f"the checkpoint {redacted(self._address)} is not written: {error}")
            return False
        return True

    def _write(self, file: IO[bytes], epoch: int) -> None:
        facts = self._facts()
        arrays = {
            "variables": _arrays(self._whole.variables),
            "optimizer": _arrays(self._whole.optimizer.variables),
            "weights": facts.pop("weights"),
        }
        told = {
            "format": FORMAT,
            "key": self._key,
            "epoch": epoch,
            "facts": facts,
            "counts": {kind: len(items) for kind, items in arrays.items()},
            "callbacks": [_plain_state(other) for other in self._others],
        }
        named = {f"{kind}{number}": item for kind, items in arrays.items() for number, item in enumerate(items)}
        np.savez(file, facts=json.dumps(told), **named)


SETTINGS = ("min_delta",)
"""Attributes that are no state. Keras changes the sign of this one when a callback first sees its metric."""


class CallbackRestorer(Callback):
    """Restores the state of callbacks after their `on_train_begin`. It comes after them."""

    def __init__(self, others: Sequence[Any], states: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self._states = list(zip(others, states, strict=False))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        for other, state in self._states:
            for name, value in state.items():
                if name not in SETTINGS:
                    setattr(other, name, value)


def _log(text: str) -> None:
    """Write a line to the worker's log."""
    print(f"cnnsearch: {text}", file=sys.stderr)


def _shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _arrays(variables: Sequence[Any]) -> list[Any]:
    import keras

    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _plain_state(callback: Any) -> dict[str, Any]:
    """The numbers in a callback's state, such as how long it has waited, and its best value so far."""
    plain = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in vars(callback).items()
        if not name.startswith("_") and isinstance(value, int | float | np.number)
    }
    # JSON has no infinity
    return {name: value for name, value in plain.items() if np.isfinite(value)}
