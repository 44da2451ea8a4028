"""The worker process: it builds and trains candidates. It never imports Optuna."""

import importlib
from typing import Any

MOVED = {
    "fit": "cnnsearch.training.fitting",
}
"""What version 0.1 had here and plugins may still import, by where it is now."""


def __getattr__(name: str) -> Any:
    if name in MOVED:
        return getattr(importlib.import_module(MOVED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
