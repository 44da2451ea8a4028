"""Composes the page of a report, writes its file and logs it to MLflow."""

import os
from pathlib import Path

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.version import VERSION
from cnnsearch.results.report import findings, plot_sections, sections
from cnnsearch.results.report.facts import Facts, gather
from cnnsearch.results.report.model_images import model_sections
from cnnsearch.results.report.page import Page, html
from cnnsearch.study import mlflow_store
from cnnsearch.study.study import Study, now

MARK = '<meta name="generator" content="cnnsearch">'
"""Identifies an earlier report, which may be replaced."""


def write(study: Study, out: Path, plugins: tuple[Path, ...] = (), options: str = "") -> Facts:
    """Write the report of `study` to the file `out`; returns its facts.

    `options` are the options that a command needs to find the study.

    Raises:
        CnnsearchError: if `out` is another file, or cannot be written.
    """
    _check_free(out)
    known = gather(study, options)
    text = html(compose(known, plugins))
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8")
        partial.replace(out)
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another file with -o FILE.") from error
    return known


def compose(known: Facts, plugins: tuple[Path, ...] = ()) -> Page:
    """The page with all its sections."""
    info = known.study.info
    mistakes, samples = model_sections(known, plugins)
    return Page(
        title=f"{known.study.name}: {findings.headline(known)}",
        kicker=f"Study {known.study.name}: space {info['space']['name']} on {info['data']['name']}",
        headline=findings.headline(known),
        tiles=findings.tiles(known),
        points=findings.points(known),
        next=findings.next_steps(known),
        sections=(
            sections.board(known),
            sections.recipes(known),
            plot_sections.history(known),
            plot_sections.cost(known),
            plot_sections.importance(known),
            plot_sections.slices(known),
            sections.effects(known, plugins),
            sections.best_trial(known),
            plot_sections.curves(known),
            mistakes,
            samples,
            plot_sections.tradeoff(known),
            sections.made_with(known),
            sections.commands(known),
        ),
        footer=f"Written by cnnsearch {VERSION} on {now()[:16].replace('T', ' at ')}.",
    )


def log(study: Study, out: Path) -> str:
    """Log the page to MLflow. Returns the reason if that fails; the page stays valid."""
    try:
        mlflow_store.log_files(study, [out], "report")
    except CnnsearchError as error:
        return error.message
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    return ""


def _check_free(out: Path) -> None:
    # `os.path.exists` returns False for names that no file can have; `Path.exists` raises an error
    if not os.path.exists(out):  # noqa: PTH110
        return
    try:
        earlier = MARK in out.read_text("utf-8", errors="replace")[:2000]
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another file with -o FILE.") from error
    if not earlier:
        raise CnnsearchError(f"{out} exists and is not a report of cnnsearch; name another file with -o FILE.")
