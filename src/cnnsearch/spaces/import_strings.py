"""Spaces that an import string names: hypermodels and objectives in files and modules of the user."""

import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import PluginError, SpaceError, nearest
from cnnsearch.core.metric_names import OBJECTIVE
from cnnsearch.spaces import objective, pickled_model, source_names
from cnnsearch.spaces.definition import DEFAULTS, NO_DATA, Space, Use
from cnnsearch.spaces.plugins import import_named
from cnnsearch.spaces.space_file import plain_name


def from_import_string(reference: str, where: str = "--space") -> Space:
    """The space of a hypermodel or an objective. Its code is not run.

    Raises:
        SpaceError: if there is no such file or module, or it does not have it. `where` is the option that named it.
    """
    module, _, name = reference.rpartition(":")
    if not (module and name):
        raise SpaceError(f"{where} {reference}: expected FILE.py:NAME or MODULE:NAME, such as my_models.py:build.")
    # os.access returns False for a name that is too long; Path.is_file would raise
    if module.endswith(".py") and not (os.access(module, os.F_OK) and Path(module).is_file()):
        raise SpaceError(f"{where} {reference}: there is no such file.")
    if not module.endswith(".py") and not _may_import(module):
        raise SpaceError(f"{where} {reference}: {module} does not import: there is no such module.")
    # many files call it `build`, so the file's name says more
    own = Path(module).name.removesuffix(".py") if name == "build" else name
    found = Space(name=plain_name(own), model=reference, where=reference)
    return objective_space(found) if _is_objective(module, name, f"{where} {reference}") else found


def objective_space(space: Space, batch_size: int = DEFAULTS["batch_size"]) -> Space:
    """The space of a function that trains for itself: it has its own data, and its number of epochs is not known."""
    defaults = {**DEFAULTS, "epochs": 0, "metric": OBJECTIVE, "batch_size": batch_size}
    return dataclasses.replace(space, dataset=Use(NO_DATA, {}), defaults=defaults)


def _is_objective(module: str, name: str, where: str) -> bool:
    """Whether a function is an Optuna objective. No code is run.

    Raises:
        SpaceError: if its file does not have it, or is not valid Python.
    """
    file = Path(module if module.endswith(".py") else f"{module.replace('.', '/')}.py")
    source = source_names.parsed(file)
    if source is None:
        return False
    source_names.check_defined(source, file, name, where)
    return objective.source_has_objective(source, name)


def _may_import(module: str) -> bool:
    """Whether there is such a module, in this folder or installed. No code of it is run."""
    top = module.partition(".")[0]
    here = os.access(f"{top}.py", os.F_OK) or os.access(f"{top}/", os.F_OK)
    return top.isidentifier() and (here or importlib.util.find_spec(top) is not None)


def named(reference: str) -> Any:
    """What an import string names, or the file of a pickled model.

    Raises:
        PluginError: if there is no such object, or its code fails.
    """
    module_name, _, name = reference.rpartition(":")
    if module_name.endswith(pickled_model.SUFFIX):
        return pickled_model.load(Path(module_name))
    module = import_named(module_name)
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise PluginError(f"{module_name} has no '{name}'.{nearest(name, public)}")
    return getattr(module, name)
