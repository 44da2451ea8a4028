"""hp: KerasTuner's vocabulary for drawing hyperparameters, the drawing itself left to whoever made it."""

import contextlib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Value = int | float | str | bool | None


@dataclass(frozen=True)
class Distribution:
    """What one hyperparameter may be: `choices`, or the numbers from `low` to `high`, both included."""

    kind: str
    default: Value
    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for messages and files."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Distribution":
        """The distribution that `to_dict` wrote."""
        return cls(**fields | {"choices": tuple(fields["choices"])})

    @property
    def size(self) -> float:
        """How many values there are; infinite for a float without a step."""
        if self.kind == "choice":
            return len(self.choices)
        if self.step is None:
            return math.inf if self.kind == "float" else self.high - self.low + 1
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def contains(self, value: Any) -> bool:
        """Whether `value` can be drawn."""
        if self.kind == "choice":
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return abs(steps - round(steps)) < 1e-6 and (self.kind == "float" or value == int(value))

    def random(self, generator: random.Random) -> Value:
        """One value by chance, for looking at a space without a study."""
        if self.kind == "choice":
            return generator.choice(self.choices)
        if self.step is not None:
            value = self.low + generator.randrange(int(self.size)) * self.step
        elif self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        return round(value) if self.kind == "int" else min(max(value, self.low), self.high)

    def __str__(self) -> str:
        if self.kind == "choice":
            return " | ".join(str(choice) for choice in self.choices)
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else f" by {self.step:g}" if self.step else "")


Draw = Callable[[str, Distribution], Value]


class HyperParameters:
    """Draws hyperparameters, as KerasTuner's `HyperParameters` does.

    `draw(name, distribution)` is asked once for each full name; later calls get the same value.
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
        """One of `values`; `default` or the first of them in the default point."""
        choices = tuple(plain(value) for value in values)
        if not choices:
            raise ValueError(f"{self._full(name)} has no values to choose from")
        wanted = choices[0] if default is None else plain(default)
        alike = [choice for choice in choices if choice == wanted]
        # True is not the 1 that it equals
        first = next((choice for choice in alike if type(choice) is type(wanted)), alike[0] if alike else wanted)
        return self._take(name, Distribution("choice", first, choices), parent_name, parent_values)

    def Boolean(
        self, name: str, default: bool = False, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """True or False."""
        first = bool(default)
        return self._take(name, Distribution("choice", first, (first, not first)), parent_name, parent_values)

    def Fixed(self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None) -> Any:
        """A value that is recorded but not searched."""
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
        """An integer from `min_value` to `max_value`, both included; whole floats such as 1e2 are taken for integers.

        With `sampling="log"` a `step` multiplies: `Int("units", 2, 32, step=2, sampling="log")` is one of
        2, 4, 8, 16 and 32.
        """
        full = self._full(name)
        low, high = _ordered(full, _whole(full, "min_value", min_value), _whole(full, "max_value", max_value))
        first = low if default is None else _whole(full, "default", default)
        sampling, step = _scale(full, sampling), plain(step)
        if sampling == "log" and step:
            distribution = Distribution("choice", first, tuple(map(int, _powers(low, high, step))))
        else:
            step = step and _whole(full, "step", step)
            distribution = _numbers("int", first, low, high, step or (None if sampling == "log" else 1), sampling)
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
        """A number from `min_value` to `max_value`; on a logarithmic scale with `sampling="log"`."""
        full = self._full(name)
        low, high = _ordered(full, plain(min_value), plain(max_value))
        first = low if default is None else plain(default)
        sampling, step = _scale(full, sampling), plain(step)
        if sampling == "log" and step:
            distribution = Distribution("choice", float(first), tuple(_powers(low, high, step)))
        else:
            distribution = _numbers("float", first, low, high, step, sampling)
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
        """Draw inside only where the parent has one of these values; elsewhere every draw gives None."""
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
            if odd := [choice for choice in distribution.choices if not isinstance(choice, Value)]:
                raise ValueError(
                    f"{full} has {odd[0]!r} among its values; expected text, numbers, True, False or None. "
                    'Choose a name, and look up what it stands for: {"tall": (5, 3)}[hp.Choice("shape", ["tall"])].'
                )
            if not distribution.contains(distribution.default):
                raise ValueError(
                    f"the default {distribution.default!r} of {full} is not among its values: {distribution}"
                )
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
    """`hp.trial`: the same draws in Optuna's vocabulary."""

    def __init__(self, hp: HyperParameters) -> None:
        self._hp = hp

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._hp.Choice(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Any:
        return self._hp.Int(name, low, high, None if log else step, "log" if log else "linear")

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> Any:
        return self._hp.Float(name, low, high, step, "log" if log else "linear")


def defaults(name: str, distribution: Distribution) -> Value:
    """A Draw that gives the default point."""
    return distribution.default


def by_chance(seed: int) -> Draw:
    """A Draw that gives a random point, the same one for the same seed."""
    generator = random.Random(seed)
    return lambda name, distribution: distribution.random(generator)


def replay(values: dict[str, Any]) -> Draw:
    """A Draw that gives `values`, and the default where a name is not among them."""
    return lambda name, distribution: values.get(name, distribution.default)


def plain(value: Any) -> Any:
    """A NumPy scalar as the Python number, text or bool that it stands for; everything else as it is."""
    if type(value).__module__ != "numpy" or getattr(value, "shape", None) != ():
        return value
    found = value.item()
    # the 0.1 that was meant, and not the 0.10000000149 that float32 holds
    return float(str(value)) if isinstance(found, float) and value.dtype.itemsize < 8 else found


def _whole(name: str, what: str, value: Any) -> int:
    """A bound, step or default of `hp.Int`.

    Raises:
        ValueError: if it is no whole number.
    """
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, int | float) or found % 1 != 0:
        raise ValueError(f"{name} has {what} = {found!r}; hp.Int takes whole numbers, hp.Float takes others")
    return int(found)


def _scale(name: str, sampling: Any) -> str:
    """`linear` or `log`, in capitals too; KerasTuner's default, None, is linear.

    Raises:
        ValueError: if it is neither.
    """
    found = str(sampling or "linear").lower()
    if found == "reverse_log":
        raise ValueError(f"{name} has sampling='reverse_log', which Optuna has not; search 1 - x with sampling='log'")
    if found not in ("linear", "log"):
        raise ValueError(f"{name} has sampling={sampling!r}; expected 'linear' or 'log'")
    return found


def _numbers(kind: str, default: float, low: float, high: float, step: float | None, sampling: str) -> Distribution:
    if sampling == "log" and low <= 0:
        raise ValueError(f"a logarithmic scale must begin above 0, got {low}")
    step = step or None
    if step:
        high = low + math.floor((high - low) / step + 1e-9) * step
        high = round(high) if kind == "int" else round(high, 12)
    return Distribution(kind, default, low=low, high=high, step=step, log=sampling == "log")


def _ordered(name: str, low: Any, high: Any) -> tuple[Any, Any]:
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} goes from {low!r} to {high!r}; expected two numbers")
    if low > high:
        raise ValueError(f"{name} goes from {low} to {high}: the first must not be the larger")
    return low, high


def _powers(low: float, high: float, step: float) -> list[float]:
    if low <= 0 or step <= 1:
        raise ValueError(f"a logarithmic step must be above 1 and begin above 0, got {step} from {low}")
    count = math.floor(math.log(high / low, step) + 1e-9) + 1
    # rounded, so that 1e-6 times 10 is the 1e-5 that a default or a file says
    return [float(f"{low * step**power:.12g}") for power in range(count)]
