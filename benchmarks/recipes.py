"""Trains the recipes on the real data and writes docs/benchmarks/recipes.md: what was reported, what is measured here.

    CNNSEARCH_DATA=DIR python benchmarks/recipes.py [--only NAME]… [--seeds N] [--side-by-side N] [--weights FILE]
    python benchmarks/recipes.py --table

Each run is one `cnnsearch run --recipe` and one `cnnsearch export` of it, whose card's figures are kept in
`benchmarks/results/recipes.json`. Runs that are there already are not made again: stop it and start it as you like.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from statistics import mean, stdev
from threading import Lock
from typing import Any, NamedTuple

import click

from cnnsearch.spaces import plugins, space

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "recipes.json"
PAGE = ROOT / "docs" / "benchmarks" / "recipes.md"

WRITING = Lock()


class Row(NamedTuple):
    """A recipe and for how many epochs it is trained here."""

    space: str
    recipe: str
    epochs: int
    settings: tuple[str, ...] = ()


ROWS = (
    *(Row("mnist_cnn", f"grid_{point}", 10) for point in ("3_32", "3_64", "5_32", "5_64")),
    Row("mnist_cnn", "without_dropout", 10),
    Row("mnist_cnn", "global_max", 10),
    Row("mnist_cnn", "plain", 10),
    Row("mnist_cnn", "twice_two", 10),
    Row("mnist_cnn", "twice_two_plain", 10),
    Row("mnist_cnn", "deep_dense", 50),
    Row("mnist_cnn", "strided", 100),
    Row("mnist_noisy", "noisy", 10),
    Row("mnist_denoise", "denoise", 10),
    Row("mnist_numpy_mlp", "numpy_mlp", 15),
    Row("mnist_numpy_mlp", "numpy_mlp_bare", 350, ("dataset.limit=360",)),
    *(Row("cifar10_cnn", f"cifar_{number}", 30) for number in range(1, 10)),
    Row("cifar10_cnn", "cifar_10", 150),
    *(Row("cifar10_fast", name, 10) for name in ("default", "airbench94", "resnet_like", "small_vgg")),
    Row("mnist_vgg16", "vgg16", 5),
    Row("mnist_vgg16", "vgg16_tuned", 5),
)

PRETRAINED = "mnist_vgg16"
"""The space that needs a file of weights."""

VIEWED = "cifar10_fast"
"""The space whose models are exported with test-time views, too."""

VIEWS = "mirror,shift"


@click.command()
@click.option("--only", multiple=True, help="Only these recipes.")
@click.option("--seeds", default=1, show_default=True, help="Trainings of each recipe, each with its own split.")
@click.option("--side-by-side", default=1, show_default=True, help="Trainings at a time, each on its share of cores.")
@click.option("--weights", help="Keras' file of VGG16's weights without its top. Without it, VGG16 is not trained.")
@click.option("--runs", default=ROOT / "runs" / "recipes", type=click.Path(path_type=Path), help="Studies go here.")
@click.option("--table", is_flag=True, help="Train nothing; write the page from what there is.")
def main(only: tuple[str, ...], seeds: int, side_by_side: int, weights: str | None, runs: Path, table: bool) -> None:
    """Train what is missing, then write the page."""
    possible = [row for row in ROWS if weights or row.space != PRETRAINED]
    wanted = [row for row in possible if not only or row.recipe in only]
    done = {identity(result) for result in results()}
    missing = [(row, seed) for seed in range(seeds) for row in wanted if (*row, seed) not in done]
    if not table:
        places = shares(side_by_side)
        with ThreadPoolExecutor(side_by_side) as pool:
            trained = list(pool.map(lambda job: train(*job, weights or "", runs, places), missing))
    PAGE.write_text(page(results()))
    if not table and not all(trained):
        raise SystemExit(1)


def shares(count: int) -> SimpleQueue[set[int]]:
    """The cores of this process, dealt to `count` trainings."""
    cores = sorted(os.sched_getaffinity(0))
    places: SimpleQueue[set[int]] = SimpleQueue()
    for number in range(count):
        places.put(set(cores[number::count]))
    return places


def train(row: Row, seed: int, weights: str, runs: Path, places: SimpleQueue[set[int]]) -> bool:
    """Run and export one recipe; its figures go to the results. Tells whether that went well."""
    cores = places.get()
    try:
        folder = runs / "exports" / f"{row.recipe}-{seed}"
        study = f"{row.recipe}-{seed}"
        began = time.monotonic()
        call([*run_arguments(row, seed, weights), "--runs", str(runs)], runs / f"{study}.log", cores)
        more: dict[str, Any] = {"minutes": round((time.monotonic() - began) / 60, 1)}
        card = exported(study, folder, runs, cores)
        assert card["origin"] in ("default", f"recipe {row.recipe}"), f"it exported {card['origin']}"
        if row.space == VIEWED:
            viewed = exported(study, folder.with_name(f"{study}-views"), runs, cores, "--views", VIEWS)
            more["views"] = {"better": viewed["views"]["better"], "test": viewed["test"]}
        with WRITING:
            keep(row, seed, card, len(cores), more)
        return True
    except (subprocess.CalledProcessError, OSError, AssertionError) as error:
        click.echo(f"{row.recipe}, seed {seed}: {error}", err=True)
        return False
    finally:
        places.put(cores)


def exported(study: str, folder: Path, runs: Path, cores: set[int], *options: str) -> dict[str, Any]:
    """Export the study's best model to `folder`; its card."""
    call(["export", study, "-o", str(folder), *options, "--runs", str(runs)], runs / f"{study}.log", cores)
    card: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return card


