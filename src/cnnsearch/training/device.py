"""The devices of the backend, its precision, and its share of a GPU."""

import contextlib
import gc
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cnnsearch.core import gpus
from cnnsearch.core.host import backend_to_come, cores
from cnnsearch.study.config import GPU_SHARE
from cnnsearch.training import half_precision
from cnnsearch.training.half_precision import Timings

UNUSED = ("matplotlib", "sklearn")
"""What Keras imports if it is installed: for plots of images, and for scikit-learn's estimators."""

BY_SHAPE = ("jax",)
"""Backends that compile a candidate again for each number of images: low-fidelity evaluations save no time there."""


def import_keras() -> None:
    """Import Keras without what no training uses."""
    with without_unused():
        importlib.import_module("keras")


@contextlib.contextmanager
def without_unused() -> Iterator[None]:
    """Inside, Keras is imported without what no training uses, which takes a third of a worker's start.

    TensorFlow imports JAX if it is installed. All of it can still be imported later; only `keras.visualization` and
    `keras.wrappers` cannot be used in this process.
    """
    left_out = [*UNUSED, "jax"] if backend_to_come() == "tensorflow" else UNUSED
    hidden = [name for name in left_out if name not in sys.modules]
    # None makes Python raise the error of a package that is not installed
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    # the import makes many objects and no garbage; searching for garbage would take a tenth of its time
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        for name in hidden:
            sys.modules.pop(name, None)


def limit_gpu_memory() -> None:
    """Limit TensorFlow or PyTorch to this worker's share of its GPU's memory. JAX reads a variable instead."""
    import keras

    share, backend = float(os.environ.get(GPU_SHARE, 0)), keras.backend.backend()
    mib = int(share * gpus.memory(os.environ["CUDA_VISIBLE_DEVICES"])) if share else 0
    if mib and backend == "tensorflow":
        importlib.import_module("cnnsearch.training.compiled.tensorflow").limit_gpu_memory(mib)
    elif mib and backend == "torch":
        cuda = importlib.import_module("torch").cuda
        if cuda.is_available():
            cuda.set_per_process_memory_fraction(share)


def repeats_order() -> bool:
    """Whether Keras' `fit` gives every epoch of arrays the same order if a seed is set: its shuffling begins anew."""
    import keras

    return bool(keras.backend.backend() == "tensorflow")


def keep_compiled(runs: Path) -> None:
    """Let JAX save what it compiles for a GPU in the folder `runs`, for all workers and studies. Nothing for a CPU."""
    import keras

    if keras.backend.backend() == "jax" and on_gpu():
        importlib.import_module("cnnsearch.training.compiled.jax").keep_compiled(runs / ".compiled" / platform.node())


def on_gpu() -> bool:
    """Whether the backend sees a GPU."""
    return any("gpu" in device.lower() for device in devices())


def auto_precision(timings: Callable[[], Timings] | None) -> str:
    """What the precision `auto` is: mixed_bfloat16 on a GPU, or with TensorFlow where the `timings` show that it pays.

    Without `timings` it is float32 on a CPU: an author's models stay in it, as some of TensorFlow's gradients in
    bfloat16 are wrong there. Plans avoid these cases (`build`). With JAX on a CPU half precision was not tried.
    """
    import keras

    measurable = timings is not None and keras.backend.backend() == "tensorflow"
    faster = on_gpu() or (measurable and timings is not None and half_precision.is_faster(timings()))
    return "mixed_bfloat16" if faster else "float32"


def devices() -> list[str]:
    """The backend's devices, such as `cpu:0`."""
    import keras

    return [str(device) for device in keras.distribution.list_devices()]


def described() -> str:
    """The class of this machine, such as `Linux x86_64, 2 of 8 cores`, with its GPUs if the backend sees some."""
    others = ", ".join(device for device in devices() if "cpu" not in device.lower())
    here = f"{platform.system()} {platform.machine()}, {cores()} of {os.cpu_count()} cores"
    return f"{here}, {others}" if others else here
