"""The commands that show web pages and check the machine: `ui` and `doctor`."""

import json
import sys
from pathlib import Path

import click

from cnnsearch.cli.options import GroupedCommand, option, study_options
from cnnsearch.cli.run_options import machine_options, place_options
from cnnsearch.core.errors import CnnsearchError


@click.command(cls=GroupedCommand)
@option("--optuna", is_flag=True, help="Open Optuna's dashboard instead; needs cnnsearch[dashboard].")
@option("--live", is_flag=True, help="Open the report of a study instead, kept up to date while its search runs.")
@option("--study", metavar="NAME", shown="the latest", help="The study that --live shows.")
@option(
    "--port",
    metavar="N",
    type=click.IntRange(1, 65535),
    shown="5000; Optuna: 8080; live: 8090",
    help="The port of the pages.",
)
@option(
    "--host", default="127.0.0.1", metavar="HOST", help="The address to serve on. 127.0.0.1: for this machine alone."
)
@study_options
def ui(
    optuna: bool,
    live: bool,
    study: str | None,
    port: int | None,
    host: str,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
) -> None:
    """Show the studies here in MLflow, in Optuna's dashboard or as a live report, also while a search runs."""
    if optuna and live:
        raise CnnsearchError("--optuna and --live cannot be used together. Give one of them.")
    if study and not live:
        raise CnnsearchError("--study names what --live shows. Add --live, or leave out --study.")
    if live:
        from cnnsearch.cli import live_page

        live_page.serve(host, port or 8090, study, runs, storage, plugins)
    elif optuna:
        from cnnsearch.cli import dashboard

        dashboard.serve(host, port or 8080, runs, storage)
    else:
        from cnnsearch.cli import mlflow_ui

        sys.exit(mlflow_ui.serve(host, port or 5000, runs, storage))


@click.command(cls=GroupedCommand)
@option("--json", "as_json", is_flag=True, help="As JSON.")
@machine_options
@place_options
@study_options
def doctor(
    as_json: bool,
    launcher: str,
    address: str,
    cpus_per_trial: float | None,
    gpus_per_trial: float | None,
    checkpoints: str,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
) -> None:
    """Show versions, backend, GPUs, data and write access: what works here and what does not.

    With --launcher ray also the nodes of the cluster, and whether storage, MLflow and checkpoints can be reached.
    """
    from cnnsearch.cli import doctor as checks
    from cnnsearch.cli import tables
    from cnnsearch.cli.cluster_checks import ClusterOptions

    options = ClusterOptions(launcher, address, cpus_per_trial, gpus_per_trial, checkpoints)
    found = checks.examine(runs, storage, plugins, options)
    if as_json:
        click.echo(json.dumps([check._asdict() for check in found], indent=1))
    else:
        tables.plain(("", "check", "found"), [("ok" if c.good else "!!", c.name, c.found) for c in found])
    sys.exit(0 if all(check.good for check in found) else 1)
