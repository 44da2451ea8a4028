"""Images and labels: read, checked, split, and shared between workers."""

import importlib
from typing import Any

MOVED = {
    "Dataset": "cnnsearch.data.dataset",
    "Images": "cnnsearch.data.dataset",
    "Labels": "cnnsearch.data.dataset",
    "Split": "cnnsearch.data.splits",
    "split": "cnnsearch.data.splits",
}
"""The names that version 0.1 had in this module, with the modules that have them now. Plugins may still import them."""


def __getattr__(name: str) -> Any:
    if name in MOVED:
        return getattr(importlib.import_module(MOVED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
