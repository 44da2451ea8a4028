"""The number of workers and what each gets, from the options of a command."""

from typing import Any

from cnnsearch.cli.quantities import size
from cnnsearch.core import gpus as graphics
from cnnsearch.core import host
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.tuning.registry import cluster_launcher


def resources(
    launcher: str, address: str, jobs: int | None, cpus: float | None, gpus: float | None, memory: str
) -> dict[str, Any]:
    """The fields of `Resources`. An `address` without a launcher means a cluster.

    Raises:
        CnnsearchError: if a value is wrong, or there is no GPU.
    """
    if cluster := cluster_launcher(launcher, address):
        each = cpus or 1.0
        own = {"jobs": jobs or 0, "threads": max(1, int(each)), "cpus": each, "gpus": gpus}
        return {**own, "launcher": cluster, "address": address, "memory": _worker_memory(memory) if memory else 0}
    fit = _that_fit(cpus, gpus)
    if gpus and jobs and jobs > (most := _on_gpus(gpus)):
        raise CnnsearchError(f"--jobs {jobs}: with --gpus-per-trial {gpus:g}, {most} fit on the GPUs of this machine.")
    workers, threads = host.workers_and_threads(jobs or fit)
    return {
        "jobs": workers,
        "threads": max(1, int(cpus)) if cpus else threads,
        "launcher": launcher,
        "memory": _worker_memory(memory) if memory else host.memory_allowed(workers),
    }


def _that_fit(cpus: float | None, gpus: float | None) -> int | None:
    """How many workers with so many cores and GPUs fit on this machine; None if neither is given.

    Raises:
        CnnsearchError: if there is no GPU.
    """
    fit = [int(host.cores() / cpus)] if cpus else []
    if gpus == 0 and graphics.gpus():
        raise CnnsearchError(
            "--gpus-per-trial 0 is for a cluster. To train without the GPUs of this machine, hide them: "
            "CUDA_VISIBLE_DEVICES= cnnsearch run …"
        )
    if gpus:
        if not graphics.gpus():
            raise CnnsearchError(f"--gpus-per-trial {gpus:g}: this machine has no GPU that `nvidia-smi` lists.")
        fit.append(_on_gpus(gpus))
    return max(1, min(fit)) if fit else None


def _on_gpus(gpus: float) -> int:
    """How many workers with so many GPUs each fit on those of this machine."""
    return int(len(graphics.gpus()) / gpus + 1e-6)


def _worker_memory(text: str) -> int:
    """`--memory` in bytes; 0 for no limit.

    Raises:
        CnnsearchError: if a worker could not start with it.
    """
    found = size(text)
    if 0 < found < host.LEAST_WORKER_MEMORY:
        raise CnnsearchError(
            f"--memory {text}: this is too little for a worker. A worker needs 0.4 to 0.9 GiB before it trains. "
            f"Expected {host.LEAST_WORKER_MEMORY >> 20}m or more, or 0 for no limit."
        )
    return found
