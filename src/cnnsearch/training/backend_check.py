"""Prints what `cnnsearch doctor` tells about the backend: its devices, and what the precision `auto` is here."""

import json
import sys
from pathlib import Path

from cnnsearch.training import half_precision
from cnnsearch.training.device import auto_precision, devices, import_keras, on_gpu

SIDES = (8, 32)
"""The sides of the images, in pixels, for which the precision is told."""


def main() -> None:
    """Print one line of JSON: pairs of what was checked and what was found. The argument: the folder of all studies."""
    import_keras()
    import keras

    backend = keras.backend.backend()
    precisions = [("precision", told) for told in _precision(Path(sys.argv[1]), backend)]
    print(json.dumps([("keras backend", " ".join([backend, *devices()])), *precisions]))


def _precision(runs: Path, backend: str) -> list[str]:
    """What `--precision auto` is here, and why."""
    if on_gpu():
        return ["auto is mixed_bfloat16, as on every GPU"]
    if backend != "tensorflow":
        return [f"auto is {auto_precision(None)}, as on every CPU with {backend}"]
    return [_measured(side, runs) for side in SIDES]


def _measured(side: int, runs: Path) -> str:
    timings = half_precision.measured(side, runs)
    single, half = (f"{min(timings[kind]) * 1000:.1f}" for kind in ("float32", "bfloat16"))
    return (
        f"auto is {auto_precision(lambda: timings)} for plans and {side}x{side} images: bfloat16 took "
        f"{half_precision.ratio(timings):.2f} of float32's time ({half} and {single} ms); at most "
        f"{half_precision.MARGIN} is needed"
    )


if __name__ == "__main__":
    main()
