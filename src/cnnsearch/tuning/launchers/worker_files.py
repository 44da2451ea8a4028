"""The files that a worker on another machine needs: plugins, and the function or file of a hypermodel."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import data_files, pickled_model
from cnnsearch.spaces.definition import STUDY
from cnnsearch.spaces.space import Space
from cnnsearch.study.config import SearchConfig
from cnnsearch.tuning.launchers.node_folder import MODULES, PLACE

MOST = 200 << 20
"""The plugins of a search may have so many bytes."""

LEFT_OUT = {"__pycache__", ".git", ".venv", "node_modules"}
"""Folders that no worker needs."""


def for_nodes(config: SearchConfig) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The configuration of a worker on another machine, and the files that it needs there.

    Paths of these files begin with PLACE in the configuration.

    Raises:
        CnnsearchError: if the files are too large, or cannot be read.
    """
    files: dict[str, bytes] = {}
    plugins = [_travelling(folder, f"plugins/{number}", files) for number, folder in enumerate(config.study.plugins)]
    model = _model(config, files)
    if sum(map(len, files.values())) > MOST:
        raise CnnsearchError(
            f"--plugins and the files beside the model have more than {MOST >> 20} MB, too much to send to workers."
        )
    files |= _data_files(config)
    space: Space = replace(config.study.space, model=model)
    return config.for_worker() | {"space": space.to_dict(), "plugins": plugins}, files


def _model(config: SearchConfig, files: dict[str, bytes]) -> str:
    """The import string of the space's model on a node. Its file travels, with the modules and packages beside it."""
    model = config.study.space.model
    module, _, name = model.rpartition(":")
    if module.startswith(STUDY) and module.endswith(pickled_model.SUFFIX):
        own = module.removeprefix(STUDY)
        files[f"study/{own}"] = (config.study.folder / own).read_bytes()
    elif module.endswith(".py"):
        path = Path(module).resolve()
        _add_modules(path.parent, files)
        return f"{PLACE}/{MODULES}/{path.name}:{name}"
    elif module and _is_here(module.partition(".")[0]):
        _add_modules(Path.cwd(), files)
    return model


def _data_files(config: SearchConfig) -> dict[str, bytes]:
    """The files with the data of a function that trains for itself."""
    module = config.study.space.model.rpartition(":")[0]
    if not (module.startswith(STUDY) and module.endswith(pickled_model.SUFFIX)):
        return {}
    folder = config.study.folder
    content = (folder / module.removeprefix(STUDY)).read_bytes()
    # an earlier run, which was killed, may have left others
    used = (path for path in sorted(folder.glob(f"{data_files.PREFIX}*")) if path.name.encode() in content)
    return {f"study/{path.name}": path.read_bytes() for path in used}


def _is_here(name: str) -> bool:
    """Whether a module is in the current folder, and not an installed one."""
    return Path(f"{name}.py").is_file() or Path(name).is_dir()


def _add_modules(folder: Path, files: dict[str, bytes]) -> None:
    """Add the Python files of a folder, and the packages in it."""
    for path in folder.iterdir():
        if path.suffix == ".py" or (path / "__init__.py").is_file():
            _travelling(path, MODULES if path.is_file() else f"{MODULES}/{path.name}", files)


def _travelling(path: Path, name: str, files: dict[str, bytes]) -> str:
    """Add a file, or the files of a folder, to `files`; returns its path in the configuration.

    Raises:
        CnnsearchError: if one cannot be read.
    """
    path = path.resolve()
    try:
        if path.is_file():
            files[f"{name}/{path.name}"] = path.read_bytes()
            return f"{PLACE}/{name}/{path.name}"
        for each in _files(path):
            files[f"{name}/{each.relative_to(path).as_posix()}"] = each.read_bytes()
    except OSError as error:
        raise CnnsearchError(f"{error.filename or path} cannot be sent to workers: {error.strerror}") from error
    return f"{PLACE}/{name}"


def _files(folder: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each not in LEFT_OUT]
        yield from (Path(place) / each for each in names)
