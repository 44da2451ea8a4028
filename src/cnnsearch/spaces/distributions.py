"""The range or the choices of one hyperparameter, and the distributions that the methods of `hp` make."""

import math
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

Value = int | float | str | bool | None


@dataclass(frozen=True)
class Distribution:
    """The possible values of one hyperparameter: `choices`, or the numbers from `low` to `high`, both included."""

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
        """The number of values; infinite for a float without a step."""
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
        """One random value."""
        if self.kind == "choice":
            return generator.choice(self.choices)
        if self.step is not None:
            value = self.low + generator.randrange(int(self.size)) * self.step
        elif self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        return round(value) if self.kind == "int" else min(max(value, self.low), self.high)

    def check(self, name: str) -> None:
        """Check the choices and the default of the hyperparameter `name`.

        Raises:
            ValueError: if a choice is not plain data, or the default is not among the values.
        """
        if odd := [choice for choice in self.choices if not isinstance(choice, Value)]:
            raise ValueError(
                f"{name} has {odd[0]!r} among its values; expected text, numbers, True, False or None. "
                'Choose a name, and look up what it stands for: {"tall": (5, 3)}[hp.Choice("shape", ["tall"])].'
            )
        if not self.contains(self.default):
            raise ValueError(f"the default {self.default!r} of {name} is not among its values: {self}")

    def __str__(self) -> str:
        if self.kind == "choice":
            return " | ".join(str(choice) for choice in self.choices)
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else f" by {self.step:g}" if self.step else "")


def choice(name: str, values: Iterable[Any], default: Any) -> Distribution:
    """The distribution of `hp.Choice`.

    Raises:
        ValueError: if there are no values.
    """
    choices = tuple(plain(value) for value in values)
    if not choices:
        raise ValueError(f"{name} has no values to choose from")
    wanted = choices[0] if default is None else plain(default)
    equal = [each for each in choices if each == wanted]
    # 1 == True in Python: prefer the choice of the same type
    first = next((each for each in equal if type(each) is type(wanted)), equal[0] if equal else wanted)
    return Distribution("choice", first, choices)


def integers(name: str, low: Any, high: Any, step: Any, sampling: Any, default: Any) -> Distribution:
    """The distribution of `hp.Int`.

    Raises:
        ValueError: if a bound, the step or the default is not a whole number, or `sampling` is unknown.
    """
    low, high = _ordered(name, _whole(name, "min_value", low), _whole(name, "max_value", high))
    first = low if default is None else _whole(name, "default", default)
    sampling, step = _sampling(name, sampling), plain(step)
    step = step and _whole(name, "step", step)
    if sampling == "log" and step:
        return Distribution("choice", first, tuple(map(int, _powers(low, high, step))))
    return _range("int", first, low, high, step or (None if sampling == "log" else 1), sampling)


def floats(name: str, low: Any, high: Any, step: Any, sampling: Any, default: Any) -> Distribution:
    """The distribution of `hp.Float`.

    Raises:
        ValueError: if a bound is not a finite number, or `sampling` is unknown.
    """
    low, high = _ordered(name, plain(low), plain(high))
    first = low if default is None else plain(default)
    sampling, step = _sampling(name, sampling), plain(step)
    if sampling == "log" and step:
        return Distribution("choice", float(first), tuple(_powers(low, high, step)))
    return _range("float", first, low, high, step, sampling)


def plain(value: Any) -> Any:
    """A NumPy scalar as a Python number, text or bool; any other value unchanged."""
    if type(value).__module__ != "numpy" or getattr(value, "shape", None) != ():
        return value
    found = value.item()
    # the 0.1 that was meant, and not the 0.10000000149 that float32 holds
    return float(str(value)) if isinstance(found, float) and value.dtype.itemsize < 8 else found


def _whole(name: str, what: str, value: Any) -> int:
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, int | float) or found % 1 != 0:
        raise ValueError(f"{name} has {what} = {found!r}; expected a number, and a whole number in hp.Int")
    return int(found)


def _sampling(name: str, sampling: Any) -> str:
    """`linear` or `log`, in lower case; None, KerasTuner's default, is linear."""
    found = str(sampling or "linear").lower()
    if found == "reverse_log":
        raise ValueError(
            f"{name} has sampling='reverse_log', which Optuna does not have. Search 1 - x with sampling='log'"
        )
    if found not in ("linear", "log"):
        raise ValueError(f"{name} has sampling={sampling!r}; expected 'linear' or 'log'")
    return found


def _range(kind: str, default: float, low: float, high: float, step: float | None, sampling: str) -> Distribution:
    if sampling == "log" and low <= 0:
        raise ValueError(f"a logarithmic scale must begin above 0, got {low}")
    step = step or None
    if step and step < 0:
        raise ValueError(f"a step must be above 0, got {step}")
    if step:
        high = low + math.floor((high - low) / step + 1e-9) * step
        high = round(high) if kind == "int" else round(high, 12)
    return Distribution(kind, default, low=low, high=high, step=step, log=sampling == "log")


def _ordered(name: str, low: Any, high: Any) -> tuple[Any, Any]:
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} has the range {low!r} to {high!r}; expected two numbers")
    if low > high:
        raise ValueError(f"{name} has the range {low} to {high}; expected the smaller number first")
    return low, high


def _powers(low: float, high: float, step: float) -> list[float]:
    if low <= 0 or step <= 1:
        raise ValueError(f"a logarithmic step must be above 1 and begin above 0, got {step} from {low}")
    count = math.floor(math.log(high / low, step) + 1e-9) + 1
    # rounded, so that 1e-6 times 10 is the 1e-5 that a default or a file says
    return [float(f"{low * step**power:.12g}") for power in range(count)]
