"""Checks what works on this machine: versions, backend, GPUs, data, write access."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from cnnsearch.cli import cluster_checks
from cnnsearch.cli.cluster_checks import Check, ClusterOptions
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.gpus import gpus
from cnnsearch.spaces import plugins as catalog
from cnnsearch.study.config import worker_environment
from cnnsearch.study.mlflow_store import tracking_uri
from cnnsearch.study.storage import make_folder, storage_url

PACKAGES = ("optuna", "keras", "tensorflow", "jax", "torch", "keras-tuner", "mlflow", "numpy", "scikit-learn")


def examine(runs: Path, storage: str, plugins: tuple[Path, ...], options: ClusterOptions) -> list[Check]:
    """Check everything that a search needs, with a cluster also its nodes and its servers."""
    found = [
        Check(True, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check(True, "cores", str(os.cpu_count())),
        Check(True, "packages", _versions()),
        *_backend(runs),
        Check(True, "gpus", ", ".join(gpus()) or "none found; candidates train on the CPU"),
        _data(),
        _writable(runs),
    ]
    if options.cluster:
        return [*found, _plugins(plugins), *cluster_checks.examine(options, runs, storage)]
    return [
        *found,
        Check(True, "storage", storage_url(runs) if not storage else "given with --storage"),
        Check(True, "mlflow", tracking_uri().partition("://")[0] + " store"),
        *cluster_checks.checkpoints(options.checkpoints),
        _plugins(plugins),
    ]


def _plugins(plugins: tuple[Path, ...]) -> Check:
    known = catalog.load(plugins)
    broken = [f"{e.kind} {e.name} ({e.origin}): {e.problem}" for e in known.entries if e.problem]
    return Check(not broken, "plugins", "; ".join(broken) or f"{len(known.entries)} plugins and spaces, none broken")


def _versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _backend(runs: Path) -> list[Check]:
    """The backend and the default precision, asked in another process: a backend that crashes must not end this one."""
    result = subprocess.run(
        [sys.executable, "-m", "cnnsearch.training.backend_check", str(runs)],
        capture_output=True,
        text=True,
        env=worker_environment(0, None),
        check=False,
    )
    if result.returncode:
        return [Check(False, "keras backend", " ".join(result.stderr.strip().splitlines()[-1:]))]
    answer = json.loads(result.stdout.strip().splitlines()[-1])
    return [Check(True, name, found) for name, found in answer]


def _data() -> Check:
    folder = os.environ.get("CNNSEARCH_DATA")
    if not folder:
        return Check(
            True,
            "data",
            "CNNSEARCH_DATA is not set; digits are bundled, others come from Keras' cache or its download",
        )
    if not Path(folder).is_dir():
        return Check(False, "data", f"CNNSEARCH_DATA is {folder}, which is not a folder")
    names = ", ".join(sorted(path.stem for path in Path(folder).glob("*.npz")))
    return Check(bool(names), "data", f"{folder}: {names or 'no NAME.npz in it'}")


def _writable(runs: Path) -> Check:
    try:
        make_folder(runs)
    except CnnsearchError as error:
        return Check(False, "runs", error.message)
    return Check(True, "runs", f"{runs.resolve()} can be written")
