"""The real tool, run as a user runs it: in a process and a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from mlflow import MlflowClient

collect_ignore = ["packages"]
"""Packages with tests of their own, run where they are installed."""

# the same examples in every run of the tests, but that of `make long`
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

LONGEST = (
    *(
        "guides",
        "backend_jax",
        "predict",
        "run",
        "formats",
        "places",
        "export",
        "notebooks",
        "kills",
        "stop",
        "hostile",
    ),
    *("packaging", "array_runs", "classifiers"),
)
"""Files that take longest. They begin first, so that the workers end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST)))


Run = Callable[..., subprocess.CompletedProcess[str]]
TINY = ("--epochs", "2", "--set", "dataset.limit=300", "--set", "filters.first=[8,4]")


def cnnsearch(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`cnnsearch ARGUMENTS` in `folder`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    return subprocess.run(
        [sys.executable, "-m", "cnnsearch", *arguments],
        cwd=folder,
        env={**clean, "CNNSEARCH_RUN_CONFIRM": "0", "CNNSEARCH_RUN_JOBS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow store for all tests that do not look into it: a new one takes seconds to make."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    MlflowClient(uri).search_experiments(max_results=1)
    return uri


@pytest.fixture(scope="session")
def blank_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store to copy, for tests that count what is in theirs."""
    path = tmp_path_factory.mktemp("blank") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture
def run(tmp_path: Path, store: str) -> Run:
    """`run("studies")` runs the tool in an empty folder."""

    def in_folder(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return cnnsearch(tmp_path, *arguments, **{"MLFLOW_TRACKING_URI": store, **environment})

    return in_folder


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a study of 5 trials on digits was finished with two workers."""
    folder = tmp_path_factory.mktemp("searched")
    done = cnnsearch(folder, "run", "--space", "digits_cnn", "--trials", "5", "--jobs", "2", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder
