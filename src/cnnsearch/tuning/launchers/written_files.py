"""The files of a trial on a node of a cluster, and their paths in messages."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from cnnsearch.core import prediction_file
from cnnsearch.core.messages import Completed, Failed, Keep, Message, Paused, RunTrial, Saved
from cnnsearch.tuning.launchers.node_folder import write_file

OWN = "{own}/"
"""Stands for the worker's own folder in the paths of messages."""


class WrittenFiles:
    """The files that a worker writes for its trial: its checkpoint, its model and its predictions.

    The parent gets copies of them.

    A checkpoint is copied when the trial pauses, and at most every EVERY seconds before.
    """

    EVERY = 5.0

    def __init__(self, folder: Path) -> None:
        """`folder` is this worker's own; it stands for the study's folder."""
        self._folder = folder
        self._checkpoint: Path | None = None
        self._model: Path | None = None
        self._copied, self._changed = 0.0, 0

    def add(self, files: Mapping[str, bytes]) -> None:
        """Write the parent's files.

        Raises:
            OSError: if they cannot be written.
        """
        for name, content in files.items():
            write_file(self._folder / name, content)

    def located(self, message: Message) -> Message:
        """The message with paths of this node."""
        if isinstance(message, RunTrial) and message.state.startswith(OWN):
            self._forget_checkpoint()
            self._checkpoint = self._path(message.state)
            message = replace(message, state=str(self._checkpoint))
        if isinstance(message, RunTrial) and message.earlier.startswith(OWN):
            message = replace(message, earlier=str(self._path(message.earlier)))
        if isinstance(message, Keep) and message.path.startswith(OWN):
            self._model = self._path(message.path)
            self._model.parent.mkdir(parents=True, exist_ok=True)
            return replace(message, path=str(self._model))
        return message

    def written(self, messages: Iterable[object]) -> dict[str, bytes]:
        """The files to copy after these messages, by their path in the study's folder."""
        kinds = {type(message) for message in messages}
        if kinds & {Completed, Failed}:
            # the parent has deleted its copy
            self._forget_checkpoint()
        due = Paused in kinds or time.monotonic() - self._copied > self.EVERY
        found = self._content(self._checkpoint) if due else {}
        if Saved in kinds and self._model:
            for path in (self._model, prediction_file.beside(self._model)):
                found |= self._content(path)
                path.unlink(missing_ok=True)
            self._model = None
        return found

    def _forget_checkpoint(self) -> None:
        if self._checkpoint:
            self._checkpoint.unlink(missing_ok=True)
        self._checkpoint, self._changed = None, 0

    def _path(self, given: str) -> Path:
        return self._folder / given.removeprefix(OWN)

    def _content(self, path: Path | None) -> dict[str, bytes]:
        try:
            if path is None or (path == self._checkpoint and path.stat().st_mtime_ns == self._changed):
                return {}
            changed, content = path.stat().st_mtime_ns, path.read_bytes()
        except OSError:
            return {}
        if path == self._checkpoint:
            self._copied, self._changed = time.monotonic(), changed
        return {path.relative_to(self._folder).as_posix(): content}
