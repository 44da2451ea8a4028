"""The folder of an export: which files it has, and how it is written completely or not at all."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results.export import formats

MARK = "card.json"
"""The file that identifies the folder of an export."""

FILES = {
    *("plan.json", "space.toml", "labels.json", "leaderboard.csv", "leaderboard.md", "card.md", MARK),
    *("curves.png", "confusion.png", "mistakes.png", "samples.png"),
}
"""The files of an export without the model files. A new export may replace them."""


def check_free(out: Path) -> None:
    """Refuse a folder that is not empty and not an earlier export.

    Raises:
        CnnsearchError: it names some of the other files.
    """
    if out.name in ("", ".."):
        raise CnnsearchError(f"{out} cannot be replaced; name the folder of the export itself with -o DIR.")
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    replaceable = FILES | _model_files(out / MARK)
    if names and (MARK not in names or not names <= replaceable):
        others = ", ".join(sorted(names - replaceable)[:3])
        raise CnnsearchError(
            f"{out} exists and is not an earlier export, or holds other files too ({others}); "
            "name another folder with -o DIR."
        )


def _model_files(card: Path) -> set[str]:
    """The names of the model files of an earlier export."""
    try:
        written: list[str] = json.loads(card.read_text("utf-8")).get("formats", [])
        return {formats.KNOWN[name].file if name in formats.KNOWN else f"model.{name}" for name in written}
    except (OSError, ValueError, AttributeError, TypeError):
        return set()


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A new folder next to `out`, to be filled; at the end it replaces `out`.

    If the body fails, `out` stays as it is.

    Raises:
        CnnsearchError: if the folder cannot be written, or `out` is not free any more.
    """
    folder = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        # Checked again, because a training may have taken hours.
        check_free(out)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another folder with -o DIR.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
