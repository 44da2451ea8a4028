"""`hp`, which has the methods of KerasTuner's `HyperParameters`; a function that the caller gives draws each value."""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from cnnsearch.spaces.distributions import Distribution, Value, choice, floats, integers, plain

Draw = Callable[[str, Distribution], Value]
"""Gives the value of a hyperparameter, by its full name and its distribution."""


class HyperParameters:
    """Draws hyperparameters, as KerasTuner's `HyperParameters` does.

    `draw(name, distribution)` is called once for each full name; later calls get the same value.
    `values` holds what was drawn, `space` the distributions, both by full name such as `filters/first`.
    """

    def __init__(self, draw: Draw) -> None:
        self.values: dict[str, Value] = {}
        self.space: dict[str, Distribution] = {}
        self.trial = _Trial(self)
        self._draw = draw
        self._scopes: list[str] = []
        self._active = True

    def Choice(
        self,
        name: str,
        values: Iterable[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """One of `values`. The default point has `default`, or the first of them.

        Args:
            name: the hyperparameter's name in the present scope.
            values: numbers, texts, true, false or None.
            ordered: accepted because KerasTuner has it; it changes nothing.
            default: the value of the default point; None: the first of `values`.
            parent_name: draw only if this hyperparameter has one of `parent_values`; otherwise the value is None.
            parent_values: a value, or several.

        Raises:
            ValueError: if there are no values, or `default` is none of them.
        """
        return self._take(name, choice(self._full(name), values, default), parent_name, parent_values)

    def Boolean(
        self, name: str, default: bool = False, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """True or False. The default point has `default`. `name`, `parent_name` and `parent_values` as in `Choice`."""
        first = bool(default)
        return self._take(name, Distribution("choice", first, (first, not first)), parent_name, parent_values)

    def Fixed(self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None) -> Any:
        """A `value` that is recorded but not searched. `name`, `parent_name` and `parent_values` as in `Choice`."""
        value = plain(value)
        return self._take(name, Distribution("choice", value, (value,)), parent_name, parent_values)

    def Int(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """An integer from `min_value` to `max_value`, both included. Whole floats such as 1e2 count as integers.

        With `sampling="log"` a `step` multiplies: `Int("units", 2, 32, step=2, sampling="log")` is one of
        2, 4, 8, 16 and 32.

        Args:
            name: the hyperparameter's name in the present scope.
            min_value: the least value.
            max_value: the greatest value.
            step: the distance of neighbouring values; None: 1, and every integer with `sampling="log"`.
            sampling: "linear" or "log".
            default: the value of the default point; None: `min_value`.
            parent_name: draw only if this hyperparameter has one of `parent_values`; otherwise the value is None.
            parent_values: a value, or several.

        Raises:
            ValueError: if the range is empty, or the scale is another.
        """
        distribution = integers(self._full(name), min_value, max_value, step, sampling, default)
        return self._take(name, distribution, parent_name, parent_values)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A number from `min_value` to `max_value`, both included.

        Args:
            name: the hyperparameter's name in the present scope.
            min_value: the least value.
            max_value: the greatest value.
            step: the distance of neighbouring values; None: any number.
            sampling: "linear", or "log" for a logarithmic scale, on which a `step` multiplies.
            default: the value of the default point; None: `min_value`.
            parent_name: draw only if this hyperparameter has one of `parent_values`; otherwise the value is None.
            parent_values: a value, or several.

        Raises:
            ValueError: if the range is empty, or the scale is another.
        """
        distribution = floats(self._full(name), min_value, max_value, step, sampling, default)
        return self._take(name, distribution, parent_name, parent_values)

    @contextlib.contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put `name/` before every name drawn inside."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Draw inside only if `parent_name` has one of `parent_values`; otherwise every draw gives None."""
        before = self._active
        self._active = before and self._matches(parent_name, parent_values)
        try:
            yield
        finally:
            self._active = before

    def get(self, name: str) -> Any:
        """The value drawn under `name` in the present scope.

        Raises:
            KeyError: if nothing was drawn under it.
        """
        full = self._full(name)
        if full not in self.values:
            raise KeyError(f"no hyperparameter {full!r} was drawn; there are {', '.join(self.values) or 'none'}")
        return self.values[full]

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._full(name) in self.values

    def _take(self, name: str, distribution: Distribution, parent: str | None, parent_values: Any) -> Value:
        if not self._active or (parent is not None and not self._matches(parent, parent_values)):
            return None
        full = self._full(name)
        if full not in self.values:
            distribution.check(full)
            self.space[full] = distribution
            self.values[full] = self._draw(full, distribution)
        return self.values[full]

    def _matches(self, parent_name: str, parent_values: Any) -> bool:
        several = isinstance(parent_values, Iterable) and not isinstance(parent_values, str | bytes)
        allowed = [plain(value) for value in (parent_values if several else [parent_values])]
        full = self._full(parent_name)
        return full in self.values and self.values[full] in allowed

    def _full(self, name: str) -> str:
        return "/".join([*self._scopes, name])


class _Trial:
    """`hp.trial`: the same draws with the method names of Optuna's `Trial`."""

    def __init__(self, hp: HyperParameters) -> None:
        self._hp = hp

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._hp.Choice(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Any:
        return self._hp.Int(name, low, high, None if log else step, "log" if log else "linear")

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> Any:
        return self._hp.Float(name, low, high, step, "log" if log else "linear")


def defaults(name: str, distribution: Distribution) -> Value:
    """A Draw that gives the default point: the default of `distribution`, whatever the `name`."""
    return distribution.default


def by_chance(seed: int) -> Draw:
    """A Draw that gives a random point, the same one for the same seed."""
    generator = random.Random(seed)
    return lambda name, distribution: distribution.random(generator)


def replay(values: dict[str, Any]) -> Draw:
    """A Draw that gives `values`, and the default of each name that has no value there."""
    return lambda name, distribution: values.get(name, distribution.default)
