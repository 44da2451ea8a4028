"""Durations and sizes as the command line writes them: `90`, `30m`, `2g`."""

from cnnsearch.core.errors import CnnsearchError

SECONDS = {"s": 1, "m": 60, "h": 3600}
BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def seconds(text: str) -> float:
    """`90`, `30m` or `2h` in seconds.

    Raises:
        CnnsearchError: if it is not a duration.
    """
    value = _amount(text, SECONDS)
    if not 0 <= value < float("inf"):
        raise CnnsearchError(f"'{text}' is not a duration; expected seconds, or such as 30m or 2h.")
    return value


def size(text: str) -> int:
    """`800m` or `2g` in bytes.

    Raises:
        CnnsearchError: if it is not a size.
    """
    value = _amount(text.lower(), BYTES)
    if not 0 <= value < float("inf"):
        raise CnnsearchError(f"'{text}' is not a size of memory; expected bytes, or such as 800m or 2g.")
    return int(value)


def _amount(text: str, units: dict[str, int]) -> float:
    """A number with one of these units, or without a unit; -1 for any other text."""
    number, factor = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        return float(number) * factor
    except ValueError:
        return -1.0
