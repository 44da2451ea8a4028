"""The configuration of a search, as frozen plain data: one class for each part that needs it."""

import hashlib
import os
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from cnnsearch.core.gpus import MEMORY_SHARE
from cnnsearch.core.metric_names import OBJECTIVE, RETURNED
from cnnsearch.spaces.prior import Prior
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study.address import without_driver


@dataclass(frozen=True)
class StudyConfig:
    """What is searched, and where it is stored. Most of it must stay the same, so that trials can be compared.

    Attributes:
        name: the study's name.
        epochs: the number of epochs of a trial at full length.
        metric: the metric that is the score; empty until it is known which metrics the model reports.
        costs: what is minimized besides the metric, such as `params`.
        runs: the folder with all studies.
        storage: the address of Optuna's storage; empty: a SQLite file in `runs`.
        checkpoints: the address to which checkpoints of trials in training are written, perhaps with credentials;
            empty: where the study wrote them before, else in its folder.
        plugins: folders and files with plugins.
        brought: digests of the function and the arrays that were given from Python, by `function` and `data`.
        direction: "maximize" or "minimize" for a metric of the user's own; empty: what the metric's name says.
        more: name and direction of each further value that an Optuna objective returns.
    """

    space: Space
    dataset: Use
    name: str
    epochs: int
    metric: str
    runs: Path
    costs: tuple[str, ...] = ()
    seed: int = 0
    storage: str = ""
    checkpoints: str = field(default="", repr=False)
    plugins: tuple[Path, ...] = ()
    brought: dict[str, Any] = field(default_factory=dict)
    direction: str = ""
    more: tuple[tuple[str, str], ...] = ()

    @property
    def maximize(self) -> bool:
        """Whether a larger metric is better."""
        return maximize(self.metric, self.direction)

    @property
    def folder(self) -> Path:
        """Where this study keeps its files. A study of the same name in another storage has another folder."""
        return study_folder(self.runs, self.name, self.storage)

    def stored(self) -> dict[str, Any]:
        """The values that make trials comparable. They are stored, and must be the same when the study is resumed."""
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
            **({"direction": self.direction} if self.direction else {}),
            **({"values": [list(each) for each in self.more]} if self.more else {}),
        }


@dataclass(frozen=True)
class TrainingConfig:
    """How candidates are trained, and how large they may be. Zero means no limit.

    Attributes:
        compiled: whether plans are trained by compiled epochs (`training.compiled`) and not by Keras' `fit`.
        max_params: the largest number of weights; `max_macs`: of multiply-adds for one image.
        max_latency: milliseconds that a candidate may take for one image.
    """

    compiled: bool = True
    precision: str = "auto"
    max_params: int = 0
    max_macs: int = 0
    max_latency: float = 0


@dataclass(frozen=True)
class TunerConfig:
    """Which trials are trained, in which order, and for how long. Zero means no limit.

    Attributes:
        trials: how many trials the study has at the end, those of earlier runs included.
        callbacks: names of further callbacks.
        timeout: seconds for this run.
        trial_timeout: seconds for one trial.
        cost_aware: whether early candidates with many multiply-adds are skipped (`tuning.runtime_model`).
        keep: how many of the best models stay on disk.
        confirm: how many of the best trials are trained again, and on how many new seeds each.
        default: whether the space's default point is trained first.
        recipes: points to train first, by the name of the recipe; if `only_recipes`, nothing else is trained.
        controlled: points with their seeds, by origin. If there are any, nothing else is trained.
        prior: points to train after the default point and the recipes, and weights for the sampler.
        failures: the search ends when so many trials in a row failed, of whatever kind; 0: the usual rule.
        factor: each rung has this many times the epochs of the rung before it, however few updates an epoch has; 0:
            the usual rungs.
    """

    trials: int
    sampler: str = "tpe"
    pruner: str = "median"
    scheduler: str = "auto"
    callbacks: tuple[str, ...] = ()
    timeout: float = 0
    trial_timeout: float = 0
    cost_aware: bool = False
    keep: int = 5
    confirm: tuple[int, int] = (0, 0)
    default: bool = True
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    only_recipes: bool = False
    controlled: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)
    prior: Prior = field(default_factory=Prior)
    failures: int = 0
    factor: int = 0


@dataclass(frozen=True)
class Resources:
    """The number of workers, and what each may use.

    Attributes:
        jobs: how many workers there are; 0: as many as the cluster has room for.
        threads: threads of each worker; 0: the backend decides.
        memory: bytes that one worker may hold; 0: no limit, or that of the launcher.
        launcher: the name of what starts the workers.
        address: the cluster of the launcher; empty: the one that this machine belongs to.
        cpus: how many cores of a cluster a worker gets.
        gpus: how many GPUs of a cluster a worker gets; None: the launcher decides.
    """

    jobs: int = 1
    threads: int = 0
    memory: int = 0
    launcher: str = "local"
    address: str = ""
    cpus: float = 1.0
    gpus: float | None = None

    def workers(self, trials: int) -> int:
        """The number of workers for so many trials."""
        return max(1, min(self.jobs or trials, trials))


PARTS: dict[str, type] = {
    "study": StudyConfig,
    "training": TrainingConfig,
    "tuner": TunerConfig,
    "resources": Resources,
}


