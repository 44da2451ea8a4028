"""The lease of a study: which process works on it, told in the storage, so that other machines see it."""

import os
import platform
import time

from cnnsearch.core.errors import StudyError
from cnnsearch.study.study import Study

SECONDS = 120
"""Seconds after which a run that has not renewed its lease is taken for dead."""


def refuse_if_held(study: Study) -> None:
    """The lock in the runs folder does not reach other folders and machines; a lease in the storage does.

    Raises:
        StudyError: if another run renewed its lease lately and, as far as can be seen, still lives.
    """
    import psutil

    owner = study.fact("owner")
    # a clock that was set back makes a lease of the future
    if not owner or abs(time.time() - owner["at"]) > SECONDS:
        return
    here = owner["host"] == platform.node()
    if here and (owner["pid"] == os.getpid() or not psutil.pid_exists(owner["pid"])):
        return
    raise StudyError(
        f"Study '{study.name}' is in use by another run (process {owner['pid']} on {owner['host']}). "
        "Wait until that run ends, or choose another study: --study NAME."
    )


def take(study: Study) -> None:
    """Say in the storage that this process works on the study."""
    study.remember_fact("owner", {"host": platform.node(), "pid": os.getpid(), "at": time.time()})


def release(study: Study) -> None:
    """Take the lease back."""
    study.remember_fact("owner", None)
