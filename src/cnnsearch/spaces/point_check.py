"""Draws the default point and recipes of a space before a search starts, in a process of its own.

The parent of a search never runs the code of dimensions: that code could leave a thread behind, change the folder or
end the process.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from cnnsearch.core.errors import CnnsearchError, PluginError, SpaceError
from cnnsearch.spaces import plugins as catalog
from cnnsearch.spaces import recipes as recipe_points
from cnnsearch.spaces.space import LARGE, Space, check_default

LIMIT = 60.0
"""Seconds after which the process is ended."""

KINDS: dict[str, type[CnnsearchError]] = {kind.__name__: kind for kind in (SpaceError, PluginError)}
"""The types of errors that the process sends by name; all others become a CnnsearchError."""


@contextlib.contextmanager
def points_checked(space: Space, plugins: Iterable[Path], recipes: Iterable[str]) -> Iterator[None]:
    """Draw the default point of a space, and these recipes of it, in a process of its own while the code inside runs.

    A process that ends without an answer, or gives none within LIMIT seconds, reports no problem: a worker draws the
    same points and reports what happens. A space with a model is not checked, because only a worker builds models.

    Raises:
        CnnsearchError: at the end, if a point cannot be drawn because an option or a value is wrong.
    """
    if space.model:
        yield
        return
    request = {
        "space": {**space.to_dict(), "where": space.where},
        "plugins": [str(folder.resolve()) for folder in plugins],
        "recipes": list(recipes),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnsearch.spaces.point_check"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # `-m` would put the current folder, and so its code, before everything else
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    timer = threading.Timer(LIMIT, process.kill)
    timer.daemon = True
    timer.start()
    try:
        # it may have ended by now
        with contextlib.suppress(OSError), process.stdin:
            process.stdin.write(json.dumps(request).encode())
        yield
        answer = _answer(process.stdout.readline())
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    if answer.get("problem"):
        raise KINDS.get(answer["kind"], CnnsearchError)(answer["problem"])


def _answer(line: bytes) -> dict[str, str]:
    """The answer in a line of the process; empty if the process gave none."""
    try:
        found: dict[str, str] = json.loads(line)
        return found
    except ValueError:
        return {}


def main() -> None:
    """Read a request from stdin, answer it in one line on stdout, and end, whatever threads still run."""
    request, answers = json.loads(sys.stdin.buffer.read()), _take_stdout()
    try:
        _draw_all(request)
        problem: dict[str, str] = {}
    except CnnsearchError as error:
        problem = {"kind": type(error).__name__, "problem": error.message}
    answers.write(json.dumps(problem) + "\n")
    answers.flush()
    os._exit(0)


def _draw_all(request: dict[str, Any]) -> None:
    """Draw all points of a request.

    Raises:
        CnnsearchError: if one cannot be drawn.
    """
    space = Space.from_dict(request["space"])
    known = catalog.load([Path(folder) for folder in request["plugins"]])
    check_default(space, known)
    for name in request["recipes"]:
        # with a dataset of the user's own, only a worker knows the shape of its images
        recipe_points.point(space, known, name, (*(space.image_size or LARGE), 3))


def _take_stdout() -> TextIO:
    """Keep stdout for the answer. What dimensions print is lost here; the workers' logs have it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
