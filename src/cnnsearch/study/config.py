"""What one command asks of a search, as frozen plain data."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnsearch.core.gpus import MEMORY_SHARE
from cnnsearch.core.metric_names import RETURNED
from cnnsearch.spaces.space import Space, Use


@dataclass(frozen=True)
class Settings:
    """A search, checked and complete. Zero means no limit for `timeout`, `trial_timeout`, `memory` and `max_…`.

    Attributes:
        trials: how many trials the study shall have in all, over restarts and workers.
        metric: what the best is told by; empty while that is to be found out from a model (`opening`).
        timeout: seconds for this call; `trial_timeout`: seconds for one trial.
        memory: bytes that one worker may hold.
        max_latency: milliseconds that a candidate may take for one image.
        costs: what is made small while the metric is made good, such as `params`.
        lean: whether candidates of plans are trained by whole epochs (`cnnsearch.lean`), not by Keras' `fit`.
        cost_aware: whether early draws of many multiply-adds are passed over (`cnnsearch.pace`).
        keep: how many of the best models stay on disk.
        confirm: how many of the best are trained again, and on how many fresh seeds each.
        default: whether the space's default point is trained before anything is drawn.
        recipes: points to train, by recipe; before all else, or nothing else if `only_recipes`.
        controlled: points to train and nothing else, each with its seed, by origin.
        brought: digests of the function and the arrays that were given from Python, by `function` and `data`.
    """

    space: Space
    dataset: Use
    study: str
    trials: int
    epochs: int
    metric: str
    runs: Path
    storage: str = ""
    sampler: str = "tpe"
    pruner: str = "median"
    scheduler: str = "auto"
    seed: int = 0
    jobs: int = 1
    threads: int = 0
    precision: str = "auto"
    lean: bool = True
    timeout: float = 0
    trial_timeout: float = 0
    max_params: int = 0
    max_macs: int = 0
    max_latency: float = 0
    costs: tuple[str, ...] = ()
    memory: int = 0
    cost_aware: bool = False
    keep: int = 5
    confirm: tuple[int, int] = (0, 0)
    plugins: tuple[Path, ...] = ()
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    only_recipes: bool = False
    default: bool = True
    controlled: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)
    brought: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where this study keeps its files; one of the same name in another storage has a folder of its own."""
        return study_folder(self.runs, self.study, self.storage)

    def for_worker(self, shared: Path | None = None) -> dict[str, Any]:
        """What a worker needs to know, as plain data; `shared` is where it finds or leaves the data for all."""
        return {
            "space": self.space.to_dict(),
            "dataset": list(self.dataset),
            "plugins": [str(folder.resolve()) for folder in self.plugins],
            "seed": self.seed,
            "epochs": self.epochs,
            "metric": self.metric,
            "precision": self.precision,
            "lean": self.lean,
            "max_params": self.max_params,
            "max_macs": self.max_macs,
            "max_latency": self.max_latency,
            "runs": str(self.runs.resolve()),
            "folder": str(self.folder.resolve()),
            "shared": str(shared.resolve()) if shared else "",
        }

    def for_study(self) -> dict[str, Any]:
        """What makes results comparable, and so must stay the same when a study goes on."""
        return {
            "space": self.space.to_dict(),
            "dataset": list(self.dataset),
            "epochs": self.epochs,
            "metric": self.metric,
            "costs": list(self.costs),
            "seed": self.seed,
            "validation": self.space.defaults["validation"],
            "batch_size": self.space.defaults["batch_size"],
            **({"brought": self.brought} if self.brought else {}),
        }


def study_folder(runs: Path, study: str, storage: str) -> Path:
    """The folder of a study in the folder of all; `storage` is the address of its database, or empty."""
    return runs / (f"{study}-{hashlib.sha256(storage.encode()).hexdigest()[:8]}" if storage else study)


LESS_IS_BETTER = {"crossentropy", "divergence", "false", "hinge", "mae", "mape", "mse", "msle", "poisson"}
"""Words in the names of metrics that fall while a model learns, besides `loss` and `error`."""


def maximize(metric: str) -> bool:
    """Whether more of `metric`, named as Keras names it, is better."""
    if metric == RETURNED:
        return False
    return not (set(metric.split("_")) & LESS_IS_BETTER or any(word in metric for word in ("loss", "error")))


def trial_seed(seed: int, number: int) -> int:
    """The seed of one trial: the study's seed and the trial's number alone decide it."""
    return (seed * 1_000_003 + number * 7919 + 1) % 2**31


GPU_SHARE = "CNNSEARCH_GPU_SHARE"
"""The variable that tells a worker which part of its GPU's memory it may take; JAX has one of its own for that."""


WORKERS = "CNNSEARCH_WORKERS"
"""The variable that tells a worker how many there are."""


def worker_environment(threads: int, gpu: str | None, beside: int = 1, jobs: int = 1) -> dict[str, str]:
    """The environment of one of `jobs` workers: its share of the cores and of its GPU, on which so many train `beside`
    each other.

    What can be told by variables is, so that nothing here needs to import a backend.
    """
    environment = dict(os.environ)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        environment.pop(name, None)
    environment.update(TF_CPP_MIN_LOG_LEVEL="2", TF_FORCE_GPU_ALLOW_GROWTH="true", PYTHONUNBUFFERED="1")
    # a worker is begun with `-m`, which would put the current folder, and so its code, before all else
    environment["PYTHONSAFEPATH"] = "1"
    environment[WORKERS] = str(jobs)
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if threads:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            environment[name] = str(threads)
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
        # as `nvidia-smi` counts them; CUDA would begin with the fastest
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        share = f"{MEMORY_SHARE / beside:.3f}"
        if beside > 1:
            environment[GPU_SHARE] = share
        # the two are one setting, and JAX takes no more than one of them
        if "XLA_CLIENT_MEM_FRACTION" not in environment:
            environment.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", share)
    else:
        # costs nothing on a CPU, and the same seed gives the same model
        environment.setdefault("TF_DETERMINISTIC_OPS", "1")
    return environment
