"""The best model as files: verified in the runtime of each format, with its card, plan, space and leaderboard."""

from cnnsearch.results.export.exporter import ExportOptions, export, log
from cnnsearch.results.export.folder import FILES, MARK

__all__ = ["FILES", "MARK", "ExportOptions", "export", "log"]
