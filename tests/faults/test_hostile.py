"""Candidates made to fail: each becomes its type of failure, and the search ends with all good trials."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run

HOSTILE = '''
"""A dimension whose candidates do harm when they are trained."""

import ctypes
import os
import sys
import time

import keras

from cnnsearch import dimension
from cnnsearch.core import messages


@keras.saving.register_keras_serializable("hostile")
class Hostile(keras.layers.Layer):
    """Does `what` when it is built into a training model."""

    def __init__(self, what, **kwargs):
        super().__init__(**kwargs)
        self.what = what
        DEEDS[what]()

    def call(self, images, training=False):
        return images * float("nan") if self.what == "nan" else images


def _allocate():
    hoard = []
    while True:
        hoard.append(bytearray(50_000_000))


def _raise():
    raise RuntimeError("on purpose")


def _flood():
    for _ in range(20_000):
        print("x" * 100)
        os.write(1, b"\\x00\\xff\\xfe{\\n")


def _connection():
    """The worker's connection to its parent."""
    frame = sys._getframe()
    while "connection" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["connection"]


def _lie():
    connection = _connection()
    connection.send(messages.Repeated(score=1.0, history=[], seconds=0.0, rss=0))
    # what it learns from this answer is about a trial that it does not have
    lie = messages.EpochEnded(trial=10_000, epoch=1, metrics={"val_accuracy": 1.0})
    assert connection.ask(lie, messages.Go).decision is messages.Decision.STOP


def _garble():
    connection = _connection()
    connection._target.write(b'{"type": "EpochEnded"}\\n')
    connection._target.flush()


def _rubbish():
    sys.stdout.buffer.write(bytes(range(256)) * 100)
    sys.stdout.flush()


DEEDS = {
    "nothing": lambda: None,
    "nan": lambda: None,
    "allocate": _allocate,
    "sleep": lambda: time.sleep(10_000),
    "raise": _raise,
    "exit": lambda: os._exit(3),
    "segfault": lambda: ctypes.string_at(0),
    "flood": _flood,
    "rubbish": _rubbish,
    "lie": _lie,
    "garble": _garble,
    "draw": None,
}


@dimension
def hostile(hp, plan, *, deeds=tuple(DEEDS)):
    """What the candidate does."""
    what = hp.Choice("what", deeds)
    if what == "draw":
        raise RuntimeError("in the draw")
    return plan.replace(augment=(("Hostile", {"what": what}),)) if what != "nothing" else plan
'''
SPACE = """
dataset = { use = "digits", limit = 200 }
input_shape = [8, 8, 1]
dimensions = [{ use = "filters", first = [4], growth = [2.0] }, { use = "hostile", deeds = [DEEDS] }]
[defaults]
epochs = 1
"""
EXPECTED = {
    "nan": ("nan", "the loss was nan in epoch 1"),
    "allocate": ("oom", "GiB (--memory)"),
    "sleep": ("timeout", "it took longer than 25 s"),
    "raise": ("invalid", "on purpose"),
    "draw": ("plugin_error", "RuntimeError: in the draw"),
    "exit": ("killed", "exit code 3, for the second time"),
    "segfault": ("killed", "signal 11, for the second time"),
    "garble": ("killed", "its worker sent an invalid message; see worker-"),
}


@pytest.mark.timeout(600)
def test_each_deed_becomes_its_type_and_the_good_trials_stay(run: Run, tmp_path: Path) -> None:
    deeds = ["nothing", *EXPECTED, "flood", "rubbish", "lie"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "hostile.py").write_text(HOSTILE)
    (tmp_path / "bad.toml").write_text(SPACE.replace("DEEDS", ", ".join(f'"{deed}"' for deed in deeds)))
    line = ("run", "--space", "bad.toml", "--plugins", "mine", "--sampler", "grid", "--trials", str(len(deeds)))
    done = run(*line, "--jobs", "2", "--trial-timeout", "25", "--memory", "2g")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["choices"]: row for row in json.loads(run("leaderboard", "--format", "json").stdout)}
    found = {choices.partition("hostile/what=")[2].split(" ")[0] or "nothing": row for choices, row in rows.items()}
    assert set(found) == set(deeds)
    logs = "".join(path.read_text("utf-8", "replace") for path in (tmp_path / "runs" / "bad" / "logs").iterdir())
    for kind in ("Repeated", "EpochEnded"):
        assert f"it sent {kind} about a trial that it does not have" in logs
    assert "it sent an invalid message: EpochEnded with" in logs and "not a message of a known kind" not in logs
    for deed in ("nothing", "flood", "rubbish", "lie"):
        assert found[deed]["state"] == "complete", found[deed]
    for deed, (kind, reason) in EXPECTED.items():
        assert (found[deed]["state"], reason in found[deed]["reason"]) == (kind, True), found[deed]
    # each type is counted where the search is shown
    for kind in ("nan", "oom", "timeout", "invalid", "plugin_error", "killed"):
        assert kind in done.stdout, done.stdout


def test_ten_failures_of_one_kind_in_a_row_stop_the_search(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "hostile.py").write_text(HOSTILE)
    space = SPACE.replace("DEEDS", '"raise"').replace("[4]", "[4, 8, 16, 32]")
    (tmp_path / "bad.toml").write_text(space.replace("dimensions = [", 'dimensions = [{ use = "learning_rate" }, '))
    done = run("run", "--space", "bad.toml", "--plugins", "mine", "--trials", "40", "--jobs", "1")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "10 trials in a row failed as 'invalid'; the last: RuntimeError: on purpose" in last
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert len(rows) == 10
