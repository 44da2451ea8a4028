"""Where the checkpoints of a study's trials in training are: in its folder, or in a folder at another address."""

import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cnnsearch.core import checkpoint_address as addresses
from cnnsearch.core import checkpoint_store
from cnnsearch.study import moved

FACT = "training_checkpoints"
"""The name of the stored fact. A study has it once it wrote checkpoints to an address of `--checkpoints`."""

FOLDER = "epochs"
"""The folder of the checkpoints in the folder of a study."""

PAUSE = 60.0
"""Seconds without questions to a store that did not answer."""


def new_fact(known: dict[str, Any], address: str, name: str, folder: Path) -> dict[str, Any]:
    """What is stored of the address of `--checkpoints`.

    `known` is what was stored before. The folder at the address has a name of its own, so that studies with the same
    `name` never share files. A copy of a study, in another `folder`, gets a new one.
    """
    copied = bool(known) and moved.is_copy(known["study"], folder)
    base = addresses.without_credentials(address)
    # a scheme tells it from the paths that earlier versions stored
    base = base if "://" in base else f"file://{base}"
    own = known["name"] if known and not copied else f"{name}-{uuid.uuid4().hex[:8]}"
    before = known["folders"] if known and not copied else []
    place = addresses.joined(base, own)
    return {
        "address": base,
        "name": own,
        "study": str(folder),
        "folders": [*(each for each in before if each != place), place],
    }


class TrainingCheckpoints:
    """The checkpoints of the trials of one study that are not at their end.

    An address is a path or a URL. What is stored of it has no credentials.

    Attributes:
        folder: the address of the folder to which checkpoints are written.
        folders: the addresses of all folders at addresses of `--checkpoints` to which this study wrote, as stored.
    """

    def __init__(self, study: Path, fact: dict[str, Any] | None, given: str = "") -> None:
        """`study`: the study's folder; `fact`: what it stored; `given`: this run's address with its credentials."""
        self._study, self._given = study, given
        self._silent_since = -PAUSE
        self.folders: list[str] = []
        if fact is None:
            self.folder = str(study / FOLDER)
            return
        self.folder = self._opened(addresses.joined(fact["address"], fact["name"]))
        if not moved.is_copy(fact["study"], study):
            self.folders = list(fact["folders"])

    def file(self, number: int) -> str:
        """The address of the checkpoint of a trial that starts."""
        return addresses.joined(self.folder, f"trial-{number:05d}.npz")

    def stored(self, address: str) -> str:
        """An address as it is stored: a path relative to the study's folder, or a URL."""
        folder, name = addresses.split(address)
        if folder == str(self._study / FOLDER):
            return f"{FOLDER}/{name}"
        plain = addresses.without_credentials(address)
        return plain if "://" in plain else f"file://{plain}"

    def found(self, stored: str) -> str:
        """The address of what was stored. Earlier versions stored paths in the study's folder."""
        return self._opened(stored) if "://" in stored else str(moved.own_file(self._study, FOLDER, stored))

    def is_current(self, address: str) -> bool:
        """Whether a file is in the folder to which checkpoints are written."""
        return addresses.split(address)[0] == self.folder

    def owns(self, address: str) -> bool:
        """Whether a file is this study's and not that of the study of which it is a copy."""
        folder = addresses.split(self.stored(address))[0]
        return folder in (FOLDER, *self.folders)

    def existing(self, wanted: Iterable[str], if_unknown: bool = False) -> set[str]:
        """The addresses at which there is a checkpoint. `if_unknown`: whether one is, if its store does not say."""
        every = set(wanted)
        remote = {each for each in every if addresses.local_path(each) is None}
        found = {each for each in every - remote if Path(each).is_file()}
        for folder in {addresses.split(each)[0] for each in remote}:
            here = {each for each in remote if addresses.split(each)[0] == folder}
            found |= self._existing_in(folder, here, if_unknown)
        return found

    def _existing_in(self, folder: str, wanted: set[str], if_unknown: bool) -> set[str]:
        if time.monotonic() - self._silent_since < PAUSE:
            return wanted if if_unknown else set()
        try:
            if len(wanted) == 1:
                return {each for each in wanted if checkpoint_store.exists(each)}
            names = checkpoint_store.names(folder)
        except OSError:
            self._silent_since = time.monotonic()
            return wanted if if_unknown else set()
        return {each for each in wanted if addresses.split(each)[1] in names}

    def _opened(self, stored: str) -> str:
        """A stored URL with this run's credentials, or as a path."""
        path = addresses.local_path(stored)
        return addresses.with_credentials(stored, self._given) if path is None else str(path)
