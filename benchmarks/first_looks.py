"""How well a short look at a candidate ranks it: Spearman's correlation with its score after all epochs.

    CNNSEARCH_DATA=DIR python benchmarks/first_looks.py --task digits --plans 30
    CNNSEARCH_DATA=DIR python benchmarks/first_looks.py --task digits --plans 30 --half
    python benchmarks/first_looks.py --table

Plans by chance from the spaces of benchmarks/peers.py, and for `mnist_full` from the shipped `mnist_cnn` on all of
MNIST, are trained to their end, and for looks of their own: one epoch of a part of the images, a schedule scaled to
that. What is `lost` is how far the best of those that the look would train on, three or half of them, is below the best
of all in the end. Every plan's curve is a line of results/first_looks/TASK.jsonl; what is there already is not trained
again. `--half` trains the same plans in mixed_bfloat16, to see what that costs.
"""

import itertools
import json
import os
import platform
import random
import time
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "first_looks"
PAGE = HERE.parent / "docs" / "benchmarks" / "first-looks.md"
MACHINE = f"{platform.system()} {platform.machine()}, one core of {os.cpu_count()}"
PARTS = {"digits": (0.5,), "mnist": (0.25, 0.5), "cifar": (0.25, 0.5), "mnist_full": (0.0625, 0.125, 0.25)}
LEAST_PLANS = 10
SHARES_TITLE = "\n## How many trials should a rung promote?\n"
"""What follows it is of benchmarks/rung_shares.py."""
HALF = "_half"


@click.command()
@click.option("--task", "tasks", multiple=True, default=tuple(PARTS), type=click.Choice(list(PARTS)))
@click.option("--plans", default=30, show_default=True)
@click.option("--half", is_flag=True, help="In mixed_bfloat16, to the end alone.")
@click.option("--table", is_flag=True, help="Train nothing; write the page from what there is.")
def main(tasks: tuple[str, ...], plans: int, half: bool, table: bool) -> None:
    """Train what is missing, then write the page."""
    for task in () if table else tasks:
        look(task, plans, half)
    _, title, shares = PAGE.read_text().partition(SHARES_TITLE)
    PAGE.write_text(page() + halves() + title + shares)


