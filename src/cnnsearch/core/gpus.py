"""Finds the GPUs of this machine without a backend, and says how many workers share one."""

import os
import subprocess

MOST_PER_GPU = 4
"""The most workers on one GPU: while one compiles its candidate, another one trains."""

WORKER_MIB = 4000
"""MiB of GPU memory and of main memory that each worker needs. Cards with 4 GiB report a little less."""

MEMORY_SHARE = 0.92
"""The share of a GPU's memory that its workers may use. Backends and drivers need the rest."""


def gpus() -> list[str]:
    """The identifiers of the NVIDIA GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for each in visible.split(",") if (name := each.strip()) not in ("", "-1")]
    # parts of a GPU (MIG) are on lines of their own
    listed = [line for line in _nvidia_smi("-L").splitlines() if line.startswith("GPU")]
    return [str(number) for number in range(len(listed))]


def memory(gpu: str) -> int:
    """The memory of the GPU in MiB, 0 if it is unknown."""
    answer = _nvidia_smi("-i", gpu, "--query-gpu=memory.total", "--format=csv,noheader,nounits").strip()
    return int(answer) if answer.isdigit() else 0


def workers(found: list[str], cores: int, ram: int) -> int:
    """How many workers train on the GPUs `found`: one to MOST_PER_GPU on each.

    Each worker needs WORKER_MIB of GPU memory, WORKER_MIB of the `ram` bytes, and two cores.
    """
    if not found:
        return 0
    on_each = min(memory(gpu) for gpu in found) // WORKER_MIB
    on_all = min(cores // 2, ram // (WORKER_MIB * 2**20)) // len(found)
    return len(found) * max(1, min(MOST_PER_GPU, on_each, on_all))


def _nvidia_smi(*words: str) -> str:
    """The output of `nvidia-smi`, empty if there is none."""
    try:
        return subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
