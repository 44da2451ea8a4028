"""94% on CIFAR-10: the default point and a recipe of `cifar10_fast`, and a search of ten minutes with a target.

`benchmarks/gpu.py cifar94` calls it. Each point is trained as a trial is: on five sixths of the training images, with
the rest as validation. The test images are asked once, with the weights of the best epoch.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from gpu_watch import watching

SPACE = "cifar10_fast"
IMAGES = 50_000
POINTS = ("default", "airbench94")
VIEWS = ("mirror", "shift")
"""The report of airbench94 measures with six views of each test image; so does the column `views`."""

Row = dict[str, Any]


def points(share: float, epochs: int, seeds: int, clock: Callable[[], Any]) -> list[Row]:
    """A row for each of POINTS and each seed: accuracies, and the seconds of the parts of its training."""
    import keras

    from cnnsearch.data.splits import split
    from cnnsearch.spaces import plugins, recipes, space
    from cnnsearch.spaces.cost import cost
    from cnnsearch.spaces.hyperparameters import HyperParameters, defaults, replay
    from cnnsearch.spaces.overrides import override
    from cnnsearch.training.dataset_loading import load_dataset
    from cnnsearch.training.device import auto_precision

    catalog, began = plugins.load(), time.perf_counter()
    found = space.check(override(space.load(SPACE, catalog), limited(share)), catalog)
    assert found.dataset is not None
    parts = split(load_dataset(catalog, found.dataset), 0, found.defaults["validation"])
    loading, rows = time.perf_counter() - began, []
    for seed in range(seeds):
        for name in POINTS:
            values = {} if name == "default" else recipes.point(found, catalog, name)[0]
            hp = HyperParameters(replay(values) if values else defaults)
            plan = space.draw(found, catalog, hp, space.start_plan(found, (32, 32, 3), 10, epochs))
            keras.config.set_dtype_policy(auto_precision(None))
            keras.utils.set_random_seed(seed)
            price = cost(plan)
            row = {"kind": "point", "name": name, "seed": seed, "loading s": round(loading, 2)}
            row |= {"params": price.params, "macs": price.macs}
            rows.append(row | _trained(plan, parts, epochs, share, clock()))
            print(json.dumps(rows[-1]), flush=True)
            keras.backend.clear_session(free_memory=False)
    return rows


def _trained(plan: Any, parts: Any, epochs: int, share: float, times: Any) -> Row:
    from cnnsearch.results.export.ensemble import average
    from cnnsearch.training import fitting, model_io, training_data
    from cnnsearch.training.candidate import from_plan

    began = time.perf_counter()
    made = from_plan(plan, len(parts.x), x=parts.x)
    built = time.perf_counter() - began
    made = made._replace(callbacks=[*made.callbacks, times])
    data = training_data.for_candidate(made, parts, 10)
    with watching() as watch:
        result = fitting.train(made, None, None, data, epochs, "val_accuracy", lambda epoch, metrics: True)
    wall = time.perf_counter() - began
    asked = parts.x_test[: max(10, round(share * len(parts.x_test)))]
    tested = {
        name: float((model_io.predict(model, asked).argmax(-1) == parts.y_test[: len(asked)]).mean())
        for name, model in (("test", made.core), ("views", average({0: made.core}, names=VIEWS)))
    }
    epoch, look = median(times.train[1:] or times.train), median(times.test[1:] or times.test)
    seconds = {
        "build s": built,
        "compile s": times.train[0] - epoch + times.test[0] - look,
        "epoch s": epoch,
        "validation s": look,
        "wall s": wall,
    }
    accuracies = {"val": result.score, **tested}
    losses = [round(each["loss"], 4) for each in result.history]
    return {
        "epochs": epochs,
        "images": len(parts.x),
        **{key: round(value, 4) for key, value in {**accuracies, **seconds}.items()},
        "losses": losses,
        **watch.facts,
    }


def limited(share: float) -> tuple[str, ...]:
    """The setting for so large a part of the training images."""
    return () if share >= 1 else (f"dataset.limit={max(10, round(share * IMAGES))}",)


def searched(share: float, epochs: int, minutes: float, jobs: int, target: float, more: tuple[str, ...]) -> Row:
    """A search from the default point and all recipes; when its target was found, and confirmed on new seeds."""
    options = ["--space", SPACE, "--study", "cifar94", "--recipes", "--trials", "9999", "--jobs", str(jobs)]
    options += ["--timeout", str(round(60 * minutes)), "--epochs", str(epochs), "--json"]
    options += [each for setting in limited(share) for each in ("--set", setting)]
    began, events = time.time(), []
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        command = [sys.executable, "-m", "cnnsearch", "run", *options, *more]
        running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        assert running.stdout is not None
        for line in running.stdout:
            events.append((time.time() - began, json.loads(line)))
            print(line, end="", flush=True)
        # a search in which no trial completed fails too, and its row says so
        if running.wait() and not any(event["event"] == "end" for _, event in events):
            raise SystemExit((Path(folder) / "log").read_text()[-2000:])
    return summary(events, time.time() - began, jobs, target)


def summary(events: list[tuple[float, Row]], wall: float, jobs: int, target: float) -> Row:
    """What a search found, from its JSON events with the second of each."""
    trials = [(second, event) for second, event in events if event["event"] == "trial"]
    repeats = [(second, event) for second, event in events if event["event"] == "repeat"]
    best = next((event["best"] for _, event in reversed(events) if event["event"] == "end"), None)
    trained = sum(event["seconds"] or 0 for _, event in [*trials, *repeats])
    reached = [second for second, event in trials if (event["score"] or 0) >= target]
    return {
        "kind": "search",
        "jobs": jobs,
        "target": target,
        "wall s": round(wall, 1),
        "trials": sum(event["state"] in ("complete", "pruned") for _, event in trials),
        "failed": sum(event["state"] == "failed" for _, event in trials),
        "found s": round(reached[0], 1) if reached else None,
        "confirmed s": confirmed(repeats, target),
        "best": best and {key: best.get(key) for key in ("trial", "score", "mean", "half", "n", "origin", "params")},
        "training share": round(trained / (wall * jobs), 3),
        "first trial s": round(trials[0][0], 1) if trials else None,
    }


def confirmed(repeats: list[tuple[float, Row]], target: float) -> float | None:
    """The second at which the mean over at least two new seeds of a trial reached the target; None if none did."""
    scores: dict[int, list[float]] = {}
    for second, event in repeats:
        found = scores.setdefault(event["trial"], [])
        found.append(event["score"] or 0.0)
        if len(found) > 1 and mean(found) >= target:
            return round(second, 1)
    return None


PARTS = ("loading s", "build s", "compile s", "epoch s", "validation s", "wall s")


def table(rows: list[Row]) -> str:
    """A row for each point, one for the search, and what kept the GPU idle."""
    head = ["what", "n", "val", "test", "test, six views", "wall s", "compile s", "epoch s", "GPU busy"]
    lines = [head, ["---"] * len(head)]
    idle = []
    for name in dict.fromkeys(row["name"] for row in rows if row["kind"] == "point"):
        own = [row for row in rows if row.get("name") == name]
        seconds = {key: median(row[key] for row in own) for key in PARTS}
        cells = [f"{seconds[key]:.2f}" for key in ("wall s", "compile s", "epoch s")]
        accuracies = [_spread(own, key) for key in ("val", "test", "views")]
        lines.append([name, str(len(own)), *accuracies, *cells, _busy(own)])
        epochs = own[0]["epochs"]
        rest = seconds["wall s"] - epochs * seconds["epoch s"]
        parts = f"{seconds['build s']:.1f} s building, {seconds['compile s']:.1f} s compiling"
        parts += f", {epochs * seconds['validation s']:.1f} s validation"
        idle.append(
            f"* {name}: {rest:.1f} of {seconds['wall s']:.1f} s were not epochs of training: {parts}. Before it, the "
            f"images took {seconds['loading s']:.1f} s."
        )
    for row in (row for row in rows if row["kind"] == "search"):
        found = ", ".join(
            f"not {what}" if row[f"{what} s"] is None else f"{what} after {row[f'{what} s']} s"
            for what in ("found", "confirmed")
        )
        best = row["best"] or {}
        told = f"search, target {row['target']:.0%}: {found}"
        score = best.get("score") if best.get("mean") is None else best["mean"]
        cells = ["none" if score is None else f"{score:.4f}", "", "", str(row["wall s"]), "", ""]
        lines.append([told, str(row["trials"]), *cells, _busy([row])])
        first = row["first trial s"]
        began = "no trial ended" if first is None else f"the first trial ended after {first} s"
        idle.append(
            f"* search: {began}; {row['jobs']} at a time, trials trained "
            f"for {row['training share']:.0%} of the time, compiling included; kernels ran for "
            f"{_busy([row]) or 'an unknown part'} of it."
        )
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", "What kept the GPU idle:", "", *idle])


def _busy(rows: list[Row]) -> str:
    """The mean share of the time that kernels ran; empty without a GPU."""
    found = [row["gpu busy %"] for row in rows if "gpu busy %" in row]
    return f"{mean(found):.0f} %" if found else ""


def _spread(rows: list[Row], key: str) -> str:
    found = [row[key] for row in rows]
    return f"{mean(found):.4f}" + (f" ± {stdev(found):.4f} (sd)" if len(found) > 1 else "")
