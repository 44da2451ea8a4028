"""An Optuna objective, which is a function of one trial that trains for itself and returns numbers, as a space.

Optuna is not imported: the trial has the methods of Optuna's `Trial`, and `TrialPruned` is known by its name.
"""

import ast
import datetime
import dis
import math
from collections.abc import Callable, Iterator, Sequence
from inspect import isfunction, signature
from types import CodeType
from typing import Any

from cnnsearch.core.errors import TrialFailure
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters
from cnnsearch.spaces.self_training import Outcome, OwnTrial, SelfTraining

PARAMETER = "trial"
"""The name of the first parameter of an objective."""

WORD = "objective"
"""A function of a trial with this word in its name is an objective."""

METHODS = frozenset({"report", "should_prune", "set_user_attr"})
"""A function of a trial that uses one of these is an objective too. Others return a model."""

PRUNED = "TrialPruned"


def is_objective(function: Any) -> bool:
    """Whether `function` is an Optuna objective, and not a function that returns a model."""
    if not isfunction(function) or list(signature(function).parameters)[:1] != [PARAMETER]:
        return False
    return WORD in function.__name__.lower() or any(name in METHODS for name in _attributes(function.__code__))


def source_has_objective(source: ast.Module, name: str) -> bool:
    """Whether the function `name` in the text of a file is an Optuna objective."""
    for node in source.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = [each.arg for each in (*node.args.posonlyargs, *node.args.args)][:1]
            used = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            return first == [PARAMETER] and (WORD in name.lower() or bool(used & METHODS))
    return False


def _attributes(code: CodeType) -> Iterator[str]:
    """The names of attributes that code uses, with the code inside it."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _attributes(constant)


class OptunaObjective(SelfTraining):
    """Calls an objective with a trial that has the methods of Optuna's."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        # the name that `functools.partial` has for it
        self.func = function

    def own_parts(self) -> Any:
        """See `SelfTraining`."""
        return self.func

    def train(self, trial: OwnTrial) -> Outcome:
        """See `SelfTraining`."""
        asked = ObjectiveTrial(trial)
        try:
            returned = self.func(asked)
        except Exception as error:
            if not any(kind.__name__ == PRUNED for kind in type(error).__mro__):
                raise
            return _pruned(trial)
        found = _values(returned, trial.names)
        return Outcome(found[trial.metric], _epoch_of(found[trial.metric], trial), metrics=found)


def _pruned(trial: OwnTrial) -> Outcome:
    """The outcome of an objective that raised TrialPruned."""
    values = [metrics[trial.metric] for metrics in trial.history]
    if not values:
        raise TrialFailure("too_large", "the objective raised TrialPruned before its first report")
    best = max(values) if trial.maximize else min(values)
    return Outcome(best, values.index(best) + 1, pruned=True)


def _epoch_of(score: float, trial: OwnTrial) -> int:
    """The last report with this value, counted from 1; the last report if none has it."""
    values = [metrics[trial.metric] for metrics in trial.history]
    return len(values) - values[::-1].index(score) if score in values else len(values)


def _values(returned: Any, names: tuple[str, ...]) -> dict[str, float]:
    """What an objective returned, as numbers by their names.

    Raises:
        TrialFailure: if it is none, a wrong number of them, or not finite.
    """
    given = list(returned) if isinstance(returned, tuple | list) else [returned]
    if len(given) != len(names):
        numbers = "a number" if len(names) == 1 else f"{len(names)} numbers"
        each = " ".join(["--direction …"] * len(given))
        hint = f". Say a direction for each: {each}, or directions=[…] of cnnsearch.optimize" if len(given) > 1 else ""
        raise TrialFailure("plugin_error", f"the objective returned {_brief(given)}; expected {numbers}{hint}")
    found = {}
    for name, value in zip(names, given, strict=True):
        try:
            found[name] = float(value)
        except (TypeError, ValueError) as error:
            reason = f"the objective returned {type(value).__name__}; expected a number"
            raise TrialFailure("plugin_error", reason) from error
        if not math.isfinite(found[name]):
            raise TrialFailure("nan", f"the {name} was {found[name]:g}")
    return found


def _brief(given: list[Any]) -> str:
    return f"{len(given)} values" if len(given) != 1 else type(given[0]).__name__


class ObjectiveTrial:
    """A trial with the methods of Optuna's `Trial`.

    Attributes:
        number: the trial's number.
        params: the values drawn so far.
        user_attrs: the attributes that were set.
        datetime_start: when the worker began it.
    """

    def __init__(self, trial: OwnTrial) -> None:
        self._trial, self._hp = trial, HyperParameters(trial.draw)
        self.number = trial.number
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.datetime_start = datetime.datetime.now()
        self._steps: set[int] = set()

    @property
    def params(self) -> dict[str, Any]:
        """The values drawn so far, by name."""
        return dict(self._hp.values)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`: numbers, texts, true, false or None."""
        return self._hp.Choice(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An integer from `low` to `high`, both included."""
        value: int = self._hp.Int(name, low, high, None if log else step, "log" if log else "linear")
        return value

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`, both included."""
        return float(self._hp.Float(name, low, high, step, "log" if log else "linear"))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """The old form of `suggest_float`."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """The old form of `suggest_float` with `log=True`."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """The old form of `suggest_float` with a step."""
        return self.suggest_float(name, low, high, step=q)

    def report(self, value: float, step: int) -> None:
        """Report a value of the objective. As in Optuna, the second report of a step is ignored.

        Raises:
            NotImplementedError: as in Optuna, if the objective has several values.
        """
        self._check_single("report")
        found = float(value)
        if int(step) in self._steps:
            return
        self._steps.add(int(step))
        if not math.isfinite(found):
            raise TrialFailure("nan", f"the objective reported {found:g} in step {step}")
        self._trial.report({self._trial.metric: found})

    def should_prune(self) -> bool:
        """Whether the trial is to end now, as the pruner decided after the last report.

        Raises:
            NotImplementedError: as in Optuna, if the objective has several values.
        """
        self._check_single("should_prune")
        return not self._trial.goes_on

    def _check_single(self, method: str) -> None:
        if len(self._trial.names) > 1:
            raise NotImplementedError(f"Trial.{method} is not supported for multi-objective optimization.")

    def set_user_attr(self, key: str, value: Any) -> None:
        """Store plain data with the trial."""
        self.user_attrs[key] = value
        self._trial.set_attribute(key, value)

    @property
    def distributions(self) -> dict[str, Distribution]:
        """The distributions of the values drawn so far, by name."""
        return dict(self._hp.space)
