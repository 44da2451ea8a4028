"""Pictures of a study's report for docs/images, at the width of a desktop and of a phone; needs Chromium.

CNNSEARCH_DATA=DIR python benchmarks/report.py [STUDY] [--runs DIR]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

COLOURS = 256

SHOTS = {
    "report-desktop": (1100, 1500, False, ""),
    "report-phone": (390, 1500, False, ""),
    "report-trial": (1100, 1300, False, "#trial-0-{best}"),
    "report-charts": (1100, 1500, True, "#slices"),
}
"""Width and height in pixels, dark or light, and the place on the page."""


@click.command()
@click.argument("study", required=False)
@click.option("--runs", default="runs", show_default=True, help="The folder of studies.")
@click.option(
    "--out",
    default=ROOT / "docs" / "images",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The pictures' folder.",
)
def main(study: str | None, runs: str, out: Path) -> None:
    """Write the report of STUDY (default: the latest), open it and keep what is seen."""
    from tests.browser import CHROMIUM, browser

    if CHROMIUM is None:
        raise click.ClickException("There is no Chromium on the PATH; install one.")
    # processes of the browser may still write when it has ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Path(folder) / "report.html"
        command = [sys.executable, "-m", "cnnsearch", "report", *([study] if study else []), "--runs", runs]
        subprocess.run([*command, "-o", str(page)], check=True)
        with browser(Path(folder) / "profile") as opened:
            for name, (width, height, dark, place) in SHOTS.items():
                opened.open(page.as_uri(), width, height, dark)
                opened.run(f"location.hash = {place.format(best=opened.run('studies[0].best'))!r}")
                time.sleep(2)
                shot = Path(folder) / "shot.png"
                opened.picture(shot)
                with Image.open(shot) as seen:
                    few = seen.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT)
                    few.save(out / f"{name}.png", optimize=True)
                print(f"{out / f'{name}.png'}: {width} x {height}")


if __name__ == "__main__":
    main()
