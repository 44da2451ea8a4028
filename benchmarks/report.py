"""Pictures of a study's report for docs/, at the width of a desktop and of a phone; needs Chromium.

CNNSEARCH_DATA=DIR python benchmarks/report.py [STUDY] [--runs DIR]
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
WIDTHS = {"desktop": 1100, "phone": 390}
TALL = 16000
"""Pixels, more than any report has; what is blank at the end is cut off."""

COLOURS = 256


@click.command()
@click.argument("study", required=False)
@click.option("--runs", default="runs", show_default=True, help="The folder of studies.")
@click.option("--out", default=DOCS, show_default=True, type=click.Path(path_type=Path), help="The pictures' folder.")
def main(study: str | None, runs: str, out: Path) -> None:
    """Write the report of STUDY (default: the latest), open it and keep what is seen."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise click.ClickException("There is no Chromium on the PATH; install one.")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        command = [sys.executable, "-m", "cnnsearch", "report", *([study] if study else []), "--runs", runs]
        subprocess.run([*command, "-o", str(page)], check=True)
        for name, width in WIDTHS.items():
            picture = photographed(browser, page, width)
            picture.save(out / f"report-{name}.png", optimize=True)
            print(f"{out / f'report-{name}.png'}: {picture.width} x {picture.height}")


def photographed(browser: str, page: Path, width: int) -> Image.Image:
    """The whole page at `width` pixels, in few colours."""
    shot = page.with_suffix(".png")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={width},{TALL}"]
    command = [browser, *options, f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(shot) as opened:
        seen = opened.convert("RGB")
    pixels = np.asarray(seen)
    last = int(np.flatnonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))[-1])
    return seen.crop((0, 0, seen.width, min(seen.height, last + 24))).quantize(COLOURS, Image.Quantize.FASTOCTREE)


if __name__ == "__main__":
    main()
