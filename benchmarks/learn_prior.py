"""Learns the shipped prior: points of a space that were good on many small datasets, and weights of its choices.

    CNNSEARCH_DATA=DIR python benchmarks/learn_prior.py record --points 40
    python benchmarks/learn_prior.py learn

`record` trains the same random points, and the default point first, on each dataset of benchmarks/prior_data.py. Each
training is a line of results/prior/points.jsonl; what is there already is not trained again, so it may be stopped at
any time. `learn` writes search_spaces/priors/small_cnn.json.
"""

import itertools
import json
import os
import platform
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

import click
from prior_data import DATASETS, Data, family

HERE = Path(__file__).parent
POINTS = HERE / "results" / "prior" / "points.jsonl"
SPACE = HERE / "spaces" / "prior.toml"
SHIPPED = HERE.parent / "search_spaces" / "priors" / "small_cnn.json"
PORTFOLIO = 8
"""How many points."""
MOST_OF = 0.8
"""A dataset with fewer than this share of the points of another one is not used."""
MACHINE = f"{platform.system()} {platform.machine()}, one core of {os.cpu_count()}"
DEFAULT = -1
"""The number of the default point."""
LARGEST = (16, 16, 3)
"""The largest images."""


@click.group()
def main() -> None:
    """Record points, or learn the prior from them."""


@main.command()
@click.option("--points", default=40, show_default=True, help="How many random points.")
@click.option("--dataset", "names", multiple=True, default=tuple(DATASETS), type=click.Choice(list(DATASETS)))
def record(points: int, names: tuple[str, ...]) -> None:
    """Train what is missing: each point on all datasets before the next point."""
    done = {(row["dataset"], row["point"]) for row in rows()}
    tasks = {name: Task(name) for name in names}
    for number in itertools.islice(numbers(), points + 1):
        for name, task in tasks.items():
            if (name, number) not in done:
                keep(task.trained(number))


def numbers() -> Iterator[int]:
    """The default point, then the seeds of the random points that keep to the limit of the space."""
    from cnnsearch.spaces import plugins, space
    from cnnsearch.spaces.cost import cost
    from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance

    catalog = plugins.load()
    found = space.check(space.load(str(SPACE), catalog), catalog)
    start = space.start_plan(found, LARGEST, 10)
    yield DEFAULT
    for number in itertools.count():
        plan = space.draw(found, catalog, HyperParameters(by_chance(number)), start)
        if cost(plan).macs <= found.defaults["max_macs"]:
            yield number


class Task:
    """A dataset with the space of the prior."""

    def __init__(self, name: str) -> None:
        import numpy as np
        from first_looks import train

        from cnnsearch.spaces import plugins, space

        self.name, self._train, self._catalog = name, train, plugins.load()
        self._space = space.check(space.load(str(SPACE), self._catalog), self._catalog)
        data: Data = DATASETS[name].make()
        count, classes = len(data.x) - data.validated, int(data.y.max()) + 1
        self._start = space.start_plan(self._space, data.x.shape[1:], classes)
        y = np.eye(classes, dtype="float32")[data.y]
        self.x, self.y, self.x_val, self.y_val = data.x[:count], y[:count], data.x[count:], y[count:]
        self.epochs = int(self._space.defaults["epochs"])

    def trained(self, number: int) -> dict[str, Any]:
        """One training of a point, as a row."""
        from cnnsearch.spaces import space
        from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance, defaults

        hp = HyperParameters(defaults if number == DEFAULT else by_chance(number))
        plan = space.draw(self._space, self._catalog, hp, self._start)
        started = time.process_time()
        curve, seconds = self._train(self, plan, 1000 + number, 1.0, self.epochs)
        return {
            "dataset": self.name,
            "family": DATASETS[self.name].family,
            "point": number,
            "values": hp.values,
            "curve": curve,
            "seconds": seconds,
            "cpu": round(time.process_time() - started, 2),
            "images": len(self.x),
            "validated": len(self.x_val),
            "machine": MACHINE,
        }


