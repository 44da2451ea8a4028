"""The worker process: it builds and trains candidates. It never imports Optuna."""

import importlib
from typing import Any

MOVED = {
    "fit": "cnnsearch.training.fitting",
}
"""The names that version 0.1 had in this module, with the modules that have them now. Plugins may still import them."""


def __getattr__(name: str) -> Any:
    if name in MOVED:
        return getattr(importlib.import_module(MOVED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
