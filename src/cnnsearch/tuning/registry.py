"""Finds launchers, schedulers and callbacks by name: those of cnnsearch, and those of plugins."""

from collections.abc import Iterable
from typing import cast

from cnnsearch.core.errors import CnnsearchError, PluginError
from cnnsearch.spaces import parent_plugins
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study.config import SearchConfig
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.launchers.base import Launcher
from cnnsearch.tuning.schedulers.base import SchedulerContext, TrialScheduler

LAUNCHERS = {
    "local": "cnnsearch.tuning.launchers.local:LocalLauncher",
    "ray": "cnnsearch.tuning.launchers.ray_launcher:RayLauncher",
}

CLUSTERS = {"ray": "pip install 'cnnsearch[ray]'"}
"""The launchers that use other machines, and how to install what each needs."""

SCHEDULERS = dict.fromkeys(
    ("auto", "halving", "topk", "none"), "cnnsearch.tuning.schedulers.rung_scheduler:RungScheduler"
)

TRACKERS = {"mlflow": "cnnsearch.tuning.callbacks.best_model:mlflow_callbacks"}


def cluster_launcher(launcher: str, address: str) -> str:
    """The launcher of a cluster; empty for one that starts workers on this machine. An `address` means a cluster."""
    if address and launcher == "local":
        return next(iter(CLUSTERS))
    return launcher if launcher in CLUSTERS else ""


def launcher(config: SearchConfig, jobs: int, known: Catalog) -> Launcher:
    """The launcher of a search, which has started `jobs` workers.

    Raises:
        CnnsearchError: if there is none of this name, or it cannot start.
    """
    name = config.resources.launcher
    try:
        return cast(Launcher, parent_plugins.make("launcher", name, LAUNCHERS, known, config, jobs))
    except ModuleNotFoundError as error:
        if error.name != name or name not in CLUSTERS:
            raise
        raise CnnsearchError(f"--launcher {name} needs a package that is not installed: {CLUSTERS[name]}") from error


def scheduler(context: SchedulerContext, known: Catalog) -> TrialScheduler:
    """The scheduler of this name.

    Raises:
        CnnsearchError: if there is none, or it cannot be made.
    """
    made = parent_plugins.make("scheduler", context.name, SCHEDULERS, known, context)
    found = parent_plugins.plain(made)
    if not isinstance(found, TrialScheduler):
        kind = type(found).__name__
        raise PluginError(f"The scheduler '{context.name}' is {kind}. Expected a subclass of cnnsearch.TrialScheduler.")
    if not hasattr(found, "paused"):
        raise PluginError(f"The scheduler '{context.name}' has no paused trials. Call super().__init__(context) first.")
    return cast(TrialScheduler, made)


def callbacks(names: Iterable[str], known: Catalog) -> list[TunerCallback]:
    """The tracker, and the callbacks of these names.

    Raises:
        CnnsearchError: if there is none of a name, or it cannot be made.
    """
    made = [parent_plugins.make("callback", name, TRACKERS, known) for name in (*TRACKERS, *names)]
    # `Callbacks` names the one that fails
    found = [parent_plugins.plain(each) for each in made]
    for each in found:
        if not isinstance(each, TunerCallback):
            raise PluginError(f"{type(each).__name__} is no callback. Expected a subclass of cnnsearch.TunerCallback.")
    return found