@main.command()
@click.option("--without", default="", help="Leave out the datasets of this family.")
@click.option("--wrong", is_flag=True, help="The worst points instead of the best.")
@click.option("--out", default=SHIPPED, type=click.Path(path_type=Path), help="The JSON file.")
def learn(without: str, wrong: bool, out: Path) -> None:
    """Choose points and weights from what was recorded."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(learnt(rows(), without, wrong), indent=1) + "\n")
    click.echo(f"wrote {out}")


def learnt(trainings: list[dict[str, Any]], without: str = "", wrong: bool = False) -> dict[str, Any]:
    """A prior as JSON has it, from the datasets of all families but one."""
    recorded = Recorded([row for row in trainings if row["family"] != without])
    chosen = recorded.portfolio(wrong)
    return {
        "description": "Points of small CNNs that were good on small datasets; made by benchmarks/learn_prior.py.",
        "studies": recorded.studies(),
        "points": [recorded.values[point] for point in chosen],
        "weights": recorded.weights(wrong),
    }


class Recorded:
    """The recorded trainings of points that all datasets have. Datasets with few points are left out.

    Attributes:
        values: the hyperparameters of each point, without those that are the same in all points.
        regret: for each dataset and each point how far its best accuracy is below the best of all points, divided by
            how far the median point is below it.
    """

    def __init__(self, trainings: list[dict[str, Any]]) -> None:
        counts = Counter(row["dataset"] for row in trainings)
        self.datasets = sorted(name for name, count in counts.items() if count >= MOST_OF * max(counts.values()))
        self._rows = trainings = [row for row in trainings if row["dataset"] in self.datasets]
        best = {(row["dataset"], row["point"]): max(row["curve"]) for row in trainings}
        every = sorted({row["point"] for row in trainings})
        self.points = [point for point in every if all((name, point) in best for name in self.datasets)]
        found = {row["point"]: row["values"] for row in trainings}
        fixed = {name for name in found[DEFAULT] if len({str(values.get(name)) for values in found.values()}) == 1}
        self.values = {
            point: {name: value for name, value in found[point].items() if name not in fixed} for point in self.points
        }
        self.regret: dict[str, dict[int, float]] = {}
        for name in self.datasets:
            scores = {point: best[name, point] for point in self.points}
            top = max(scores.values())
            self.regret[name] = {p: (top - score) / (top - median(scores.values())) for p, score in scores.items()}

    def studies(self) -> list[dict[str, Any]]:
        """What was recorded of each dataset."""
        found = {row["dataset"]: row for row in self._rows}
        fields = ("dataset", "family", "images", "validated")
        return [{**{each: found[name][each] for each in fields}, "points": len(self.points)} for name in self.datasets]

    def portfolio(self, wrong: bool) -> list[int]:
        """The points that together have the least regret: each time the one that lowers it most.

        The regret of a portfolio is the mean over families of the mean over their datasets of its best point's regret,
        at most 1. Wrong: the points with the largest mean regret.
        """
        chosen: list[int] = []

        def covered(more: list[int]) -> float:
            return self._over_families({n: min(1.0, *(self.regret[n][p] for p in more)) for n in self.datasets})

        def regret(point: int) -> float:
            return self._over_families({name: self.regret[name][point] for name in self.datasets})

        if wrong:
            return sorted(self.points, key=regret)[: -PORTFOLIO - 1 : -1]
        while len(chosen) < min(PORTFOLIO, len(self.points)):
            rest = [point for point in self.points if point not in chosen]
            # equal ones by their own regret
            chosen.append(min(rest, key=lambda point: (round(covered([*chosen, point]), 4), regret(point))))
        return chosen

    def weights(self, wrong: bool) -> dict[str, list[list[Any]]]:
        """How often each value was among the best quarter of points, divided by how often it was tried.

        It is the mean over families. One is added to both counts, so that a rare value has no extreme weight.
        """
        shares: dict[str, Counter[Any]] = defaultdict(Counter)
        for name in self.datasets:
            ranked = sorted(self.points, key=lambda point: self.regret[name][point], reverse=wrong)
            good, weight = set(ranked[: max(1, len(ranked) // 4)]), 1 / self._relatives(name)
            for key in sorted({key for values in self.values.values() for key in values}):
                have = [point for point in self.points if key in self.values[point]]
                for value in {self.values[point][key] for point in have}:
                    tried = [point for point in have if self.values[point][key] == value]
                    odds = (len(good.intersection(tried)) + 0.25) / (len(tried) + 1)
                    shares[key][value] += weight * odds
        return {
            key: [[value, round(share / found.total(), 4)] for value, share in sorted(found.items(), key=str)]
            for key, found in shares.items()
        }

    def _relatives(self, name: str) -> int:
        return sum(family(other) == family(name) for other in self.datasets)

    def _over_families(self, values: dict[str, float]) -> float:
        """The mean over families of the mean over their datasets."""
        families = {family(name) for name in self.datasets}
        return mean(mean(v for name, v in values.items() if family(name) == each) for each in families)


def keep(row: dict[str, Any]) -> None:
    """Add a training to the recorded ones."""
    POINTS.parent.mkdir(parents=True, exist_ok=True)
    with POINTS.open("a") as file:
        file.write(json.dumps(row) + "\n")


def rows() -> list[dict[str, Any]]:
    """The recorded trainings."""
    return [json.loads(line) for line in POINTS.read_text().splitlines()] if POINTS.exists() else []


if __name__ == "__main__":
    main()
