"""The commands that run a search: `run` and `confirm`."""

import shlex
import sys
from typing import Any

import click

from cnnsearch.cli import interruption
from cnnsearch.cli.options import GroupedCommand, option, study_options
from cnnsearch.cli.run_options import run_options
from cnnsearch.core.checkpoint_address import redacted_in


@click.command(cls=GroupedCommand)
@run_options
@study_options
def run(quiet: bool, json_lines: bool, ui: bool, **given: Any) -> None:
    """Search a space: train its candidates and rank them. The same command resumes the study."""
    from cnnsearch.cli import search_config

    config = search_config.search_config(**given)
    # after the options are known to be right: they import Optuna
    from cnnsearch.cli import display, summary
    from cnnsearch.cli.live_process import LivePage
    from cnnsearch.results import leaderboard
    from cnnsearch.study import address
    from cnnsearch.tuning import run as tuning
    from cnnsearch.tuning.trial_source import EndReason

    shown = display.choose(json_lines, quiet)
    words = [address.redacted_in(word, config.study.storage) for word in sys.argv[1:]]
    line = shlex.join(["cnnsearch", *(redacted_in(word, given["checkpoints"]) for word in words)])
    pages = (LivePage(config),) if ui else ()
    try:
        with shown:
            study, end = tuning.run(config, (shown, leaderboard.LeaderboardFiles(), *pages), line)
        summary.report(study, end, config, json_lines)
    except KeyboardInterrupt:
        interruption.stop("finished trial")
    if end.reason is EndReason.INTERRUPTED:
        sys.exit(interruption.EXIT_CODE)


@click.command(cls=GroupedCommand)
@click.argument("study", required=False)
@option("--top", default=3, metavar="N", type=click.IntRange(1), help="How many of the best trials to train again.")
@option("--seeds", default=3, metavar="N", type=click.IntRange(1), help="How many new seeds each trial has at the end.")
@option(
    "--trial",
    "trials",
    multiple=True,
    metavar="N",
    type=click.IntRange(0),
    help="Train this trial again instead. May be repeated.",
)
@option(
    "--timeout",
    default="0",
    metavar="TIME",
    shown="0, no limit",
    help="Start only trainings that will end within this time: 90 (seconds), 30m, 2h.",
)
@option(
    "--jobs", metavar="N", type=click.IntRange(1), shown="as for run", help="How many trainings run at the same time."
)
@study_options
def confirm(timeout: str, **given: Any) -> None:
    """Train the best trials of STUDY (default: the latest) again on new seeds, and rank them by their mean."""
    from cnnsearch.cli import plain_display, quantities, summary
    from cnnsearch.results import leaderboard
    from cnnsearch.tuning import confirm as confirming
    from cnnsearch.tuning.trial_source import EndReason

    seconds = quantities.seconds(timeout)
    callbacks = (plain_display.Plain(), leaderboard.LeaderboardFiles())
    try:
        study, end = confirming.confirm(**given, timeout=seconds, callbacks=callbacks)
    except KeyboardInterrupt:
        interruption.stop("finished training")
    if end.reason is EndReason.INTERRUPTED:
        interruption.stop("finished training")
    summary.show_top(study, summary.where_else(given["runs"], given["storage"]))
