"""The nodes of a Ray cluster, and what each says about itself: for `cnnsearch doctor`."""

from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cnnsearch.core import checkpoint_store, host
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.tuning.launchers.ray_cluster import RayCluster, last_line, trials_that_fit
from cnnsearch.tuning.launchers.ray_worker import versions

ANSWER_WITHIN = 60.0
"""Seconds within which the nodes must answer. Each starts a process first, which imports cnnsearch."""


@dataclass(frozen=True)
class Answer:
    """What a process on a node found.

    Attributes:
        versions: those of Python and of the packages that must be the same on all machines.
        memory: bytes of the node's memory.
        checkpoints: why it cannot use the folder of checkpoints; empty if it can.
    """

    versions: dict[str, str]
    memory: int
    checkpoints: str


@dataclass(frozen=True)
class Node:
    """A node of a cluster.

    Attributes:
        room: how many trials fit on it.
        answer: None for a node on which no trial fits, and for one that did not answer.
        problem: why it did not answer.
    """

    name: str
    alive: bool
    cpus: float
    gpus: float
    room: int
    answer: Answer | None = None
    problem: str = ""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster.

    Attributes:
        ray: Ray's version.
        local: whether Ray was started on this machine for the question only.
        cpus: how many cores a trial gets.
        gpus: how many GPUs a trial gets.
        free: the numbers of cores and GPUs that nothing uses now, by Ray's names.
        versions: those of this machine.
    """

    ray: str
    local: bool
    cpus: float
    gpus: float
    nodes: list[Node]
    free: dict[str, float]
    versions: dict[str, str]


def examine(address: str, cpus: float, gpus: float | None, checkpoints: str, marker: str) -> Cluster:
    """Ask a cluster, and each of its nodes on which a trial fits.

    `checkpoints` is the address of a folder, or empty; `marker` is a file in it that this machine wrote.

    Raises:
        CnnsearchError: if the cluster cannot be reached.
    """
    cluster = RayCluster(address, 0, cpus, gpus)
    try:
        nodes = _nodes(cluster, checkpoints, marker)
        free = {str(name): float(count) for name, count in ray.available_resources().items()}
        return Cluster(ray.__version__, cluster.local, cluster.cpus, cluster.gpus, nodes, free, versions())
    finally:
        cluster.close()


def answer(checkpoints: str, marker: str) -> Answer:
    """What this machine, a node, says about itself."""
    return Answer(versions(), host.memory(), _problem_of_checkpoints(checkpoints, marker) if checkpoints else "")


def _problem_of_checkpoints(folder: str, marker: str) -> str:
    try:
        checkpoint_store.probe(folder)
        if checkpoint_store.exists(marker):
            return ""
        return "it is another folder than on this machine: a file that was written here is not in it"
    except CnnsearchError as error:
        return error.message
    except OSError as error:
        return str(error)


def _nodes(cluster: RayCluster, checkpoints: str, marker: str) -> list[Node]:
    found = ray.nodes()
    asked: dict[str, Any] = {}
    for each in found:
        if each["Alive"] and trials_that_fit(each["Resources"], cluster.cpus, cluster.gpus):
            here = NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)
            task = ray.remote(answer).options(num_cpus=0, max_retries=0, scheduling_strategy=here)
            asked[each["NodeID"]] = task.remote(checkpoints, marker)
    if asked:
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_WITHIN)
    return [_node(each, cluster, asked.get(each["NodeID"])) for each in found]


def _node(found: dict[str, Any], cluster: RayCluster, asked: Any) -> Node:
    resources = found["Resources"]
    said, problem = _said(asked) if asked is not None else (None, "")
    return Node(
        f"{found['NodeManagerHostname']} ({found['NodeManagerAddress']})",
        bool(found["Alive"]),
        float(resources.get("CPU", 0)),
        float(resources.get("GPU", 0)),
        trials_that_fit(resources, cluster.cpus, cluster.gpus) if found["Alive"] else 0,
        said,
        problem,
    )


def _said(asked: Any) -> tuple[Answer | None, str]:
    """The answer of a node, or why there is none."""
    try:
        return ray.get(asked, timeout=0.1), ""
    except ray.exceptions.GetTimeoutError:
        return None, f"no answer within {ANSWER_WITHIN:.0f} s"
    except ray.exceptions.RayTaskError as error:
        return None, last_line(str(error.cause or error))
    except Exception as error:
        return None, last_line(str(error)) or type(error).__name__
