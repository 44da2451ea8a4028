"""Which display a running search has."""

import sys

from cnnsearch.cli.plain_display import JsonLines, Plain, Quiet


def choose(json_lines: bool, quiet: bool) -> Quiet:
    """The display for these options and this terminal."""
    if json_lines:
        return JsonLines()
    if quiet:
        return Quiet()
    if not sys.stdout.isatty():
        return Plain()
    # it imports rich
    from cnnsearch.cli.live_display import LiveDisplay

    return LiveDisplay()
