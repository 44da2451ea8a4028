"""This machine's GPUs, found without a backend, and how many workers share one."""

import os
import subprocess

BESIDE = 4
"""Workers on one GPU, at most: while one has its candidate compiled, another trains."""

EACH = 4000
"""MiB of a GPU's memory for each of them, at least, and of the machine's; cards tell a little less than 4 GiB."""

TAKEN = 0.92
"""The part of a GPU's memory that its workers may share; backends and drivers have theirs outside it."""


def gpus() -> list[str]:
    """The identifiers of the NVIDIA GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for each in visible.split(",") if (name := each.strip()) not in ("", "-1")]
    told = _asked("-L")
    return [str(number) for number, line in enumerate(told.splitlines()) if line.startswith("GPU")]


def memory(gpu: str) -> int:
    """MiB of memory that the GPU has, 0 if it does not tell."""
    told = _asked("-i", gpu, "--query-gpu=memory.total", "--format=csv,noheader,nounits").strip()
    return int(told) if told.isdigit() else 0


def workers(found: list[str], cores: int, ram: int) -> int:
    """How many workers train on the GPUs `found`, BESIDE on each if there is room for them, but one at least.

    Each wants EACH of a GPU's memory and of the machine's `ram` bytes, and two cores.
    """
    if not found:
        return 0
    on_each = min(memory(gpu) for gpu in found) // EACH
    on_all = min(cores // 2, ram // (EACH * 2**20)) // len(found)
    return len(found) * max(1, min(BESIDE, on_each, on_all))


def _asked(*words: str) -> str:
    """What `nvidia-smi` answers, nothing where there is none."""
    try:
        return subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
