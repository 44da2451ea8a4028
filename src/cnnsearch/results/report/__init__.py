"""`cnnsearch report`: a study as one HTML page that needs no network."""

from cnnsearch.results.report.writer import compose, log, write

__all__ = ["compose", "log", "write"]
