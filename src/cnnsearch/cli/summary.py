"""What `cnnsearch run` and `confirm` print when a search has ended."""

import json
import os
import shlex
from pathlib import Path

import click

from cnnsearch.cli import tables
from cnnsearch.results import leaderboard, majority
from cnnsearch.study import ranking
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.confirmation import confirmed, optimism
from cnnsearch.study.storage import storage_errors
from cnnsearch.study.study import Study
from cnnsearch.tuning.outcome import check_ended, stopped
from cnnsearch.tuning.trial_source import End, EndReason

TOP = 10
"""How many trials the summary shows."""


def report(opened: Study, end: End, config: SearchConfig, json_lines: bool) -> None:
    """Print the top of the leaderboard and what to do next.

    Raises:
        CnnsearchError: if no trial completed, or the search was stopped by a fault.
    """
    place = where_else(config.study.runs, config.study.storage)
    with storage_errors(config.study.storage, config.study.runs):
        board = leaderboard.rows(opened, top=TOP)
        if json_lines:
            best = board[0] if board else None
            ended = end.problem or end.reason
            click.echo(json.dumps({"event": "end", "study": opened.name, "ended": ended, "best": best}))
        else:
            if board:
                _show(opened, [row for row in board if row["score"] is not None] or board, place)
            _show_next_steps(opened, end.reason, config, board, place)
        if end.reason is EndReason.INTERRUPTED:
            click.echo(f"\n{stopped(opened)} The same command resumes it.", err=True)
    check_ended(opened, end)


def show_top(opened: Study, place: str) -> None:
    """Print the top of the leaderboard and the confidence in its first trial; `place`: what `where_else` returns."""
    _show(opened, leaderboard.rows(opened, TOP), place)


def where(runs: Path, storage: str = "") -> str:
    """The options with which a command finds these studies; empty for the default folder.

    The storage address is not in it, because it can contain a password.
    """
    folder = "" if runs == Path("runs") else f" --runs {shlex.quote(str(runs))}"
    return folder + (" --storage ADDRESS" if storage else "")


def where_else(runs: Path, storage: str) -> str:
    """The same without the storage's address if the environment has it."""
    return where(runs, "" if "CNNSEARCH_STORAGE" in os.environ else storage)


def _show(opened: Study, board: list[leaderboard.Row], place: str) -> None:
    table = leaderboard.TerminalTable(board, tables.width())
    tables.show(table.text(f"{opened.name}: the best by {opened.info['metric']}"))
    if table.is_cut:
        click.echo(f"All columns and hyperparameters: cnnsearch leaderboard --wide {opened.name}{place}")
    for line in (table.caption(), *majority.lines(opened), *_confidence(opened)):
        click.echo(line)


def _confidence(opened: Study) -> list[str]:
    """The mean of the best trial over new seeds, compared with its search score; empty if it was not confirmed."""
    best = next((record for record in ranking.ranked(opened) if record.state == "complete"), None)
    found = confirmed(opened).get(best.number) if best else None
    if best is None or best.score is None or found is None:
        return []
    ends = " and ".join(f"{end:.3f}" for end in found.interval or ())
    where = "on these validation images" if found.seeds_only else "on new images"
    interval = f" The {opened.info['metric']} of its model {where} is between {ends} (95% interval)." if ends else ""
    too_good = optimism(best.score, found, opened.maximize)
    difference = f"{abs(too_good):.4f}"
    than_mean = "equal to" if float(difference) == 0 else f"{difference} {'better' if too_good > 0 else 'worse'} than"
    return [
        f"\nThe best, trial {best.number}: the mean over {found.n} new seed{'s' * (found.n > 1)} is {found.mean:.4f}."
        f"{interval} The search score was {best.score:.4f}, {than_mean} this mean."
    ]


def _show_next_steps(
    opened: Study, ended: EndReason, config: SearchConfig, board: list[leaderboard.Row], place: str
) -> None:
    if ended is EndReason.TIMEOUT:
        none_ended = " No trial ended: workers need some seconds to start. Choose a longer time." * (not board)
        click.echo(f"\nThe time limit is reached.{none_ended} The same command resumes the search.")
    if ended is EndReason.EXHAUSTED:
        click.echo("\nEvery plan of the space that the sampler can find was tried.")
    if not any(row["state"] == "complete" for row in board):
        return
    click.echo("\nSee every trial:   cnnsearch ui")
    if config.study.space.trains_itself:
        return
    click.echo(f"Keep the best:     cnnsearch export --best {opened.name}{place}")
