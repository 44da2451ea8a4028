"""What `cnnsearch run` and `confirm` print when a search has ended."""

import shlex
from pathlib import Path

import click

from cnnsearch.cli import tables
from cnnsearch.results import leaderboard, majority
from cnnsearch.study import ranking
from cnnsearch.study.config import Settings
from cnnsearch.study.confirmation import confirmed, optimism
from cnnsearch.study.storage import storage_errors
from cnnsearch.study.study import Study
from cnnsearch.tuning.run import check_ended, stopped


def report(opened: Study, ended: str, settings: Settings, json_lines: bool) -> None:
    """Print the top of the leaderboard and what to do next; raise if the search ended for a bad reason."""
    with storage_errors(settings.storage, settings.runs):
        board = leaderboard.rows(opened, top=10, choices=99 if json_lines else 6)
        if json_lines:
            import json

            best = board[0] if board else None
            click.echo(json.dumps({"event": "end", "study": opened.name, "ended": ended, "best": best}))
        else:
            if board:
                _show(opened, [row for row in board if row["score"] is not None] or board)
            _say_next(opened, ended, settings, board)
        if ended == "interrupted":
            click.echo(f"\n{stopped(opened)} The same command goes on.", err=True)
    check_ended(opened, ended)


def show_top(opened: Study, top: int = 10) -> None:
    """Print the top of the leaderboard and how sure it is."""
    _show(opened, leaderboard.rows(opened, top, choices=6))


def _show(opened: Study, board: list[leaderboard.Row]) -> None:
    tables.show(leaderboard.to_table(board, f"{opened.name}: the best by {opened.info['metric']}", tables.width()))
    click.echo(leaderboard.caption(board))
    for line in majority.lines(opened):
        click.echo(line)
    _say_surety(opened)


def _say_surety(opened: Study) -> None:
    """What the confirmation says of the winner, in a line."""
    best = next((record for record in ranking.ranked(opened) if record.state == "complete"), None)
    found = confirmed(opened).get(best.number) if best else None
    if best is None or best.score is None or found is None:
        return
    flattery = optimism(best.score, found, opened.maximize)
    sure = f" ± {found.half:.4f}" if found.half is not None else ""
    by = f"{'too good' if flattery > 0 else 'too modest'} by {abs(flattery):.4f}"
    click.echo(
        f"\nThe best, trial {best.number}: {found.mean:.4f}{sure} over {found.n} fresh seed{'s' * (found.n > 1)}; "
        f"its first score {best.score:.4f} was {by if f'{abs(flattery):.4f}' != '0.0000' else 'just that'}."
    )


def where(runs: Path, storage: str = "") -> str:
    """The options that lead a command to these studies, none for the usual place; no address is told."""
    folder = "" if runs == Path("runs") else f" --runs {shlex.quote(str(runs))}"
    return folder + (" --storage ADDRESS" if storage else "")


def _say_next(opened: Study, ended: str, settings: Settings, board: list[leaderboard.Row]) -> None:
    if ended == "timeout":
        short = "" if board else " No trial had ended: workers take some seconds to start, so give it more of them."
        click.echo(f"\nThe time is up.{short} The same command goes on.")
    if ended == "exhausted":
        click.echo("\nEvery plan of the space that the sampler can find was tried.")
    if not any(row["state"] == "complete" for row in board):
        return
    click.echo("\nSee every trial:   cnnsearch ui")
    click.echo(f"Keep the best:     cnnsearch export --best {opened.name}{where(settings.runs)}")
