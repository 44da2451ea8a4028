"""What a function is made of: the same in every process, and each change told by name."""

import functools
import os
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from cnnsearch.core.errors import PluginError, StudyError
from cnnsearch.spaces import pickled_model
from cnnsearch.spaces.definition import Space, Use
from cnnsearch.spaces.own_code import OwnCode
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.opening import begin
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE

CELL = '''
import math
import helpers
import numpy as np

WIDTHS, NAMES, TABLE = [8, 16], {"relu", "tanh", "gelu", "elu"}, np.arange(4.0)
by = {"mean": np.mean}

class Base:
    scale = 2
    def build(self, hp):
        return helpers.units(hp, WIDTHS) * self.scale * self.factor

class Model(Base):
    """A HyperModel."""
    def __init__(self, factor):
        self.factor = factor

def outer(units):
    def build(hp):
        """Builds."""
        return inner(hp, units, "a" in {"a", "b", "c"}) if hp.name in NAMES else by["mean"](TABLE)
    return build

def inner(hp, units, flag):
    return [inner, lambda: math.sqrt(units), WIDTHS]

build, model = outer(3), Model(5)
'''
HELPERS = "STEP = 2\n\ndef units(hp, widths):\n    return hp.Choice('w', widths) * STEP\n"

SHOWN = """
import sys
from cnnsearch.spaces.own_code import OwnCode
sys.path.insert(0, sys.argv[1])
space = {"__name__": "__main__"}
vars(sys.modules["__main__"]).update(space)
exec(compile(open(sys.argv[2]).read(), sys.argv[2], "exec"), globals())
print(OwnCode(build).fingerprint, OwnCode(model).fingerprint)
"""


def parts_of(folder: Path, cell: str, helpers: str = HELPERS) -> tuple[dict[str, str], dict[str, str]]:
    """The parts of `build` and `model` of a cell, as a notebook would define them."""
    (folder / "helpers.py").write_text(helpers)
    module = types.ModuleType("helpers")
    module.__file__ = str(folder / "helpers.py")
    exec(compile(helpers, module.__file__, "exec"), vars(module))
    sys.modules["helpers"] = module
    space = {"__name__": "__main__"}
    exec(compile(cell, "<cell>", "exec"), space)
    try:
        return OwnCode(space["build"]).parts, OwnCode(space["model"]).parts
    finally:
        del sys.modules["helpers"]


def test_the_fingerprint_is_the_same_in_every_process_for_the_same_code(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text(HELPERS)
    found = set()
    for seed, lines in (("1", ""), ("2", "# a comment\n\n\n")):
        (tmp_path / f"cell{seed}.py").write_text(lines + CELL)
        done = subprocess.run(
            [sys.executable, "-c", SHOWN, str(tmp_path), str(tmp_path / f"cell{seed}.py")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("before", "after", "of_build", "of_model"),
    [
        ("[8, 16]", "[8, 32]", {"WIDTHS"}, {"WIDTHS"}),
        ('"gelu", ', "", {"NAMES"}, set()),
        ("arange(4.0)", "arange(5.0)", {"TABLE"}, set()),
        ("outer(3)", "outer(4)", {"units"}, set()),
        ("sqrt", "log", {"inner"}, set()),
        ("np.mean}", "np.median}", {"by"}, set()),
        ("scale = 2", "scale = 3", set(), {"Base"}),
        ("Model(5)", "Model(6)", set(), {"Model (its values)"}),
        ('"""Builds."""', '"""Builds one."""', set(), set()),
    ],
)
def test_what_changed_is_named(before: str, after: str, of_build: set[str], of_model: set[str], tmp_path: Path) -> None:
    assert before in CELL
    old, new = parts_of(tmp_path, CELL), parts_of(tmp_path, CELL.replace(before, after))
    for was, now, expected in zip(old, new, (of_build, of_model), strict=True):
        assert {name for name in {**was, **now} if was.get(name) != now.get(name)} == expected


def test_a_change_in_a_file_beside_the_notebook_counts(tmp_path: Path) -> None:
    old = parts_of(tmp_path, CELL)[1]
    new = parts_of(tmp_path, CELL, HELPERS.replace("STEP = 2", "STEP = 3"))[1]
    assert {name for name in new if old.get(name) != new[name]} == {"helpers.STEP"}


def test_a_function_that_cannot_be_pickled_names_what_it_uses() -> None:
    held = threading.Lock()

    def build(hp: object) -> object:
        return held

    with pytest.raises(PluginError, match=r"build cannot be sent .*: it uses 'held', a lock"):
        pickled_model.pickled(build)
    with pytest.raises(PluginError, match="got ndarray as its space; expected a function"):
        pickled_model.pickled(np.zeros(3))


def asked(runs: Path, **brought: dict[str, str]) -> SearchConfig:
    """A search with a function and arrays of these digests."""
    return SearchConfig.of(
        space=Space(name="build", model="{study}/hypermodel-1.pkl:build"),
        dataset=Use("digits", {}),
        name="build",
        trials=1,
        epochs=1,
        metric="val_accuracy",
        runs=runs,
        brought=brought,
    )


def end(study: Study, state: str, told: TrialState) -> None:
    """One trial that ended so."""
    trial = study.optuna.ask()
    trial.set_user_attr(ATTRIBUTE, {"state": state, "score": 0.5})
    study.optuna.tell(trial, 0.5 if told == TrialState.COMPLETE else None, told)
    study.write()


def test_a_changed_function_or_array_is_told_and_a_study_that_only_failed_begins_again(tmp_path: Path) -> None:
    end(begin(asked(tmp_path, function={"build": "1"})), "failed", TrialState.FAIL)
    notes: list[str] = []
    mended = begin(asked(tmp_path, function={"build": "2"}, data={"x": "1", "y": "1"}), note=notes.append)
    assert notes == ["Study 'build' begins again, because none of its trials completed (1 failed)."]
    assert not mended.trials()
    end(mended, "complete", TrialState.COMPLETE)
    assert len(begin(asked(tmp_path, function={"build": "2"}, data={"x": "1", "y": "1"})).trials()) == 1
    with pytest.raises(StudyError, match=r"the function changed since, in build, WIDTHS\. To resume .*=True"):
        begin(asked(tmp_path, function={"build": "3", "WIDTHS": "1"}, data={"x": "1", "y": "1"}))
    with pytest.raises(StudyError, match=r"the images or labels changed since, in y, x_val\. If the data pipeline"):
        begin(asked(tmp_path, function={"build": "2"}, data={"x": "1", "y": "2", "x_val": "1"}))


class KeepsItsModel:
    """A class that has a hypermodel as its method, and keeps the model and what it gave last."""

    def build(self, hp: Any) -> Any:
        import keras

        self.model = keras.Sequential([keras.layers.Dense(2)])
        self.stopping = keras.callbacks.EarlyStopping(patience=3)
        return self.model


def test_an_object_that_keeps_its_model_has_the_same_fingerprint_after_each_build() -> None:
    keeper = KeepsItsModel()
    found = set()
    for _ in range(2):
        keeper.build(None)
        found.add(OwnCode(keeper.build).fingerprint)
    keeper.rate = 0.5  # type: ignore[attr-defined]
    assert len(found) == 1 and OwnCode(keeper.build).fingerprint not in found


def test_values_that_are_shared_many_times_have_a_short_text() -> None:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    assert OwnCode(functools.partial(print, value)).fingerprint == OwnCode(functools.partial(print, value)).fingerprint