def look(name: str, plans: int, half: bool) -> None:
    """Train the plans of a task that are not there yet."""
    import keras
    from peer_task import Task

    keras.config.set_dtype_policy("mixed_bfloat16" if half else "float32")
    told = f"{name}{HALF * half}"
    task, generator = Task("mnist_cnn" if name == "mnist_full" else name, 0), random.Random(7)
    for number in range(plans):
        plan, values = task.plan(lambda _, d: d.random(generator))
        if any(row["plan"] == number for row in rows(told)):
            continue
        looks = {} if half else {str(part): train(task, plan, number, part, 1) for part in PARTS[name]}
        curve, seconds = train(task, plan, number, 1.0, task.epochs)
        row = {
            "plan": number,
            "values": values,
            "updates": -(-len(task.x) // plan.batch_size),
            "curve": curve,
            "seconds": seconds,
            "looks": {part: value[0] for part, (value, _) in looks.items()},
            "look_seconds": {part: took[0] for part, (_, took) in looks.items()},
            "machine": MACHINE,
        }
        RESULTS.mkdir(parents=True, exist_ok=True)
        with (RESULTS / f"{told}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def train(task: Any, plan: Any, seed: int, part: float, epochs: int) -> tuple[list[float], list[float]]:
    """The validation accuracy after each epoch on a part of the images, and the seconds that each took."""
    import keras

    from cnnsearch.training import fitting
    from cnnsearch.training.candidate import from_plan
    from cnnsearch.training.training_data import TrainingData

    precision = keras.config.dtype_policy().name
    keras.utils.set_random_seed(seed)
    count = round(part * len(task.x))
    one = from_plan(plan, count if epochs == plan.epochs else count / plan.epochs)
    curve: list[float] = []
    ends = [time.perf_counter()]
    data = TrainingData(task.x[:count], task.y[:count], task.x_val, task.y_val, plan.batch_size)

    def note(_: int, metrics: dict[str, float]) -> bool:
        curve.append(round(metrics["val_accuracy"], 6))
        ends.append(time.perf_counter())
        return True

    fitting.train(one, None, None, data, epochs, "val_accuracy", note)
    keras.backend.clear_session()
    keras.config.set_dtype_policy(precision)
    return curve, [round(b - a, 3) for a, b in itertools.pairwise(ends)]


def rows(name: str) -> list[dict[str, Any]]:
    """What was trained of a task."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def page() -> str:
    """The table as Markdown."""
    lines = []
    for name in PARTS:
        found = rows(name)
        if len(found) < LEAST_PLANS:
            continue
        end = [max(row["curve"]) for row in found]
        updates = sorted(row["updates"] for row in found)[len(found) // 2]
        for part in found[0]["looks"]:
            values = [row["looks"][part] for row in found]
            lines.append(line(name, f"{float(part):g} of the images", values, end, round(float(part) * updates)))
        for epochs in (1, 2, 3, 5):
            values = [max(row["curve"][:epochs]) for row in found]
            lines.append(line(name, f"{epochs} epoch{'s' * (epochs > 1)}", values, end, epochs * updates))
    return HEAD + "\n".join(lines) + "\n" + METHOD


def halves() -> str:
    """What half precision costs, as Markdown."""
    lines = []
    for name in PARTS:
        plain = {row["plan"]: row for row in rows(name)}
        pairs = [(plain[row["plan"]], row) for row in rows(name + HALF) if row["plan"] in plain]
        if len(pairs) >= LEAST_PLANS:
            lines.append(pair_line(name, pairs))
    return HALF_HEAD + "\n".join(lines) + "\n" + HALF_METHOD if lines else ""


def pair_line(name: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """The difference in half precision, over the better half of the plans and over all."""
    from scipy.stats import spearmanr, ttest_1samp

    pairs = sorted(pairs, key=lambda pair: -max(pair[0]["curve"]))
    told = [name]
    for chosen in (pairs[: len(pairs) // 2], pairs):
        gains = [max(half["curve"]) - max(plain["curve"]) for plain, half in chosen]
        low, high = ttest_1samp(gains, 0).confidence_interval()
        told += [f"{sum(gains) / len(gains):+.4f}", f"{low:+.4f} to {high:+.4f}"]
    rank = float(spearmanr(*zip(*[(max(a["curve"]), max(b["curve"])) for a, b in pairs], strict=True)).statistic)
    return f"| {' | '.join([*told, f'{rank:.2f}', str(len(pairs))])} |"


def line(name: str, look: str, values: list[float], end: list[float], updates: int) -> str:
    """Correlation and what would be lost, of one look."""
    from scipy.stats import bootstrap, spearmanr

    best, order = max(end), sorted(range(len(end)), key=lambda at: -values[at])
    rank = float(spearmanr(values, end).statistic)
    drawn = bootstrap(
        (values, end), lambda a, b: spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=2000, rng=0
    ).confidence_interval
    lost = [best - max(end[at] for at in order[:count]) for count in (3, len(end) // 2)]
    told = [name, look, str(updates), f"{rank:.2f}", f"{drawn.low:.2f} to {drawn.high:.2f}"]
    return f"| {' | '.join([*told, *(f'{each:.4f}' for each in lost), str(len(end))])} |"


HEAD = """# How well does a short evaluation rank candidates?

Well after one epoch on MNIST, less well with few updates. The rank correlation of the first epoch with the best
accuracy of all epochs was 0.71 on digits, 0.86 on MNIST and 0.75 on CIFAR-10. Evaluations on a part of the images are
weaker: 0.58 after 10 updates on digits, 0.51 after 24 updates on MNIST. More epochs rank better.

The half of the candidates that an evaluation ranked first always contained the best candidate. The best three of an
evaluation lost 0.0042 of accuracy at most on digits, and 0.0200 at most on CIFAR-10.

With ten plans of CIFAR-10 the intervals are wide, and some contain 0.

| task | evaluation | updates, median | rank correlation | 95% interval | lost with three | lost with half | plans |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

METHOD = """
## Method

Each plan is trained for all epochs, and for one epoch on each part of the images. The rank correlation is Spearman's,
between the accuracy after the short evaluation and the best validation accuracy of all epochs; its interval is a
bootstrap over plans. "Lost with three" is how far the best of the three candidates that the evaluation ranks first is
below the best of all; "lost with half" is the same for the better half. The plans are drawn at random. There is one
split and one seed for each, so both sides of a correlation have noise.

* Command: `CNNSEARCH_DATA=DIR python benchmarks/first_looks.py`. It writes this page; the curves are in
  `benchmarks/results/first_looks/`.
* Data: `digits` has 1,197 training images, `mnist` and `cifar` have 6,000, `mnist_full` has 50,000 (not run yet if it
  has no rows).
* Machine: one core of a Linux x86_64 machine with two.
* n: the column `plans`.
"""

HALF_HEAD = """
## How much accuracy does half precision cost?

No loss was found. For the better half of the plans both intervals contain 0, and both precisions rank the plans in
nearly the same order.

| task | better half | 95% interval | all | 95% interval | rank correlation | plans |
| --- | --- | --- | --- | --- | --- | --- |
"""

HALF_METHOD = """
The same plans and seeds were trained in `mixed_bfloat16` and in `float32`. The table has the mean difference of the
best validation accuracy of all epochs, with its interval by Student's t, for the better half of the plans and for
all, and the rank correlation between both precisions. Command: `CNNSEARCH_DATA=DIR python benchmarks/first_looks.py
--half`.
"""


if __name__ == "__main__":
    main()
