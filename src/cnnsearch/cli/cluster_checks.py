"""Checks of a cluster and of the servers that a search uses: storage, MLflow and checkpoints."""

import contextlib
import importlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core import checkpoint_address, checkpoint_store
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.study import address as addresses
from cnnsearch.study import mlflow_store, server_errors
from cnnsearch.study.schema import sqlite_file
from cnnsearch.study.storage import LIBPQ, storage_errors, storage_url
from cnnsearch.tuning.registry import CLUSTERS, cluster_launcher

NODES = {"ray": "cnnsearch.tuning.launchers.ray_nodes"}
"""The modules that ask the nodes of a cluster, by launcher. They import its package."""


class Check(NamedTuple):
    """The result of one check.

    Attributes:
        good: whether it passed.
        name: what was checked.
        found: the details, as text.
    """

    good: bool
    name: str
    found: str


class ClusterOptions(NamedTuple):
    """The options of `cnnsearch doctor` that name a cluster, and what a trial gets on it."""

    launcher: str = "local"
    address: str = ""
    cpus: float | None = None
    gpus: float | None = None
    checkpoints: str = ""

    @property
    def cluster(self) -> str:
        """The launcher of a cluster; empty for one that starts workers on this machine."""
        return cluster_launcher(self.launcher, self.address)


def examine(options: ClusterOptions, runs: Path, storage: str) -> list[Check]:
    """Check a cluster, and what a search on it uses. Nothing is created."""
    return [_storage(runs, storage), _mlflow(), *_nodes_and_checkpoints(options)]


def checkpoints(address: str) -> list[Check]:
    """Check the folder of checkpoints from this machine. No address, no check."""
    with _marked(address) as (folder, _, problem):
        return [_checkpoints(folder, problem, "on this machine")] if folder or problem else []


# -- servers ---------------------------------------------------------------------------------------


def _storage(runs: Path, storage: str) -> Check:
    """Whether the storage can be opened. Optuna would create its tables, so it does not open it here."""
    url = storage_url(runs, storage)
    file, shown = sqlite_file(url), addresses.redacted(url).partition("?")[0]
    if file and not Path(file).exists():
        return Check(True, "storage", f"{shown} does not exist yet; the first search creates it")
    if not file and addresses.server(url) is None:
        return Check(True, "storage", f"{shown} was not opened: this kind of storage is not known here")
    try:
        with storage_errors(storage, runs):
            return Check(True, "storage", f"{shown} can be opened; {_studies(url)}")
    except CnnsearchError as error:
        return Check(False, "storage", error.message)
    except ImportError:
        return Check(False, "storage", server_errors.driver_problem(storage))


def _studies(url: str) -> str:
    """How many studies a database has."""
    import sqlalchemy

    options = LIBPQ if "+psycopg" in sqlalchemy.make_url(url).drivername else {}
    engine = sqlalchemy.create_engine(url, connect_args=options)
    try:
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("studies"):
                return "it has no studies yet"
            count = connection.execute(sqlalchemy.text("select count(*) from studies")).scalar_one()
            return f"it has {_counted(int(count), 'study', 'studies')}"
    finally:
        engine.dispose()


def _mlflow() -> Check:
    uri = mlflow_store.tracking_uri()
    shown = addresses.redacted(uri)
    if not mlflow_store.is_server(uri):
        return Check(True, "mlflow", f"{shown}, no server; only this machine writes to it")
    reason = mlflow_store.unreachable(uri)
    return Check(not reason, "mlflow", f"{shown} cannot be used: {reason}" if reason else f"{shown} answers")


@contextlib.contextmanager
def _marked(given: str) -> Iterator[tuple[str, str, str]]:
    """The folder of checkpoints, a file in it that exists inside the `with` block, and why there is none."""
    folder = marker = problem = ""
    try:
        if given:
            folder = checkpoint_address.checked(given)
            checkpoint_store.probe(folder)
            marker = checkpoint_address.joined(folder, f".probe-{uuid.uuid4().hex}")
            checkpoint_store.write(marker, lambda file: None)
    # ValueError: a path with characters that no file name can have
    except (CnnsearchError, OSError, ValueError) as error:
        problem = error.message if isinstance(error, CnnsearchError) else str(error)
    try:
        yield folder, marker, problem
    finally:
        if marker:
            with contextlib.suppress(OSError):
                checkpoint_store.delete(marker)


