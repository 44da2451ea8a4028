"""Rows of the leaderboard selected by conditions such as `params<=50000`, and sorted by a column."""

import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from cnnsearch.core.errors import FAILURES, CnnsearchError, nearest
from cnnsearch.results.leaderboard.ranked_rows import Row, columns_of

Hyperparameters = dict[int, dict[str, Any]]
"""The hyperparameter values of each trial, by its number."""

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


class Condition(NamedTuple):
    """A column or hyperparameter, a sign of COMPARISONS, and the value to compare with."""

    name: str
    sign: str
    wanted: str

    def holds(self, value: Any) -> bool:
        """Whether a value meets the condition. A missing value meets none; numbers are compared as numbers."""
        compare = COMPARISONS[self.sign]
        if value is None:
            return False
        if self.wanted == "failed" and value in FAILURES:
            return self.sign == "="
        try:
            return compare(float(value), float(self.wanted))
        except (TypeError, ValueError):
            # as in TOML and in Python
            wanted = self.wanted.capitalize() if isinstance(value, bool) else self.wanted
            return compare(str(value), wanted)


def filtered(board: list[Row], conditions: tuple[str, ...], sort: str, values: Hyperparameters) -> list[Row]:
    """The rows that meet every condition (`params<=50000`, `state=complete`, `filters/first=32`), sorted.

    Args:
        board: the rows.
        conditions: the texts of the conditions.
        sort: a column or hyperparameter, with `-` before it for the largest first; empty keeps the order.
        values: the hyperparameter values of each trial.

    Raises:
        CnnsearchError: if a condition is malformed or a column is unknown.
    """
    known = {*columns_of(board), *(name for own in values.values() for name in own)}
    for text in conditions:
        condition = _parsed(text)
        if condition.name not in known:
            raise CnnsearchError(
                f"--where {text}: there is no column '{condition.name}'.{nearest(condition.name, known)} The columns "
                "are those of --format csv, and the hyperparameters."
            )
        board = [row for row in board if condition.holds(_value(row, condition.name, values))]
    column = sort.removeprefix("-")
    if column and column not in known:
        raise CnnsearchError(f"--sort {sort}: there is no column '{column}'.{nearest(column, known)}")
    return _sorted(board, column, sort.startswith("-"), values) if column else board


def _parsed(text: str) -> Condition:
    found = re.fullmatch(r"([^<>=!]+)(<=|>=|!=|=|<|>)(.*)", text.strip())
    if not found:
        raise CnnsearchError(
            f"--where '{text}' is not a condition; expected for example params<=50000 or state=complete."
        )
    name, sign, wanted = (part.strip() for part in found.groups())
    if sign in ("<", "<=", ">", ">=") and not _is_number(wanted):
        raise CnnsearchError(f"--where '{text}': '{wanted}' is not a number, and {sign} needs one.")
    return Condition(name, sign, wanted)


def _sorted(board: list[Row], column: str, descending: bool, values: Hyperparameters) -> list[Row]:
    """The rows sorted by a column; rows without a value come last."""
    filled = [row for row in board if _value(row, column, values) not in (None, "")]
    empty = [row for row in board if _value(row, column, values) in (None, "")]
    mixed = len({isinstance(_value(row, column, values), str) for row in filled}) > 1

    def key(row: Row) -> Any:
        value = _value(row, column, values)
        return str(value) if mixed or isinstance(value, list | tuple) else value

    return sorted(filled, key=key, reverse=descending) + empty


def _value(row: Row, name: str, values: Hyperparameters) -> Any:
    return row[name] if name in row else values.get(row["trial"], {}).get(name)


def _is_number(text: str) -> bool:
    """Whether a text is a number other than NaN."""
    try:
        return float(text) == float(text)
    except ValueError:
        return False
