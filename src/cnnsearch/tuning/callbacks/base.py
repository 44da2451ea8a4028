"""What a running search tells whoever shows it."""

from typing import Protocol

from cnnsearch.tuning.progress import Progress, Repeated


class Display(Protocol):
    """Shows a search. A context manager; called with the progress at every change."""

    def __enter__(self) -> "Display": ...
    def __exit__(self, *error: object) -> None: ...
    def __call__(self, progress: Progress) -> None: ...
    def loading(self, done: int, total: int) -> None:
        """So many images of the dataset are decoded, before the first trial."""

    def repeated(self, done: Repeated) -> None:
        """A training on a fresh seed ended."""

    def note(self, text: str) -> None:
        """Say one line."""
