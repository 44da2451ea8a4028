"""How a command ends that was interrupted by Ctrl-C or SIGTERM."""

import sys
from typing import NoReturn

import click

EXIT_CODE = 130
"""128 + SIGINT, as shells have it."""


def stop_without_result() -> NoReturn:
    """Say that nothing is kept, and end the process."""
    click.echo("\nStopped. There is no result. The same command starts again.", err=True)
    sys.exit(EXIT_CODE)


def stop(kept: str) -> NoReturn:
    """Say that each of `kept` is kept and how to resume, and end the process."""
    click.echo(f"\nStopped. Every {kept} is stored. The same command resumes it.", err=True)
    sys.exit(EXIT_CODE)
