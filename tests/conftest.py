"""The tool as a user runs it, in a folder of its own; finished studies that all tests share."""

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock
from hypothesis import settings
from mlflow import MlflowClient

from cnnsearch.cli.main import main
from cnnsearch.core.host import cores
from cnnsearch.tuning.launchers.fork_server import fork_servers
from tests import servers

collect_ignore = ["packages"]
"""Packages with tests of their own, run where they are installed."""

# readline, which pytest imports, sets them for the processes that pytest-xdist starts
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)

# the same examples in every run of the tests, but that of `make long`
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

LONGEST = (
    *(
        "tutorials",
        "contracts",
        "backbones",
        "run",
        "backend_jax",
        "postgres",
        "packaging",
        "places",
        "rungs",
        "recipes",
    ),
    *("examples", "predict", "ensemble_refit", "kills", "stop", "tuners", "moved", "hostile", "majority", "formats"),
    *("checkpoints_by_address", "compiled", "classifiers", "ray", "from_python", "failures", "compare", "clock"),
)
"""Files that take longest. They begin first, so that the workers end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST)))


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: a test also waits for its processes, for servers and for the disk."""
    return cores() + 1


WITHOUT_UNUSED = "import sys\nsys.modules.update(dict.fromkeys(('jax', 'matplotlib', 'sklearn')))\n"
"""Code that hides what Keras and TensorFlow import if it is installed: half of the time of their import."""

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
TINY = ("--epochs", "2", "--set", "dataset.limit=300", "--set", "filters.first=[8,4]")
DETERMINISM = "tensorflow.python.util._pywrap_determinism"
AT_ITS_START = ("PYTHONPATH", "KERAS_BACKEND", "JAX_PLATFORMS")
"""Variables that a process reads when it starts, or when it imports Keras."""


def surroundings(**environment: str) -> dict[str, str]:
    """This process' environment without the settings of whoever runs the tests, and with those given."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    # `auto` would be measured in each new folder, and on a busy machine it differs from run to run
    own = {"CNNSEARCH_RUN_CONFIRM": "0", "CNNSEARCH_RUN_JOBS": "1", "CNNSEARCH_RUN_PRECISION": "float32"}
    return {**clean, **own, **environment}


def cnnsearch(folder: Path, *arguments: str, **environment: str) -> Done:
    """`cnnsearch ARGUMENTS` in `folder`, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cnnsearch", *arguments],
        cwd=folder,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


def python(folder: Path, code: str, without: tuple[str, ...] = (), **environment: str) -> Done:
    """Python `code` in `folder`, in a process of its own that cannot import the packages `without`."""
    hidden = f"sys.modules.update(dict.fromkeys({without}))\n"
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_UNUSED + hidden + code],
        cwd=folder,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


def invoke(folder: Path, *arguments: str, **environment: str) -> Done:
    """`cnnsearch ARGUMENTS` in `folder`, in this process, where MLflow and Keras are already imported.

    The workers of a search are processes of their own. Most are forked from one fork server, which this process keeps.
    What the command changes in this process is restored.
    """
    if not environment.keys().isdisjoint(AT_ITS_START):
        return cnnsearch(folder, *arguments, **environment)
    with working_in(folder, **environment), warnings.catch_warnings():
        warnings.simplefilter("default")
        # as `python -m cnnsearch` has it
        sys.argv = ["cnnsearch", *arguments]
        done = CliRunner().invoke(main, arguments, prog_name="cnnsearch", catch_exceptions=False)
    return subprocess.CompletedProcess(sys.argv, done.exit_code, done.stdout, done.stderr)


@contextlib.contextmanager
def working_in(folder: Path, **environment: str) -> Iterator[None]:
    """Work in `folder` and import from it, with these `surroundings`; all is restored."""
    given = surroundings(**environment)
    with restored(folder):
        os.environ.clear()
        os.environ.update(given)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        yield


@contextlib.contextmanager
def restored(folder: Path) -> Iterator[None]:
    """Restore this process' environment, folder and paths, and forget the modules that were imported from `folder`."""
    here, known, paths, line = Path.cwd(), dict(os.environ), list(sys.path), sys.argv
    keras = sys.modules.get("keras")
    policy = keras.config.dtype_policy() if keras else None
    determinism = sys.modules.get(DETERMINISM)
    deterministic = determinism.is_enabled() if determinism else False
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(known)
        sys.path[:], sys.argv = paths, line
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(f"{folder}{os.sep}"):
                del sys.modules[name]
        if keras:
            keras.config.set_dtype_policy(policy)
        # a command sets TF_DETERMINISTIC_OPS, which TensorFlow reads once: then `fit` without a seed would be an error
        if determinism := sys.modules.get(DETERMINISM):
            determinism.enable(deterministic)


@pytest.fixture(scope="session", autouse=True)
def workers_forked() -> None:
    """Fork the first worker of this process, too, and import MLflow before: many more follow."""
    fork_servers.started, fork_servers.uses_keras, fork_servers.logs_models = 1, True, True


@pytest.fixture(scope="session")
def blank_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store to copy: a new one takes seconds to make. All workers of pytest-xdist have the same."""
    # here, where its warnings are ignored, and not in the first command
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "blank-mlflow.db"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            made = tmp_path_factory.mktemp("blank") / "mlflow.db"
            MlflowClient(f"sqlite:///{made}").search_experiments(max_results=1)
            made.rename(path)
    return path


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, blank_mlflow: Path) -> str:
    """One MLflow store for all tests of this process that do not look into it."""
    return f"sqlite:///{shutil.copy(blank_mlflow, tmp_path_factory.mktemp('mlflow') / 'mlflow.db')}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    """One PostgreSQL server for all tests; each makes databases of its own. Skipped where no server is installed."""
    with contextlib.closing(servers.Postgres()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 protocol server for all tests; each makes buckets of its own."""
    with servers.s3(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def run(tmp_path: Path, store: str) -> Run:
    """`run("studies")` runs the tool in an empty folder, see `invoke`."""

    def in_folder(*arguments: str, **environment: str) -> Done:
        return invoke(tmp_path, *arguments, **{"MLFLOW_TRACKING_URI": store, **environment})

    return in_folder


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, blank_mlflow: Path) -> Path:
    """A folder in which a study of 5 trials on digits was finished with two workers."""
    folder = tmp_path_factory.mktemp("searched")
    shutil.copy(blank_mlflow, folder / "mlflow.db")
    done = invoke(folder, "run", "--space", "digits_cnn", "--trials", "5", "--jobs", "2", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder
