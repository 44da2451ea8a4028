"""How soon a search with rungs reaches a target, by its sampler and its shares: whole searches of MNIST, simulated.

    CNNSEARCH_DATA=DIR python benchmarks/samplers.py points --task mnist --plans 320 --repeats 24
    python benchmarks/rung_samplers.py

For each search a landscape is drawn anew from a Gaussian process that was fitted to the measured curves: what it says
at plans that were trained is near what was measured, and plans that are alike train alike. In it two workers search as
cnnsearch does, by its own scheduler, samplers and study, until an epoch reaches the target that benchmarks/peers.py
fixed. Seconds of an epoch are of the measured trainings too. Writes its table into docs/benchmarks/samplers.md. It
resumes where it was stopped; `--begin` lets processes share the searches.
"""

import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from statistics import geometric_mean, median
from typing import Any, NamedTuple

import click
import numpy as np
from confirm_shares import OF_EPOCH, OF_TRAINING
from peers_results import goal
from peers_results import rows as raced
from samplers_arms import RESULTS, keep, measured, near, tpe
from samplers_arms import rows as lines
from samplers_page import PAGE, RUNGS_TITLE, interval
from samplers_surrogate import Landscape, accuracy, logit, quietly, smooth
from simulated import EPOCHS, START, turns
from simulated import Candidate as Trained

from cnnsearch.spaces.hyperparameters import by_chance
from cnnsearch.study import samplers
from cnnsearch.study.sampler_view import SamplerView
from cnnsearch.study.study import suggest
from cnnsearch.study.trial import ATTRIBUTE
from cnnsearch.tuning.schedulers import rungs
from cnnsearch.tuning.schedulers.rungs import LOW_FIDELITY_UPDATES, Rungs

TASK = "mnist"
BEGIN, LONGEST = 5.5, 1000.0
"""Seconds until workers have started, and after which a search is given up."""
TOP = 20
"""Beyond the best that was measured accuracy rises as it does among so many of the best."""
THIRD, HALF, QUARTER = Fraction(1, 3), Fraction(1, 2), Fraction(1, 4)
KEPT = RESULTS / f"{TASK}_rungs.jsonl"


class Arm(NamedTuple):
    """A way to search."""

    sampler: Callable[[int], Any]
    told: str
    scheduler: str = "halving"
    shares: tuple[Fraction, Fraction] = (THIRD, 2 * THIRD)
    near: int = 0
    """So many trials after the default begin near it."""


def _by_chance_first(trials: int) -> Callable[[int], Any]:
    return tpe(multivariate=True, n_startup_trials=trials)


def _alone(seed: int) -> Any:
    return tpe(multivariate=False, n_startup_trials=10)(seed)


def _random(seed: int) -> Any:
    return samplers.sampler("random", seed)


ARMS = {
    "tpe-10": Arm(_by_chance_first(10), "TPE, 10 at random first"),
    "tpe-5": Arm(_by_chance_first(5), "TPE, 5 at random first"),
    "near-5": Arm(_by_chance_first(5), "TPE, 4 near the default first", near=4),
    "near": Arm(_by_chance_first(10), "TPE, 9 near the default first", near=9),
    "alone": Arm(_alone, "TPE, each hyperparameter alone, 10 at random first"),
    "random": Arm(_random, "random"),
    "none": Arm(_by_chance_first(10), "TPE, 10 at random first, all to their end", "none"),
    "sharper": Arm(_by_chance_first(10), "TPE, 10 at random first, 1/4 and then 1/2", shares=(QUARTER, HALF)),
}
BASE = "tpe-10"
UNSEEN = 300
"""The first landscape that was not looked at while arms were chosen."""
HEAD = """
Five random trials before TPE, instead of ten, reach the target sooner: in 0.86 of the time (0.78 to 0.95). So `tpe-5`
is the default.

The target is that of [the comparison with other tools](peers.md) on MNIST ({target:.2%}). `seconds` and `trials
started` are medians until it is reached. The last column is the time relative to `{base}`, the default before, on the
same landscape (geometric mean, 95% interval by bootstrap).

Method: searches with rungs are simulated on landscapes that are drawn from a Gaussian process, which was fitted to
{points} measured curves. In these landscapes {chance:.1%} of random plans reach the target. The arms and the rule
were chosen on other landscapes. The rule: another way to start a search becomes the default if its interval here lies
below 1, and if without rungs it is not worse than `tpe` on any task (see above). `tpe-5` and `near-5` both pass.
`tpe-5` is the default: `near-5` takes {near} of its time, and points near the default that wait for their turn need
code of their own. That code was written, tried and removed again. Command: `python benchmarks/rung_samplers.py`.

| search | n | seconds | trials started | time by `{base}` |
| --- | --- | --- | --- | --- |
"""


class Measured:
    """The curves that were measured, and the process that is fitted to them."""

    def __init__(self) -> None:
        from scipy.stats import norm, rankdata

        self.land, trained = Landscape(TASK), measured(TASK)
        self.points, self.images = len(trained), int(trained[0]["validated"])
        self.x = np.array([self.land.encoded(row["values"]) for row in trained])
        odds = np.array([[logit(value, self.images) for value in row["curve"]] for row in trained])
        # as ranks on the normal scale: log odds are far more apart among bad plans than among good ones
        scores = norm.ppf((np.apply_along_axis(rankdata, 0, odds) - 0.5) / len(odds))
        self._scales = [Scale(np.sort(scores[:, at]), np.sort(odds[:, at])) for at in range(EPOCHS)]
        model = smooth(self.x.shape[1]).set_params(normalize_y=False)
        quietly(lambda: model.fit(self.x, scores[:, -1]))
        self.kernel, noise = model.kernel_.k1, model.kernel_.k2.noise_level
        self._root = np.linalg.cholesky(self.kernel(self.x) + noise * np.eye(len(self.x)))
        self._weights = np.linalg.solve(self._root.T, np.linalg.solve(self._root, scores))
        # what is not known of a plan is alike in all its epochs
        self.alike = np.linalg.cholesky(np.corrcoef(scores.T) + 1e-6 * np.eye(EPOCHS))
        spent = [math.log(max(0.5, row["seconds"] - START[TASK]) / EPOCHS) for row in trained]
        self._pace = smooth(self.x.shape[1])
        quietly(lambda: self._pace.fit(self.x, spent))

    def foretold(self, x: Any) -> tuple[Any, Any]:
        """The normal scores of a plan's epochs, and what it shares with the measured plans."""
        near = self.kernel(x, self.x)[0]
        return near @ self._weights, np.linalg.solve(self._root, near)

    def odds(self, scores: Any) -> Any:
        """Normal scores as log odds."""
        return np.array([scale.odds(float(score)) for scale, score in zip(self._scales, scores, strict=True)])

    def seconds(self, x: Any) -> float:
        """Of an epoch."""
        return math.exp(float(self._pace.predict(x)[0]))


class Scale:
    """Normal scores and the log odds that they stand for."""

    def __init__(self, scores: Any, odds: Any) -> None:
        self._scores, self._all = scores, odds
        self._slope = np.polyfit(scores[-TOP:], odds[-TOP:], 1)[0]

    def odds(self, score: float) -> float:
        """Beyond the best that was measured it goes on as among the best."""
        beyond = max(0.0, score - self._scores[-1])
        return float(np.interp(score, self._scores, self._all) + beyond * self._slope)


class Drawn:
    """One landscape: what a plan is worth is drawn when it is first trained, given all that were drawn before it."""

    def __init__(self, known: Measured, seed: int) -> None:
        self.land = known.land
        self._known, self._chance = known, np.random.default_rng((seed, 7))
        self._x, self._shared = np.zeros((0, known.x.shape[1])), np.zeros((0, len(known.x)))
        self._off, self._cover = np.zeros((0, EPOCHS)), np.zeros((0, 0))

    def trained(self, values: dict[str, Any]) -> tuple[list[float], float]:
        """A plan's validation accuracy after each epoch in one training, and the seconds of an epoch."""
        known, chance = self._known, self._chance
        x = np.array([known.land.encoded(values)])
        middle, shared = known.foretold(x)
        own = float(known.kernel(x)[0, 0] - shared @ shared)
        across = known.kernel(x, self._x)[0] - self._shared @ shared if len(self._x) else np.zeros(0)
        weights = np.linalg.solve(self._cover + 1e-6 * np.eye(len(across)), across)
        left = math.sqrt(max(1e-9, own - weights @ across))
        off = weights @ self._off + left * (known.alike @ chance.normal(size=EPOCHS))
        self._cover = np.block([[self._cover, across[:, None]], [across[None], np.array([[own]])]])
        self._x, self._shared = np.vstack([self._x, x]), np.vstack([self._shared, shared])
        self._off = np.vstack([self._off, off])
        odds = known.odds(middle + off) + chance.normal(0, OF_TRAINING) + chance.normal(0, OF_EPOCH, EPOCHS)
        return [round(value * known.images) / known.images for value in accuracy(odds)], known.seconds(x)


