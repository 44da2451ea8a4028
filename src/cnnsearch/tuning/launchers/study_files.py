"""The files of the study's folder that travel to workers on other machines, and come back from them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cnnsearch.core.messages import Keep, Message, Paused, RunTrial, Saved
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.launchers.node_folder import write_file
from cnnsearch.tuning.launchers.written_files import OWN


class StudyFiles:
    """Checkpoints and models in the study's folder. A checkpoint with an address does not travel."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sent(self, message: Message) -> tuple[Message, dict[str, bytes]]:
        """A message as a worker gets it, and the files that it needs for it.

        A path in the study's folder begins with OWN in the message.
        """
        if isinstance(message, Keep):
            return replace(message, path=self._on_node(message.path)), {}
        if not isinstance(message, RunTrial):
            return message, {}
        files: dict[str, bytes] = {}
        for path in (message.state, message.earlier):
            if message.resume and (own := self._own(path)) and Path(path).is_file():
                files[own] = Path(path).read_bytes()
        state, earlier = self._on_node(message.state), self._on_node(message.earlier)
        return replace(message, state=state, earlier=earlier), files

    def write(self, files: Mapping[str, bytes]) -> str:
        """Write files that came back; why one cannot be written, or an empty text."""
        problem = ""
        for name, content in files.items():
            try:
                write_file(self._folder / name, content)
            except OSError as error:
                problem = f"{self._folder / name} cannot be written: {error.strerror or error}"
        return problem

    def _on_node(self, path: str) -> str:
        own = self._own(path)
        return f"{OWN}{own}" if own else path

    def _own(self, path: str) -> str:
        """The path in the study's folder; empty for an address, and for a path elsewhere."""
        if not path or "://" in path or not Path(path).is_relative_to(self._folder):
            return ""
        return Path(path).relative_to(self._folder).as_posix()


def unsaved(what: Message | LostWorker, problem: str) -> Message | LostWorker:
    """A worker's message; if its files could not be written here, one that says so. `problem`: why not, or empty."""
    if problem and isinstance(what, Saved):
        return replace(what, problem=problem)
    if problem and isinstance(what, Paused):
        return replace(what, saved=False)
    return what