def _checkpoints(folder: str, problem: str, where: str) -> Check:
    shown = checkpoint_address.redacted(folder)
    return Check(not problem, "checkpoints", problem or f"{shown} can be written, read and deleted {where}")


# -- nodes -----------------------------------------------------------------------------------------


def _nodes_and_checkpoints(options: ClusterOptions) -> list[Check]:
    with _marked(options.checkpoints) as (folder, marker, problem):
        here = [_checkpoints(folder, problem, "on this machine")] if folder or problem else []
        asked = (options.address, options.cpus or 1.0, options.gpus, *((folder, marker) if marker else ("", "")))
        try:
            cluster = importlib.import_module(NODES[options.cluster]).examine(*asked)
        except ModuleNotFoundError as error:
            if error.name != options.cluster:
                raise
            return [Check(False, options.cluster, f"it is not installed: {CLUSTERS[options.cluster]}"), *here]
        except CnnsearchError as error:
            return [Check(False, options.cluster, error.message), *here]
    found = [_cluster(options, cluster), _versions(cluster), *(_node(each, cluster) for each in cluster.nodes)]
    return [*found, _room(cluster), *(here if problem else _checkpoints_of_nodes(cluster, folder))]


def _cluster(options: ClusterOptions, cluster: Any) -> Check:
    where = f"the cluster at {options.address}" if options.address else "the cluster of this machine"
    local = "a local one: this machine belongs to no cluster. A search starts it, too"
    return Check(True, options.cluster, f"{cluster.ray}, {local if cluster.local else where}")


def _versions(cluster: Any) -> Check:
    return Check(True, "versions", ", ".join(f"{name} {number}" for name, number in cluster.versions.items()))


def _node(node: Any, cluster: Any) -> Check:
    name = f"node {node.name}"
    if not node.alive:
        return Check(True, name, "it has left the cluster")
    size = f"{_counted(node.cpus, 'core')}, {_counted(node.gpus, 'GPU')}"
    if not node.room:
        return Check(True, name, f"{size}; no trial fits on it")
    if node.answer is None:
        return Check(False, name, f"{size}; no worker can start: {node.problem}")
    size += f", {node.answer.memory / 2**30:.1f} GiB of memory; room for {_counted(node.room, 'trial')}"
    there = node.answer.versions
    other = [
        f"{name} {there[name]} instead of {here}" if there.get(name) else f"no {name}"
        for name, here in cluster.versions.items()
        if there.get(name) != here
    ]
    return Check(not other, name, f"{size}; {'it has ' + ', '.join(other) if other else 'the same versions'}")


def _room(cluster: Any) -> Check:
    fit = sum(node.room for node in cluster.nodes)
    each = _counted(cluster.cpus, "core") + (f" and {_counted(cluster.gpus, 'GPU')}" if cluster.gpus else "")
    free = _counted(cluster.free.get("CPU", 0), "core")
    free += f" and {_counted(cluster.free.get('GPU', 0), 'GPU')}" if cluster.gpus else ""
    return Check(fit > 0, "room", f"for {_counted(fit, 'trial')} at the same time, each with {each}; free now: {free}")


def _checkpoints_of_nodes(cluster: Any, folder: str) -> list[Check]:
    if not folder:
        return []
    answers = [(node.name, node.answer) for node in cluster.nodes if node.answer]
    wrong = [f"on {name}: {answer.checkpoints}" for name, answer in answers if answer.checkpoints]
    where = f"and on {_counted(len(answers), 'node')}" if answers else "alone: no node answered"
    return [_checkpoints(folder, "; ".join(wrong), f"on this machine {where}")]


def _counted(number: float, one: str, several: str = "") -> str:
    """`1 core`, `2 cores`, `0.25 GPU`."""
    return f"{number:g} {one if 0 < number <= 1 else several or one + 's'}"