def run_arguments(row: Row, seed: int, weights: str = "FILE") -> list[str]:
    """What follows `cnnsearch` to train one recipe; `weights` is the file of a pretrained network."""
    point = ["--trials", "1", "--confirm", "0"] if row.recipe == "default" else ["--recipe", row.recipe]
    named = ["--space", row.space, *point, "--epochs", str(row.epochs), "--seed", str(seed)]
    changes = [word for setting in row.settings for word in ("--set", setting)]
    changes += ["--weights", weights] if row.space == PRETRAINED else []
    return ["run", *named, *changes, "--study", f"{row.recipe}-{seed}", "--jobs", "1"]


def call(arguments: list[str], log: Path, cores: set[int]) -> None:
    """One `cnnsearch` command on these cores, its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cnnsearch", *arguments]
    with log.open("a") as file:
        subprocess.run(command, check=True, stdout=file, stderr=file, preexec_fn=lambda: os.sched_setaffinity(0, cores))


def results() -> list[dict[str, Any]]:
    """All runs so far."""
    if not RESULTS.exists():
        return []
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text())
    return found


def identity(result: dict[str, Any]) -> tuple[Any, ...]:
    """What a run was asked for: a result of another question is no answer to this one."""
    asked = {**result, "settings": tuple(result["settings"])}
    return tuple(asked[name] for name in (*Row._fields, "seed"))


def keep(row: Row, seed: int, card: dict[str, Any], cores: int, more: dict[str, Any]) -> None:
    """Add one run's figures; the file is replaced whole."""
    figures = {
        **row._asdict(),
        "seed": seed,
        "best_epoch": card["best_epoch"],
        "parameters": card["params"],
        "validation": card["validation"],
        "test": card["test"],
        "versions": card["versions"],
        "precision": card["precision"],
        "machine": f"{platform.system()} {platform.machine()}, {cores} core{'s' * (cores > 1)} of {os.cpu_count()}",
        **more,
    }
    order = [other.recipe for other in ROWS]
    every = sorted([*results(), figures], key=lambda result: (order.index(result["recipe"]), result["seed"]))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(json.dumps(every, indent=1) + "\n")
    partial.replace(RESULTS)
    click.echo(f"{row.recipe}, seed {seed}: {card['test']['accuracy']:.2%} on test")


