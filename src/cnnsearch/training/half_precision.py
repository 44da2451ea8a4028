"""Whether half precision is faster on this CPU: measured once for each machine and size of images, and remembered."""

import contextlib
import hashlib
import importlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from cnnsearch.core.host import cores
from cnnsearch.core.whole_file import replaced

FOLDER = ".precision"
"""The folder with the remembered timings, in the folder with all studies."""

MARGIN = 0.8
"""Half precision is used if it takes at most this part of float32's time. Other operations gain less or nothing."""

METHOD = 2
"""The number of the way in which is measured. Timings of an earlier one are not used."""

SIDES = (8, 16, 32)
"""Sides in pixels. An image counts as the smallest of them that it fits into, or as the largest."""

Timings = Mapping[str, Sequence[float]]
"""Seconds of each repetition, by precision: `float32` and `bfloat16`."""


def ratio(timings: Timings) -> float:
    """The time in bfloat16 divided by that in float32, from the fastest repetitions.

    Other processes only make a repetition slower, so the fastest ones are compared.
    """
    return min(timings["bfloat16"]) / min(timings["float32"])


def is_faster(timings: Timings) -> bool:
    """Whether half precision pays."""
    return ratio(timings) <= MARGIN


def side_of(height: int, width: int) -> int:
    """The one of SIDES that stands for images of this size."""
    return next((side for side in SIDES if side >= max(height, width)), SIDES[-1])


def measured(side: int, runs: Path) -> Timings:
    """The timings on this machine for one of SIDES: those remembered in `runs`, else new ones.

    Only one process of the machine measures at a time, so that workers that start together do not slow each other.
    """
    about = machine(side)
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = runs / FOLDER / f"{name}.json"
    with contextlib.ExitStack() as stack:
        # where nothing can be written, each worker measures
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(filelock.FileLock(f"{path}.lock"))
        known = _remembered(path)
        if known is None:
            known = importlib.import_module("cnnsearch.training.compiled.convolutions").timings(side)
            _remember(path, {"machine": about, "seconds": known})
    return known


def machine(side: int) -> dict[str, Any]:
    """What the timings depend on. The backend must be imported."""
    import keras

    backend = keras.backend.backend()
    model, flags = processor()
    return {
        "method": METHOD,
        "processor": model,
        "flags": flags,
        "backend": f"{backend} {getattr(sys.modules.get(backend), '__version__', '')}",
        "threads": int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores(),
        "side": side,
    }


def processor() -> tuple[str, str]:
    """The name of the CPU, and its features as Linux names them; they are empty if they are not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor(), ""
    known = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    return known.get("model name", platform.processor()), " ".join(sorted(known.get("flags", "").split()))


def _remembered(path: Path) -> Timings | None:
    """The timings in a file; None if there are none in it."""
    try:
        seconds = json.loads(path.read_text("utf-8"))["seconds"]
        known = {kind: [float(each) for each in seconds[kind]] for kind in ("float32", "bfloat16")}
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return known if all(each and min(each) > 0 for each in known.values()) else None


def _remember(path: Path, found: dict[str, Any]) -> None:
    with contextlib.suppress(OSError), replaced(path) as partial:
        partial.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
