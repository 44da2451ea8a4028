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
"""What version 0.1 had here and plugins may still import, by where it is now."""


def __getattr__(name: str) -> Any:
    if name in MOVED:
        return getattr(importlib.import_module(MOVED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