def page(every: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    shelf = plugins.load()
    lines = []
    for asked in ROWS:
        row = longest(asked, every)
        runs = [result for result in every if identity(result)[:-1] == tuple(row)]
        reported = space.load(row.space, shelf).recipes.get(row.recipe, {}).get("reported", {})
        if runs:
            lines.append("| " + " | ".join(cells(row, runs, reported)) + " |")
        elif row.space == PRETRAINED:
            lines.append("| " + " | ".join(without_weights(row, reported)) + " |")
    trained = {result["recipe"] for result in every} | {row.recipe for row in ROWS if row.space == PRETRAINED}
    missing = [f"`{row.recipe}`" for row in ROWS if row.recipe not in trained]
    note = f"\nNot run yet: {', '.join(missing)}.\n" if missing else ""
    return HEAD + "\n".join(lines) + "\n" + note + views_table(every) + METHOD


def longest(row: Row, every: list[dict[str, Any]]) -> Row:
    """`row` with its epochs, or with the most epochs that were trained where it was not trained for so many."""
    every_length = [Row(*identity(result)[:-1]) for result in every]
    done = [other for other in every_length if other == row._replace(epochs=other.epochs)]
    return row if row in done or not done else max(done, key=lambda found: found.epochs)


def views_table(every: list[dict[str, Any]]) -> str:
    """What test-time views gain on the test set; nothing if no model was exported with them."""
    lines = []
    for name in dict.fromkeys(run["recipe"] for run in every if "views" in run):
        runs = [run for run in every if run["recipe"] == name and "views" in run]
        one, more = (mean(found["test"]["accuracy"] for found in part) for part in (runs, [r["views"] for r in runs]))
        used = sum(run["views"]["better"] for run in runs)
        minutes = mean(run["minutes"] for run in runs)
        lines.append(f"| `{name}` | {len(runs)} | {minutes:.0f} | {one:.2%} | {more:.2%} | {used} of {len(runs)} |\n")
    return VIEWS_HEAD + "".join(lines) if lines else ""


def cells(row: Row, runs: list[dict[str, Any]], reported: dict[str, Any]) -> list[str]:
    """One line of the table. The interval is Wilson's over test images for one run, Student's t over seeds for more."""
    accuracies = [run["test"]["accuracy"] for run in runs]
    if len(runs) == 1:
        low, high = runs[0]["test"]["interval"]
    else:
        from scipy.stats import t

        half = float(t.ppf(0.975, len(runs) - 1)) * stdev(accuracies) / len(runs) ** 0.5
        low, high = mean(accuracies) - half, mean(accuracies) + half
    theirs = f"{reported['accuracy']:.2%}" if "accuracy" in reported else "not reported"
    return [
        f"`{row.recipe}`" if row.recipe != "default" else f"the default point of `{row.space}`",
        f"{runs[0]['parameters']:,}",
        theirs,
        f"{reported.get('epochs', 'not reported')}",
        f"{mean(accuracies):.2%}",
        f"{low:.2%} to {high:.2%}",
        str(len(runs)),
        str(row.epochs),
        ", ".join(sorted({run["machine"] + precision(run) for run in runs})),
        f"`cnnsearch {shlex.join(run_arguments(row, runs[0]['seed']))}`",
    ]


def without_weights(row: Row, reported: dict[str, Any]) -> list[str]:
    """The line of a recipe that was not trained, because it needs a file of weights."""
    theirs = f"{reported['accuracy']:.2%}" if "accuracy" in reported else "not reported"
    epochs = f"{reported.get('epochs', 'not reported')}"
    command = f"`cnnsearch {shlex.join(run_arguments(row, 0))}`"
    why = "not run: it needs Keras' file of ImageNet's weights"
    return [f"`{row.recipe}`", f"{reported['parameters']:,}", theirs, epochs, why, "none", "0", "0", "none", command]


def precision(run: dict[str, Any]) -> str:
    """A word where it was not trained in float32."""
    name = run.get("precision", "float32")
    return "" if name == "float32" else f", {name}"


HEAD = """# Do the recipes reach what others reported?

Yes where they had as many epochs as in the report, except `airbench94`. `deep_dense`, `strided` and `cifar_4` had fewer
epochs (column `epochs`) and are below their reports. Each recipe was trained once. The table has the test accuracy with
its 95% interval; a recipe reaches its report if the interval is not below it.

| recipe | parameters | reported | in epochs | test | 95% interval | n | epochs | machine | command |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
VIEWS_HEAD = f"""
## What do test-time views gain on CIFAR-10?

`cnnsearch export STUDY --views {VIEWS}` averages six views of each image, if that is better on validation by more than
chance (column `used`). `minutes` are those of the whole `cnnsearch run` on one core, with another training on the
other core.

| `{VIEWED}` | n | minutes | test, one view | test, six views | used |
| --- | --- | --- | --- | --- | --- |
"""
METHOD = """
## Method

Each recipe is trained by the command in its row, and measured once on the test set by `cnnsearch export STUDY`. Its
weights are those of the epoch with the best validation accuracy; a sixth of the training images are for validation.
The reports validated on the test set itself. `n` is the number of seeds. The interval is over the test images if n is
1, else over seeds.

CIFAR-10 is a copy that was compressed as JPEG of quality 75. `vgg16` and `vgg16_tuned` need Keras' file of ImageNet's
weights, `vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5`, by `--weights`; they were not run.

`airbench94` reached 94.01% on the original images, all 50,000 of them, with six views of each test image. Here it has
41,666 images that were compressed as JPEG. Its own code (PyTorch, `legacy/airbench94.py`) is as good on the same
images: 83.87% in validation, and this recipe 84.01%, both with 32, 64 and 64 filters in place of 64, 256 and 256, in
float32 (n = 1). This suggests that the images make the difference, and not the recipe.

The noise of `denoise` has a standard deviation of 0.5 of the range of the pixels, that of `noisy` 1.0, as in the
[report's notebooks](https://github.com/shashikalaranathunga/Deep-Learning). For `noisy` the report also added 0.25 to
each pixel. `denoise` is better than reported because it is trained more: the report's denoiser ended at a validation
loss of 0.141, and its classifier was trained on 9,000 denoised test images and measured on the other 1,000. Trained in
that way, the accuracy is 91.2%, 93.3% and 91.3% on three seeds
(`CNNSEARCH_DATA=DIR python benchmarks/denoise_as_reported.py`).

* Command: `CNNSEARCH_DATA=DIR python benchmarks/recipes.py`. It writes this page; every run with its seed, versions
  and machine is in `benchmarks/results/recipes.json`.
* Machine and n: in the table.

## What does a search find beside the recipes?

As good networks, and smaller ones without the recipes. A search of `mnist_cnn` that began with its eleven recipes (8
epochs each) had 30 minutes on two cores. `strided` was its first: 99.53% in validation, 403,722 parameters, 99.40% on
a new seed. The best that it drew itself had 99.44% (843,658 parameters; 99.42% on a new seed, 99.47% on test): as
good, but larger. 13 minutes more under `--max-params 40000`, a tenth of `strided`, found nothing as good.

A [search without recipes](mnist.md) found 99.49% ± 0.06% on three new seeds with 129,546 parameters, and 99.46% ±
0.06% with 93,146: as good with a third and a quarter of the parameters of `strided`, and with a seventeenth and a
24th of those of `deep_dense`. The leaderboard is in `benchmarks/results/mnist_cnn_recipes`.
"""

if __name__ == "__main__":
    main()
