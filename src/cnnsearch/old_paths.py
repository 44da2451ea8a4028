"""Import paths of version 0.1, which plugins may still use: each leads to where the module is now."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

MOVED = {
    "cnnsearch.arrays": "cnnsearch.data.arrays",
    "cnnsearch.backbones": "cnnsearch.spaces.pretrained",
    "cnnsearch.build": "cnnsearch.training.build",
    "cnnsearch.catalog": "cnnsearch.spaces.plugins",
    "cnnsearch.cost": "cnnsearch.spaces.cost",
    "cnnsearch.decoding": "cnnsearch.data.image_decoding",
    "cnnsearch.errors": "cnnsearch.core.errors",
    "cnnsearch.export": "cnnsearch.results.export",
    "cnnsearch.hyperparameters": "cnnsearch.spaces.hyperparameters",
    "cnnsearch.models": "cnnsearch.training.model_io",
    "cnnsearch.plan": "cnnsearch.spaces.plan",
}


class OldPaths(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of MOVED under their old names, with a DeprecationWarning."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(f"{spec.name} is now {new}", DeprecationWarning, stacklevel=2)
        return importlib.import_module(new)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the module was executed under its new name."""


def install() -> None:
    """Let imports find the old paths, after everything else was tried."""
    if not any(isinstance(finder, OldPaths) for finder in sys.meta_path):
        sys.meta_path.append(OldPaths())
