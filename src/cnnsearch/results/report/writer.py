"""Composes the page of a report, writes its file and logs it to MLflow."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.version import VERSION
from cnnsearch.core.whole_file import replaced
from cnnsearch.results.comparison.compare import compare
from cnnsearch.results.comparison.effect_table import EffectTable
from cnnsearch.results.report import chart_sections, findings, sections
from cnnsearch.results.report.facts import Facts, gather
from cnnsearch.results.report.importance import Importance
from cnnsearch.results.report.model_images import model_sections
from cnnsearch.results.report.page import Page, Section, StudyPage, html
from cnnsearch.results.report.payload import Payload, payload
from cnnsearch.study import mlflow_store
from cnnsearch.study.study import Study, now

MARK = '<meta name="generator" content="cnnsearch">'
"""Identifies an earlier report, which may be replaced."""


def write(
    study: Study, out: Path, plugins: tuple[Path, ...] = (), options: str = "", others: Sequence[Study] = ()
) -> Facts:
    """Write the report of `study`, with `others` beside it, to the file `out`; returns the facts of `study`.

    `options` are the options that a command needs to find the studies.

    Raises:
        CnnsearchError: if `out` is another file, or cannot be written.
    """
    _check_free(out)
    known = [gather(each, options) for each in (study, *others)]
    text = html(compose(known, plugins))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replaced(out) as partial:
            partial.write_text(text, "utf-8")
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another file with -o FILE.") from error
    return known[0]


class Extras(NamedTuple):
    """The parts of a report that take longest: importances, effects, mistakes and training images.

    `images` is the data of the charts of mistakes. `effects` is a text if there are none.
    """

    importances: tuple[Importance, ...]
    effects: EffectTable | str
    mistakes: Section
    samples: Section
    images: Payload | None


def extras(known: Facts, plugins: tuple[Path, ...] = ()) -> Extras:
    """Compute the parts that take longest."""
    return Extras(known.importances, _effects(known, plugins), *model_sections(known, plugins))


def compose(known: Sequence[Facts], plugins: tuple[Path, ...] = ()) -> Page:
    """The page of one study, or of several side by side."""
    return page([study_page(each, extras(each, plugins)) for each in known])


def page(studies: Sequence[StudyPage], live: bool = False) -> Page:
    """The page of these studies; `live`: a server updates it."""
    names = " and ".join(study.name for study in studies)
    title = f"{names}: {studies[0].headline}" if len(studies) == 1 else f"{names} side by side"
    footer = f"Written by cnnsearch {VERSION} on {now()[:16].replace('T', ' at ')}."
    return Page(title, title, tuple(studies), footer, live)


def study_page(known: Facts, given: Extras) -> StudyPage:
    """The report of one study with all its sections."""
    info = known.study.info
    return StudyPage(
        name=known.study.name,
        kicker=f"Study {known.study.name}: space {info['space']['name']} on {info['data']['name']}",
        headline=findings.headline(known),
        tiles=findings.tiles(known),
        points=findings.points(known),
        next=findings.next_steps(known),
        sections=(
            sections.board(known),
            sections.recipes(known),
            chart_sections.history(known),
            chart_sections.curves(known),
            chart_sections.cost(known),
            chart_sections.importance(known),
            chart_sections.slices(known),
            sections.effects(known, given.effects),
            chart_sections.tradeoff(known),
            sections.best_trial(known),
            given.mistakes,
            given.samples,
            sections.made_with(known),
            sections.commands(known),
        ),
        payload=payload(known, [] if isinstance(given.effects, str) else given.effects.rows, given.images),
    )


def _effects(known: Facts, plugins: tuple[Path, ...]) -> EffectTable | str:
    """The effects of the hyperparameters, or why they cannot be estimated."""
    try:
        return compare(known.study, plugins, "")
    except CnnsearchError as error:
        return error.message


def log(study: Study, out: Path) -> str:
    """Log the page to MLflow. Returns the reason if that fails; the page stays valid."""
    return mlflow_store.try_to_log(study, [out], "report")


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
