"""How often does the 95% interval of the winner hold the accuracy of the exported model on new images?

    CNNSEARCH_DATA=DIR python benchmarks/coverage.py run [--task digits] [--seeds 0 50] [--source OLD/src --label old]
    python benchmarks/coverage.py table

Each study is a real search of `cnnsearch.search`: few images, ten short trials, the best three confirmed on three new
seeds. The accuracy on new images is that of the winner's model on images that the study never had: thousands of them.
Each study is a line of `benchmarks/results/coverage.jsonl`; what is in the file is not measured again.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, variance
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "coverage.jsonl"


class Task(NamedTuple):
    """Where the images come from, how many a study gets, and how many there are for the test."""

    source: str
    images: int
    test: int
    uneven: bool = False
    epochs: int = 6
    space: str = "mnist_cnn"


TASKS = {
    "digits": Task("digits", 700, 1097, epochs=12),
    "mnist": Task("mnist", 1500, 10_000),
    "uneven": Task("mnist", 1500, 10_000, uneven=True),
    "cifar": Task("cifar10", 1500, 10_000, space="cifar10_cnn"),
}


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--task", "tasks", type=click.Choice(tuple(TASKS)), multiple=True, default=tuple(TASKS))
@click.option(
    "--seeds", nargs=2, type=int, default=(0, 60), show_default=True, help="The first, and one past the last."
)
@click.option("--source", default="", help="The folder `src` of another version of cnnsearch.")
@click.option("--label", default="now", show_default=True, help="The name of the version.")
def run(tasks: tuple[str, ...], seeds: tuple[int, int], source: str, label: str) -> None:
    """Measure the studies that are not in the file yet."""
    done = {(row["label"], row["task"], row["seed"]) for row in rows()}
    wanted = [(task, seed) for seed in range(*seeds) for task in tasks if (label, task, seed) not in done]
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    # some studies a process: TensorFlow keeps memory of each model
    for start in range(0, len(wanted), 8):
        some = json.dumps([label, wanted[start : start + 8]])
        subprocess.run([sys.executable, __file__, "studies", some], env={**os.environ, "PYTHONPATH": path}, check=True)


@main.command(hidden=True)
@click.argument("some")
def studies(some: str) -> None:
    """Measure these studies in this process."""
    label, wanted = json.loads(some)
    for task, seed in wanted:
        row = {"label": label, "task": task, "seed": seed, **measured(TASKS[task], seed)}
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        click.echo(json.dumps({key: value for key, value in row.items() if key != "repeats"}))


def measured(task: Task, seed: int) -> dict[str, Any]:
    """One study: its interval, and the accuracy of its winner's model on images that it never had."""
    import cnnsearch
    from cnnsearch.study import confirmation, listing

    x, y, x_new, y_new = images(task, seed)
    with tempfile.TemporaryDirectory() as folder:
        result = cnnsearch.search(
            task.space,
            (x, y),
            test_data=(x_new[:200], y_new[:200]),
            trials=10,
            epochs=task.epochs,
            jobs=1,
            seed=seed,
            confirm="3x3",
            quiet=True,
            runs=folder,
        )
        best = result.best()
        probabilities = result.predict(x_new).probabilities
        study = listing.load(None, Path(folder))
        found = confirmation.confirmed(study)[best["trial"]]
        low, high = found.interval or (math.nan, math.nan)
        repeats = [{k: v for k, v in each.items() if k != "reason"} for each in study.repeats()]
        data = study.info["data"]["images"]
    accuracy = float((np.asarray(probabilities).argmax(1) == y_new).mean())
    facts = {"trial": best["trial"], "score": best["score"], "mean": found.mean, "low": low, "high": high}
    return {
        **facts,
        "test": accuracy,
        "n_test": len(y_new),
        "train": data["train"],
        "val": data["val"],
        "repeats": repeats,
    }


def images(task: Task, seed: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Images and labels of the study, and new ones; those of 28 pixels and more are halved."""
    x, y = source(task.source)
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(x))
    if task.uneven:
        # the most frequent class is five times as frequent as the rarest
        share = np.geomspace(1, 0.2, len(np.unique(y)))
        order = order[chance.random(len(x)) < share[y[order]]]
    own, new = order[: task.images], order[task.images : task.images + task.test]
    return x[own], y[own], x[new], y[new]


def source(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """All images of a dataset with their labels."""
    if name == "digits":
        from sklearn.datasets import load_digits

        found = load_digits()
        return (found.images * 15).astype("uint8")[..., None], found.target
    with np.load(Path(os.environ["CNNSEARCH_DATA"]) / f"{name}.npz") as stored:
        x = np.concatenate([stored["x_train"], stored["x_test"]])
        y = np.concatenate([stored["y_train"], stored["y_test"]]).ravel().astype("int64")
    x = x.reshape(*x.shape[:3], -1)
    halved = [x[:, i::2, j::2].astype("uint16") for i in (0, 1) for j in (0, 1)]
    return (sum(halved) // 4).astype("uint8"), y


@main.command()
def table() -> None:
    """Print the table, and the same for Student's interval of the same scores."""
    click.echo(markdown(rows()))
    click.echo("\nStudent's interval, the variance pooled over the confirmed trials:\n")
    click.echo(markdown(rows(), students))


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def interval(row: dict[str, Any]) -> tuple[float, float]:
    """The interval by the present rule, from the scores of the study; of an older version, the one that it gave."""
    from cnnsearch.study import confirmation

    if row["label"] != "now":
        return row["low"], row["high"]
    repeats = map(confirmation.read, row["repeats"])
    found = confirmation.summarised(repeats, "val_accuracy", row["train"], {row["trial"]: row["score"]})
    ends = found[row["trial"]].interval
    assert ends is not None
    return ends


def students(row: dict[str, Any]) -> tuple[float, float]:
    """Student's interval of the winner's mean, with the variance pooled over the confirmed trials: the rule before."""
    from cnnsearch.study.score_interval import t_quantile

    scores: dict[int, list[float]] = {}
    for repeat in row["repeats"]:
        if repeat["score"] is not None:
            scores.setdefault(repeat["trial"], []).append(repeat["score"])
    several = [each for each in scores.values() if len(each) > 1]
    freedom = sum(len(each) - 1 for each in several)
    pooled = sum((len(each) - 1) * variance(each) for each in several) / freedom
    own = scores[row["trial"]]
    half = t_quantile(freedom) * math.sqrt(pooled / len(own))
    return fmean(own) - half, fmean(own) + half


def markdown(every: list[dict[str, Any]], rule: Callable[[dict[str, Any]], tuple[float, float]] = interval) -> str:
    """A row for each version and task, and one for all tasks."""
    from cnnsearch.study.score_interval import wilson

    lines = ["| version | task | studies | held | 95% interval of that | mean width | mean - test |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for label in dict.fromkeys(row["label"] for row in every):
        for task in [*TASKS, "all"]:
            some = [row for row in every if row["label"] == label and task in (row["task"], "all")]
            if not some:
                continue
            ends = [rule(row) for row in some]
            held = [low <= row["test"] <= high for row, (low, high) in zip(some, ends, strict=True)]
            low, high = wilson(sum(held) / len(held), len(held))
            width = fmean(end[1] - end[0] for end in ends)
            bias = fmean(row["mean"] - row["test"] for row in some)
            cells = [
                label,
                task,
                str(len(some)),
                f"{fmean(held):.1%}",
                f"{low:.1%} to {high:.1%}",
                f"{width:.3f}",
                f"{bias:+.4f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
