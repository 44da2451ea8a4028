"""How near an epoch is to what one core can compute, and which part of it is convolutions.

    CNNSEARCH_DATA=DIR python benchmarks/peak.py run [--space mnist_cnn] [--repeats 3]
    python benchmarks/peak.py table

The default point of a space is trained in float32 on one core, as by one of two workers. The peak is the fastest of a
product of two matrices of 1024 x 1024 and a 1x1 convolution of 256 filters. Then each layer with a kernel is timed
alone, forward and backward, with inputs of the size that it has in the network. An operation is a multiplication or an
addition; a layer has 2 for each multiply-add forward, and as many for each of its two gradients; the first layer has
only one gradient.
Rows go to `benchmarks/results/peak.json`.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from gpu import clock

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "peak.json"
MACHINE = f"{platform.system()} {platform.machine()}, one core of {os.cpu_count()}"
SPACES = ("digits_cnn", "mnist_cnn", "cifar10_cnn")
IMAGES, EPOCHS, SIDE = 6000, 5, 1024


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--space", "spaces", multiple=True, default=SPACES, type=click.Choice(SPACES))
@click.option("--repeats", default=3, show_default=True)
def run(spaces: tuple[str, ...], repeats: int) -> None:
    """Measure what is missing."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for repeat in range(repeats):
        for space in spaces:
            if not any((row["space"], row["repeat"]) == (space, repeat) for row in rows()):
                found = {"space": space, "repeat": repeat, **measured(space), "machine": MACHINE}
                RESULTS.write_text(json.dumps([*rows(), found], indent=1) + "\n")
                click.echo(json.dumps(found))
    click.echo(tables(rows()))


@main.command()
def table() -> None:
    """Print the table."""
    click.echo(tables(rows()))


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def measured(name: str) -> dict[str, Any]:
    """Seconds of an epoch and of its layers alone, their operations, and the peak in operations a second."""
    import keras

    from cnnsearch.data.splits import split
    from cnnsearch.spaces import plugins, space
    from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
    from cnnsearch.training import compiled, training_data
    from cnnsearch.training.candidate import from_plan
    from cnnsearch.training.dataset_loading import load_dataset

    keras.utils.set_random_seed(0)
    catalog = plugins.load()
    found = space.check(space.load(name, catalog), catalog)
    assert found.dataset is not None
    parts = split(load_dataset(catalog, found.dataset), 0, found.defaults["validation"])
    parts = replace(parts, x=parts.x[:IMAGES], y=parts.y[:IMAGES])
    start = space.start_plan(found, parts.x.shape[1:], 10, EPOCHS)
    plan = space.draw(found, catalog, HyperParameters(defaults), start)
    candidate = from_plan(plan, len(parts.x), x=parts.x)
    times = clock()
    data = training_data.for_candidate(candidate, parts, 10)
    compiled.fit(candidate.model, data, epochs=EPOCHS, callbacks=[*candidate.callbacks, times])
    steps = -(-len(parts.x) // plan.batch_size)
    layers = [layer for layer in candidate.core.layers if hasattr(layer, "kernel")]
    alone = [one(layer, plan.batch_size, first=layer is layers[0]) for layer in layers]
    return {
        "images": len(parts.x),
        "epoch s": round(median(times.train[1:]), 4),
        "layers s": round(steps * sum(seconds for seconds, _ in alone), 4),
        "operations": steps * sum(operations for _, operations in alone),
        "peak": peak(),
    }


def one(layer: Any, batch: int, first: bool) -> tuple[float, int]:
    """Seconds of a layer forward and backward for a batch, and its operations."""
    import tensorflow as tf

    shape = (batch, *layer.input.shape[1:])
    images = tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32"))
    backward = tf.ones((batch, *layer.output.shape[1:]))

    @tf.function
    def both(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            answers = layer(x)
        wanted = layer.trainable_variables if first else [x, *layer.trainable_variables]
        # without the answers the program would not compute them
        return answers, tape.gradient(answers, wanted, backward)

    places = int(np.prod(layer.output.shape[1:-1]))
    macs = int(np.prod(layer.kernel.shape)) * places
    return best(lambda: both(images)), 2 * macs * batch * (2 if first else 3)


def peak() -> float:
    """Operations a second of a large product of matrices or a large convolution, whichever is faster."""
    import tensorflow as tf

    drawn, images = tf.random.normal((SIDE, SIDE)), tf.random.normal((32, 16, 16, 256))
    filters = tf.random.normal((1, 1, 256, 256))
    multiply = tf.function(lambda: tf.linalg.matmul(drawn, drawn))
    convolve = tf.function(lambda: tf.nn.conv2d(images, filters, 1, "SAME"))
    return round(max(2 * SIDE**3 / best(multiply), 2 * 32 * 16 * 16 * 256 * 256 / best(convolve)))


def best(call: Callable[[], Any], repeats: int = 15) -> float:
    """The least seconds of a call; other work on the machine only makes it longer."""
    call()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def tables(every: list[dict[str, Any]]) -> str:
    """A row for each space: medians over the repeats, with the least and the most."""
    head = ["space", "n", "epoch s", "of the peak", "layers alone, of an epoch", "their speed, of the peak"]
    lines = [head, ["---"] * len(head)]
    for space in dict.fromkeys(row["space"] for row in every):
        own = [row for row in every if row["space"] == space]
        epochs = [row["epoch s"] for row in own]
        shares = [
            [row["operations"] / row["peak"] / row["epoch s"] for row in own],
            [row["layers s"] / row["epoch s"] for row in own],
            [row["operations"] / row["peak"] / row["layers s"] for row in own],
        ]
        cells = [f"{median(each):.0%} ({min(each):.0%} to {max(each):.0%})" for each in shares]
        lines.append([space, str(len(own)), f"{median(epochs):.2f}", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