class Candidate(Trained):
    """A trial of the study."""

    def __init__(self, study: Any, trial: Any, curve: list[float], seconds: float) -> None:
        super().__init__(curve, seconds)
        self._study, self._trial = study, trial

    def is_rung(self, scheduler: Any, epoch: int) -> bool:
        """The default point does not."""
        return self._trial.number > 0 and super().is_rung(scheduler, epoch)

    def trained(self, epoch: int) -> None:
        """Tell the study what was reached."""
        for before in range(self.done, epoch):
            self._trial.report(self.curve[before], before + 1)
        super().trained(epoch)
        if epoch == EPOCHS:
            self._study.tell(self._trial, max(self.curve))
        else:
            self._trial.set_user_attr(ATTRIBUTE, {"state": "waiting"})


@click.command()
@click.option("--searches", default=150, show_default=True)
@click.option("--begin", default=UNSEEN, show_default=True, help="The first landscape.")
@click.option("--arm", "arms", multiple=True, default=tuple(ARMS), type=click.Choice(tuple(ARMS)))
def main(searches: int, begin: int, arms: tuple[str, ...]) -> None:
    """Simulate what is missing, all arms of a landscape before the next, and write the table."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    known, target = Measured(), goal(raced(TASK))
    for seed in range(begin, begin + searches):
        for arm in arms:
            if (arm, seed) not in found(known.points):
                seconds, begun = search(ARMS[arm], known, seed, target)
                keep(KEPT, {"points": known.points, "arm": arm, "seed": seed, "seconds": seconds, "begun": begun})
    write(known, target)


def search(arm: Arm, known: Measured, seed: int, target: float) -> tuple[float, int]:
    """The seconds until an epoch reaches the target, and the trials that were begun until then."""
    import optuna

    rungs.FIRST_SHARE, rungs.LATER_SHARE = arm.shares
    scheduler, landscape = (
        Rungs(arm.scheduler, EPOCHS, LOW_FIDELITY_UPDATES, maximize=True, low_fidelity=False),
        Drawn(known, seed),
    )
    made = optuna.create_study(direction="maximize", sampler=arm.sampler(seed))
    study = SamplerView(made.study_name, made._storage, made.sampler)
    for point in (known.land.default(), *near(known.land.default(), seed, arm.near)):
        study.enqueue_trial(point)
    every: list[Candidate] = []
    reached = LONGEST
    for now in turns(every, scheduler, lambda: begun(study, landscape), START[TASK], BEGIN):
        reached = min([reached, *(one.reached(target) for one in every)])
        if now >= reached:
            break
    return round(reached, 2), len(every)


def begun(study: Any, landscape: Drawn) -> Candidate:
    """The next trial that the sampler draws."""
    trial = study.ask()
    values = landscape.land.point(lambda name, distribution: suggest(trial, name, distribution.to_dict()))
    return Candidate(study, trial, *landscape.trained(values))


def found(points: int) -> dict[tuple[str, int], dict[str, Any]]:
    """The searches on the curves that there are now."""
    return {(row["arm"], row["seed"]): row for row in lines(KEPT) if row["points"] == points}


def write(known: Measured, target: float) -> None:
    """The table, as a part of docs/benchmarks/samplers.md."""
    every = found(known.points)
    base = {seed: row["seconds"] for (arm, seed), row in every.items() if arm == BASE}
    told = []
    for arm, made in ARMS.items():
        mine = {seed: row for (name, seed), row in every.items() if name == arm and seed in base}
        if not mine:
            continue
        ratios = [row["seconds"] / base[seed] for seed, row in mine.items()]
        cells = [f"`{arm}`: {made.told}", str(len(mine)), f"{median(row['seconds'] for row in mine.values()):.0f}"]
        cells += [f"{median(row['begun'] for row in mine.values()):.0f}"]
        cells += ["" if arm == BASE else told_ratio(ratios)]
        told.append(f"| {' | '.join(cells)} |")
    text = PAGE.read_text().partition(RUNGS_TITLE)[0]
    beside = [row["seconds"] / every["tpe-5", seed]["seconds"] for (arm, seed), row in every.items() if arm == "near-5"]
    head = HEAD.format(
        near=told_ratio(beside), target=target, points=known.points, base=BASE, chance=easy(known, target)
    )
    PAGE.write_text(text + RUNGS_TITLE + head + "\n".join(told) + "\n")


def told_ratio(ratios: list[float]) -> str:
    """The geometric mean and its interval."""
    low, high = interval(ratios, geometric_mean)
    return f"{geometric_mean(ratios):.2f} ({low:.2f} to {high:.2f})"


def easy(known: Measured, target: float, landscapes: int = 20, plans: int = 50) -> float:
    """The share of plans by chance that reach the target."""
    drawn = [Drawn(known, seed) for seed in range(landscapes)]
    best = [max(one.trained(known.land.point(by_chance(10**6 + plan)))[0]) for one in drawn for plan in range(plans)]
    return float(np.mean(np.array(best) >= target))


if __name__ == "__main__":
    main()
