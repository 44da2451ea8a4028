"""The option `--weights` of `run`: the file of weights of a space's pretrained network, checked before the search."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cnnsearch.cli.dataset_option import real_path
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import plugins, pretrained
from cnnsearch.spaces.plugin_options import options
from cnnsearch.spaces.space import Space, Use

OPTION = "weights"
"""The option of a dimension that names the file."""

MD5_DIGITS = 32
"""The length of an MD5 in hexadecimal digits. A SHA-256 has 64."""


def with_weights(space: Space, file: str | None, known: plugins.Catalog) -> Space:
    """`space` whose pretrained network has its weights from this file; unchanged if `file` is None.

    Raises:
        CnnsearchError: if there is no such file, or the space has no pretrained network.
    """
    if file is None:
        return space
    pretrained_uses = _pretrained(space, known)
    if not pretrained_uses:
        raise CnnsearchError(
            f"--weights {file}: no dimension of {space.name} has an option {OPTION} that names a file. Expected a "
            "space with a pretrained network, such as mnist_vgg16."
        )
    path = real_path(file)
    if not os.path.isfile(path):  # noqa: PTH113
        raise CnnsearchError(
            f"--weights {str(file)!r}: there is no such file. Expected a file of Keras with the weights of a network "
            "without its top, such as vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5."
        )
    more = {OPTION: path}
    changed = (Use(use.name, {**use.options, **more}) if use in pretrained_uses else use for use in space.dimensions)
    return replace(space, dimensions=tuple(changed))


def check_weights(space: Space, known: plugins.Catalog) -> None:
    """Check the file that `with_weights` put into `space`. Prints a warning if it is not Keras' own file.

    Weights of networks that cnnsearch does not know are for their dimension to check.

    Raises:
        CnnsearchError: if the file does not hold the network's weights.
    """
    for use in _pretrained(space, known):
        # a dimension refuses a file for several networks
        network = _first_name(_options(use, known, space))
        if network not in pretrained.NETWORKS:
            continue
        path = Path(use.options[OPTION])
        _check_content(network, path)
        if note := difference(network, pretrained.known(network).file_hash, path):
            click.echo(f"Warning: {path}: {note}", err=True)


def _pretrained(space: Space, known: plugins.Catalog) -> list[Use]:
    """The dimensions whose option `weights` is a text."""
    return [use for use in space.dimensions if isinstance(_options(use, known, space).get(OPTION), str)]


def _first_name(given: dict[str, Any]) -> str:
    names = given.get("names")
    first = next(iter(names), "") if isinstance(names, list | tuple) else names
    return first if isinstance(first, str) else ""


def _options(use: Use, known: plugins.Catalog, space: Space) -> dict[str, Any]:
    function = known.get("dimension", use.name, f"{space.where or space.name}: ").function
    assert function is not None
    return {**options(function), **use.options}


def _check_content(network: str, path: Path) -> None:
    """Load the file into the network, in a process of its own: this one never imports Keras.

    Raises:
        CnnsearchError: if that fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "cnnsearch.training.weights_check", network, str(path)],
        capture_output=True,
        text=True,
        check=False,
        # no GPU, whose memory others may use; `-m` would put the current folder before everything else
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONSAFEPATH": "1"},
    )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise CnnsearchError(done.stdout.strip() or f"--weights {path}: it could not be checked ({last}).")


def difference(network: str, expected: str, path: Path) -> str:
    """How a file differs from the one that Keras downloads, of the hash `expected`; empty if it is the same."""
    if not expected:
        return f"Keras publishes no hash for {network}, so this may not be Keras' own file. It is used."
    kind = "md5" if len(expected) == MD5_DIGITS else "sha256"
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, kind).hexdigest()
    if found == expected:
        return ""
    return (
        f"this is not Keras' own file of {network}: its {kind.upper()} is {found}, not {expected}. "
        "Its shapes are right, so it is used."
    )
