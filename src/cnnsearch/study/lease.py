"""The lease of a study: the process that works on it, stored in the storage, so that other machines can read it."""

import os
import platform
import time
from typing import Any

from cnnsearch.core.errors import StudyError
from cnnsearch.study.study import Study

SECONDS = 120
"""Seconds after which a lease that was not renewed is no longer valid."""


def refuse_if_held(study: Study) -> None:
    """Raise an error if another run has a valid lease. The lock file works only on one machine and one folder.

    Raises:
        StudyError: if another run renewed its lease lately and its process exists, as far as this machine can tell.
    """
    if owner := holder(study):
        raise StudyError(
            f"Study '{study.name}' is in use by another run (process {owner['pid']} on {owner['host']}). "
            "Wait until that run ends, or choose another study: --study NAME."
        )


def holder(study: Study) -> dict[str, Any] | None:
    """The other run that has a valid lease: its `host` and `pid`. None if there is none, as far as is known here."""
    import psutil

    owner: dict[str, Any] | None = study.fact("owner")
    # abs: if a clock was set back, the lease is in the future
    if not owner or abs(time.time() - owner["at"]) > SECONDS:
        return None
    here = owner["host"] == platform.node()
    ended = here and (owner["pid"] == os.getpid() or not psutil.pid_exists(owner["pid"]))
    return None if ended else owner


def take(study: Study) -> None:
    """Store the lease of this process.

    Raises:
        StudyError: if another run has a valid lease.
    """
    refuse_if_held(study)
    study.remember_fact("owner", {"host": platform.node(), "pid": os.getpid(), "at": time.time()})


def renew(study: Study) -> None:
    """Renew the lease with the next writes to the storage."""
    study.remember_fact_later("owner", {"host": platform.node(), "pid": os.getpid(), "at": time.time()})


def release(study: Study) -> None:
    """Remove the lease."""
    study.remember_fact("owner", None)
