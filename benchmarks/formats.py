"""Exports the three best of studies in every format and writes docs/benchmarks/formats.md.

    CNNSEARCH_DATA=DIR python benchmarks/formats.py RUNS:STUDY…
    python benchmarks/formats.py --table

Without studies it searches one on the bundled digits first. Each export has one core; its card's figures are kept in
`benchmarks/results/formats.json`, in the place of earlier ones of the same study. It needs `cnnsearch[formats]` and
`cnnsearch[openvino]`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from cnnsearch.results.export import card, formats

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "formats.json"
PAGE = ROOT / "docs" / "benchmarks" / "formats.md"
KEPT = ("study", "trial", "params", "macs", "machine", "measured", "versions")
DIGITS = ("run", "--space", "digits_cnn", "--trials", "12", "--quiet")


@click.command()
@click.argument("studies", nargs=-1, metavar="RUNS:STUDY…")
@click.option("--top", default=3, show_default=True, type=click.IntRange(1), help="How many of each study.")
@click.option("--table", is_flag=True, help="Only write the page again.")
def main(studies: tuple[str, ...], top: int, table: bool) -> None:
    """Export, keep the figures, write the page."""
    with tempfile.TemporaryDirectory() as folder:
        if not studies and not table:
            cnnsearch(*DIGITS, "--runs", f"{folder}/runs")
            studies = (f"{folder}/runs:digits_cnn",)
        if not table:
            # of every runtime: what one core does tells more than how threads share
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for named in studies:
            runs, _, study = named.rpartition(":")
            keep(study, [measured(Path(folder), runs, study, trial) for trial in best(runs, study, top)])
    PAGE.write_text(page(json.loads(RESULTS.read_text("utf-8"))))


def best(runs: str, study: str, top: int) -> list[int]:
    """The trials that lead the leaderboard."""
    board = json.loads(cnnsearch("leaderboard", study, "--runs", runs, "--format", "json", "--top", str(top)))
    return [row["trial"] for row in board if row["state"] == "complete"]


def measured(folder: Path, runs: str, study: str, trial: int) -> dict[str, Any]:
    """One trial exported in all formats: what its card says of them."""
    out = folder / f"{study}-{trial}"
    every = ",".join(formats.KNOWN)
    click.echo(cnnsearch("export", study, "--trial", str(trial), "--runs", runs, "--format", every, "-o", str(out)))
    facts = json.loads((out / "card.json").read_text("utf-8"))
    return {key: facts[key] for key in KEPT}


def cnnsearch(*arguments: str) -> str:
    """What the command prints.

    Raises:
        SystemExit: if it fails.
    """
    line = [sys.executable, "-m", "cnnsearch", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"cnnsearch {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def keep(study: str, figures: list[dict[str, Any]]) -> None:
    """Put the figures of a study in the place of its earlier ones."""
    earlier = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    others = [result for result in earlier if result["study"] != study]
    every = sorted([*others, *figures], key=lambda result: result["study"])
    RESULTS.write_text(json.dumps(every, indent=1) + "\n")


def page(every: list[dict[str, Any]]) -> str:
    """One table for each exported trial."""
    return HEAD + "\n".join(section(result) for result in every)


def section(result: dict[str, Any]) -> str:
    """A trial's table, and what int8 costs it."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    header, *rows = card.format_table(result)
    lines = ["| " + " | ".join(row) + " |" for row in (header, ("---",) * len(header), *rows)]
    repeats = [facts[f"repeats_{count}"] for facts in result["measured"].values() for count in (1, formats.BATCH)]
    about = (
        f"{result['params']:,} parameters, {result['macs']:,} multiply-adds; {result['machine']}; "
        f"n = {min(repeats)} to {max(repeats)} calls; {versions}."
    )
    return "\n".join(
        [
            f"## {result['study']}, trial {result['trial']}",
            "",
            about,
            "",
            *lines,
            "",
            *card.accuracy_losses(result),
            "",
        ]
    )


HEAD = """# How exact, how fast and how large are the export formats?

The float formats predict the same classes as the trained Keras model on all compared images. `litert_int8` differs on
one image of 512, in one of six models. ONNX and LiteRT are much faster than Keras for one image. `litert_int8` is the
smallest file; it lost 0.00 to 0.10 points of validation accuracy.

## Method

The best trials of two studies were exported in every format by `cnnsearch export --trial N --format …`. Each file was
opened again in its own runtime and compared with the trained Keras model on up to 512 validation images, in batches
of 64. `largest difference` is that of a probability. `equal decisions` counts the images with the same class.

A latency is the median of warm calls, with its quartiles. It contains what a user of the file waits for: uint8 pixels
in, probabilities out. Other work ran on the machine: if the quartiles are far apart, it disturbed the measurement.
OpenVINO was asked for float32. By default it computes in bfloat16 where the processor can, which is faster and
differs by up to 1e-3.

* Command: `CNNSEARCH_DATA=DIR python benchmarks/formats.py RUNS:STUDY`. It writes this page; every number is in
  `benchmarks/results/formats.json`.
* Machine and n (calls): above each table.

"""

if __name__ == "__main__":
    main()
