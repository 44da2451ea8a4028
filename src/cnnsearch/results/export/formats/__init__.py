"""The formats of an exported model: how each is written, and how its own runtime opens it."""

from cnnsearch.results.export.formats.base import BATCH, NOTHING_EXPORTED, Format, open_written, write
from cnnsearch.results.export.formats.registry import KNOWN, check_whole, parse_names, usable_formats

__all__ = [
    "BATCH",
    "KNOWN",
    "NOTHING_EXPORTED",
    "Format",
    "check_whole",
    "open_written",
    "parse_names",
    "usable_formats",
    "write",
]
