"""A study as text: what Python shows for a result."""

from cnnsearch.cli import tables
from cnnsearch.results import leaderboard
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED

ROWS = 5
"""How many rows of the leaderboard are shown."""


def text(opened: Study) -> str:
    """The headline of a study and the top of its leaderboard."""
    board = leaderboard.rows(opened, ROWS, choices=6)
    table = tables.text(leaderboard.TerminalTable(board, tables.width()).text("")) if board else ""
    return f"Result({opened.name!r}, {headline(opened)})\n{table}".rstrip()


def headline(opened: Study) -> str:
    """The number of trials, the best score and the folder of a study."""
    trials = sum(record.state in COUNTED for record in opened.trials())
    first = next(iter(leaderboard.rows(opened, 1)), None)
    best = ""
    if first and first["rank"] is not None and first["score"] is not None:
        best = f", best {opened.info['metric']} {first['score']:.4f} (trial {first['trial']})"
    return f"{trials} trial{'' if trials == 1 else 's'}{best}, in {opened.folder}"
