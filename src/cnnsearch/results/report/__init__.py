"""A study as one self-contained HTML page: `cnnsearch report`."""

import os
from pathlib import Path

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.version import VERSION
from cnnsearch.results.report import findings, panels, sections
from cnnsearch.results.report.facts import Facts, gathered
from cnnsearch.results.report.page import Page, html
from cnnsearch.results.report.portrait import looked_at
from cnnsearch.study import mlflow_store
from cnnsearch.study.study import Study, now

MARK = '<meta name="generator" content="cnnsearch">'
"""What tells an earlier report, which may be replaced, from any other file."""


def write(study: Study, out: Path, plugins: tuple[Path, ...] = (), where: str = "") -> Facts:
    """Write the report of `study` to the file `out`; gives back what it says. `where`: options that lead to the study.

    Raises:
        CnnsearchError: if `out` holds something else, or cannot be written.
    """
    _check_free(out)
    known = gathered(study, where)
    text = html(composed(known, plugins))
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8")
        partial.replace(out)
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another file with -o FILE.") from error
    return known


def composed(known: Facts, plugins: tuple[Path, ...] = ()) -> Page:
    """The report's parts in their order."""
    info = known.study.info
    mistakes, samples = looked_at(known, plugins)
    return Page(
        title=f"{known.study.name}: {findings.headline(known)}",
        kicker=f"Study {known.study.name}: space {info['space']['name']} on {info['data']['name']}",
        headline=findings.headline(known),
        tiles=findings.tiles(known),
        points=findings.points(known),
        next=findings.next_steps(known),
        sections=(
            sections.board(known),
            sections.against_recipes(known),
            panels.history(known),
            panels.cost(known),
            panels.importance(known),
            panels.slices(known),
            sections.choices_worth(known, plugins),
            sections.winner(known),
            panels.curves(known),
            mistakes,
            samples,
            panels.tradeoff(known),
            sections.made_with(known),
            sections.commands(known),
        ),
        footer=f"Written by cnnsearch {VERSION} on {now()[:16].replace('T', ' at ')}.",
    )


def log(study: Study, out: Path) -> str:
    """Log the page to MLflow; gives back why not, where that fails: the page is there anyway."""
    try:
        mlflow_store.log_files(study, [out], "report")
    except CnnsearchError as error:
        return error.message
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    return ""


def _check_free(out: Path) -> None:
    # unlike Path's own it answers for names that no file can have
    if not os.path.exists(out):  # noqa: PTH110
        return
    try:
        earlier = MARK in out.read_text("utf-8", errors="replace")[:2000]
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another file with -o FILE.") from error
    if not earlier:
        raise CnnsearchError(f"{out} exists and is no report of cnnsearch; name another file with -o FILE.")
