"""Keras in a worker: it is imported and set up at the start if the space needs it, else when something imports it."""

import contextlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnsearch.training import half_precision, lazy_keras
from cnnsearch.training.device import (
    auto_precision,
    devices,
    import_keras,
    keep_compiled,
    limit_gpu_memory,
    without_unused,
)


class KerasSession:
    """Imports, seeds and clears Keras. A worker whose candidates need no Keras does not load it: 5 s and 400 MB."""

    def __init__(self, precision: str, plans: bool, runs: Path) -> None:
        """`plans`: whether the space's candidates are plans; `runs` is the folder with all studies."""
        self._precision, self._plans, self._runs = precision, plans, runs
        self._seed: int | None = None
        self._is_set_up = False
        if not lazy_keras.is_loaded():
            lazy_keras.FirstImport(self._importing)

    def start(self, height: int, width: int) -> None:
        """Import Keras and set it up, for images of this size."""
        import_keras()
        self._set_up()
        if self._precision == "auto":
            side = half_precision.side_of(height, width)
            self.use_precision(auto_precision(lambda: half_precision.measured(side, self._runs)))

    def use_precision(self, name: str) -> None:
        """Use this precision from now on, also if Keras is imported later. An empty `name` changes nothing."""
        if name and name != self._precision:
            self._precision = name
            self._set_precision()

    def seed(self, seed: int) -> None:
        """Set the random seed of Python, NumPy, and the backends that are loaded."""
        self._seed = seed
        if lazy_keras.is_loaded():
            sys.modules["keras"].utils.set_random_seed(seed)
            return
        random.seed(seed)
        np.random.seed(seed)
        if (torch := sys.modules.get("torch")) is not None:
            torch.manual_seed(seed)

    def clear(self) -> None:
        """Free what Keras keeps about the models of a trial."""
        if lazy_keras.is_loaded():
            sys.modules["keras"].backend.clear_session(free_memory=False)
            # Keras forgets its policy with the session
            self._set_precision()

    def facts(self) -> dict[str, Any]:
        """The backend, its devices, the precision, and Keras' version, as in `messages.Ready`."""
        if not lazy_keras.is_loaded():
            return {"backend": "", "keras": "", "precision": "", "devices": []}
        keras = sys.modules["keras"]
        return {
            "backend": keras.backend.backend(),
            "keras": keras.__version__,
            "precision": keras.config.dtype_policy().name,
            "devices": devices(),
        }

    @contextlib.contextmanager
    def _importing(self) -> Iterator[None]:
        """Inside, Keras is imported. The trial's random numbers are those that it has if Keras was loaded before."""
        states = random.getstate(), np.random.get_state()
        with without_unused():
            yield
        self._set_up()
        if self._seed is not None:
            self.seed(self._seed)
        random.setstate(states[0])
        np.random.set_state(states[1])

    def _set_up(self) -> None:
        if self._is_set_up:
            return
        self._is_set_up = True
        # the first import may have been that of TensorFlow
        import_keras()
        limit_gpu_memory()
        if self._precision == "auto" and not self._plans:
            self._precision = auto_precision(None)
        self._set_precision()
        keep_compiled(self._runs)
        # for functions that train for themselves; the process is a worker
        from cnnsearch.training.batches import shuffle_each_epoch

        shuffle_each_epoch()

    def _set_precision(self) -> None:
        # with plans, `auto` is decided when the size of the images is known
        if self._is_set_up and self._precision != "auto":
            sys.modules["keras"].config.set_dtype_policy(self._precision)