@dataclass(frozen=True)
class SearchConfig:
    """A search, checked and complete."""

    study: StudyConfig
    training: TrainingConfig
    tuner: TunerConfig
    resources: Resources

    @classmethod
    def of(cls, **values: Any) -> "SearchConfig":
        """A configuration from the fields of its four parts.

        Raises:
            TypeError: if a field is missing, or no part has it.
        """
        parts = _by_part(values)
        return cls(**{name: part(**parts[name]) for name, part in PARTS.items()})

    def changed(self, **values: Any) -> "SearchConfig":
        """A copy with other values for these fields of its parts.

        Raises:
            TypeError: if no part has such a field.
        """
        parts = _by_part(values)
        return replace(self, **{name: replace(getattr(self, name), **parts[name]) for name in PARTS})

    def for_worker(self, shared: Path | None = None) -> dict[str, Any]:
        """The configuration of a worker, as plain data; `shared` is the folder in which workers share the data."""
        study, training = self.study, self.training
        return {
            "space": study.space.to_dict(),
            "dataset": list(study.dataset),
            "plugins": [str(folder.resolve()) for folder in study.plugins],
            "seed": study.seed,
            "epochs": study.epochs,
            "metric": study.metric,
            "direction": study.direction,
            "more": [name for name, _ in study.more],
            **asdict(training),
            "runs": str(study.runs.resolve()),
            "folder": str(study.folder.resolve()),
            "shared": str(shared.resolve()) if shared else "",
        }


def _by_part(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The values for each part of a configuration. Every field belongs to one part."""
    names = {part: {each.name for each in fields(kind)} for part, kind in PARTS.items()}
    unknown = values.keys() - set().union(*names.values())
    if unknown:
        raise TypeError(f"no part of a search's configuration has the fields {', '.join(sorted(unknown))}")
    return {part: {name: value for name, value in values.items() if name in own} for part, own in names.items()}


def study_folder(runs: Path, study: str, storage: str) -> Path:
    """The folder of a study in `runs`; `storage` is the address of its database, or empty.

    Its name does not depend on driver, user and password.
    """
    place = without_driver(storage)
    return runs / (f"{study}-{hashlib.sha256(place.encode()).hexdigest()[:8]}" if place else study)


LESS_IS_BETTER = {
    *("bce", "brier", "ce", "cosh", "crossentropy", "divergence", "huber", "kld", "logcosh", "nll", "perplexity"),
    *("false", "hinge", "mae", "mape", "mse", "msle", "poisson", "rmse", "rmsle"),
}
"""Words in the names of metrics that are better when smaller, besides `loss` and `error`."""

WORD_ENDS = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word of a name such as `MeanSquaredError` ends."""


def maximize(metric: str, direction: str = "") -> bool:
    """Whether a larger value of `metric` is better: as `direction` says, or else as its name in Keras says."""
    if direction:
        return direction == "maximize"
    if metric in (RETURNED, OBJECTIVE):
        return False
    plain = WORD_ENDS.sub("_", metric).lower()
    return not (set(plain.split("_")) & LESS_IS_BETTER or any(word in plain for word in ("loss", "error")))


def trial_seed(seed: int, number: int) -> int:
    """The seed of one trial: it depends only on the study's seed and the trial's number."""
    return (seed * 1_000_003 + number * 7919 + 1) % 2**31


GPU_SHARE = "CNNSEARCH_GPU_SHARE"
"""The environment variable with the part of its GPU's memory that a worker may use. JAX has its own variable."""


STORAGE_VARIABLE = re.compile("CNNSEARCH_([A-Z]+_)*STORAGE")
"""The variables with the address of the storage: for all commands, or for one, such as CNNSEARCH_RUN_STORAGE."""

WORKERS = "CNNSEARCH_WORKERS"
"""The environment variable with the number of workers."""


def worker_environment(threads: int, gpu: str | None, beside: int = 1, jobs: int = 1) -> dict[str, str]:
    """The environment variables of one of `jobs` workers: its threads and its share of a GPU.

    `beside` is the number of workers on its GPU. Variables are used so that the parent need not import a backend.
    """
    # a worker never opens the storage, and its address can contain a password
    environment = {name: value for name, value in os.environ.items() if not STORAGE_VARIABLE.fullmatch(name)}
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        environment.pop(name, None)
    environment.update(TF_CPP_MIN_LOG_LEVEL="2", TF_FORCE_GPU_ALLOW_GROWTH="true", PYTHONUNBUFFERED="1")
    # `-m` would put the current folder first on the import path
    environment["PYTHONSAFEPATH"] = "1"
    environment[WORKERS] = str(jobs)
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if threads:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            environment[name] = str(threads)
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
        # number the GPUs as `nvidia-smi` does; CUDA's default is the fastest first
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        share = f"{MEMORY_SHARE / beside:.3f}"
        if beside > 1:
            environment[GPU_SHARE] = share
        # the two are the same setting, and JAX accepts only one of them
        if "XLA_CLIENT_MEM_FRACTION" not in environment:
            environment.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", share)
    else:
        # the same seed gives the same model, and on a CPU it is not slower
        environment.setdefault("TF_DETERMINISTIC_OPS", "1")
    return environment
