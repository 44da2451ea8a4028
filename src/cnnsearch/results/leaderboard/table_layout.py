"""Fits a table into the width of a terminal: one line a row, with columns left out and long texts shortened."""

import re
from typing import NamedTuple

GAP = 2
"""The characters between two columns."""


class Layout(NamedTuple):
    """The columns that are shown with their cells, and whether anything was left out or shortened."""

    columns: dict[str, list[str]]
    cut: bool


def fitted(columns: dict[str, list[str]], least: dict[str, int], optional: tuple[str, ...], width: int) -> Layout:
    """The columns that fit into `width` characters.

    Args:
        columns: the title and the cells of each column, by its name.
        least: columns with long texts, and the width that each of them has at least.
        optional: columns that may be left out; the first is left out first.
        width: the number of characters of a line.
    """
    full = {name: max(map(len, cells)) for name, cells in columns.items()}
    widths = {name: min(size, least.get(name, size)) for name, size in full.items()}
    for name in optional:
        if _total(widths) <= width:
            break
        widths.pop(name, None)
    free = width - _total(widths)
    for name in least:
        if name in widths:
            more = max(0, min(free, full[name] - widths[name]))
            widths[name], free = widths[name] + more, free - more
    if free < 0:
        longest = max(widths, key=lambda name: (name in least, widths[name]))
        widths[longest] = max(1, widths[longest] + free)
    shown = {name: [shortened(cell, widths[name]) for cell in columns[name]] for name in columns if name in widths}
    return Layout(shown, shown != columns)


def shortened(text: str, width: int) -> str:
    """At most `width` characters of a text; of hyperparameters those that fit, and the number of the others."""
    if len(text) <= width:
        return text
    parts = re.split(r" (?=\S+=)", text)
    # the last part may end with the number of hyperparameters that were left out before
    last, _, before = parts[-1].rpartition(" +")
    more = int(before) if last and before.isdigit() else 0
    parts[-1] = last if more else parts[-1]
    for most in range(len(parts) - 1, 0, -1):
        short = " ".join(parts[:most]) + f" +{len(parts) - most + more}"
        if len(short) <= width:
            return short
    return text[: max(0, width - 1)] + "…"


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)
