"""The disk space of studies."""

import os
from pathlib import Path

from cnnsearch.study.study import Study


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder. Links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if os.path.lexists(path) else 0
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            # a running search may remove files at the same time
            file = Path(folder, name)
            total += file.lstat().st_size if os.path.lexists(file) else 0
    return total


def text(size: float) -> str:
    """A size as people read it: 340 kB, 1.2 GB."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def besides(runs: Path, studies: list[Study]) -> list[tuple[str, int]]:
    """The other files and folders in the runs folder, such as the database: names and bytes, the largest first."""
    homes = {study.folder for study in studies}
    found = [(path.name, size(path)) for path in runs.glob("*") if path.resolve() not in homes]
    return sorted(((name, taken) for name, taken in found if taken), key=lambda each: -each[1])
