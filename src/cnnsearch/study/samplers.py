"""Optuna's samplers and pruners by name."""

import math
import warnings
from collections.abc import Callable
from typing import Any

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import parent_plugins
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.prior import Weights

FIRST = 5
"""TPE draws at random until this many trials have ended (docs/benchmarks/samplers.md)."""


def _tpe(seed: int, weights: Weights | None = None) -> Any:
    from cnnsearch.study.tpe import RememberingTPESampler

    return RememberingTPESampler(weights, seed=seed, n_startup_trials=FIRST, multivariate=True, constant_liar=True)


def _random(seed: int, weights: Weights) -> Any:
    from cnnsearch.study.prior_weights import WeightedRandomSampler

    return WeightedRandomSampler(seed, weights)


def _simple(name: str, **options: Any) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        import optuna

        return getattr(optuna.samplers, name)(seed=seed, **options)

    return make


def _grid(seed: int) -> Any:
    from optuna.samplers import BruteForceSampler

    class Grid(BruteForceSampler):
        """A grid without a list of values in advance, so that conditional dimensions work."""

        exhausted = False

        def after_trial(self, *arguments: Any) -> None:
            try:
                super().after_trial(*arguments)
                # a trial that ran meanwhile may have shown more choices
                self.exhausted = False
            except RuntimeError:
                # it calls Study.stop after the last point, which Optuna does not allow with `ask`
                self.exhausted = True

    return Grid(seed=seed)


SAMPLERS: dict[str, tuple[Callable[[int], Any], tuple[str, ...]]] = {
    "tpe": (_tpe, ()),
    "random": (_simple("RandomSampler"), ()),
    "gp": (_simple("GPSampler", deterministic_objective=False), ("torch", "scipy")),
    "cmaes": (_simple("CmaEsSampler", warn_independent_sampling=False), ("cmaes",)),
    "qmc": (_simple("QMCSampler", warn_independent_sampling=False), ()),
    "grid": (_grid, ()),
}
"""For each sampler, the function that makes it and the packages it needs; the extra of its name installs them."""

WEIGHTED: dict[str, Callable[[int, Weights], Any]] = {"tpe": _tpe, "random": _random}
"""The samplers that take the weights of a prior."""

PRUNERS = ("median", "percentile", "halving", "hyperband", "none")

NO_PLUGINS = Catalog(())


def sampler(name: str, seed: int, known: Catalog = NO_PLUGINS, weights: Weights | None = None) -> Any:
    """The Optuna sampler of this name; `known` has those of plugins. `weights` of a prior are used by WEIGHTED only.

    Raises:
        CnnsearchError: if there is none, or a package that it needs is not installed.
    """
    if name not in SAMPLERS:
        return parent_plugins.make("sampler", name, {}, known, seed)
    if weights and name in WEIGHTED:
        return WEIGHTED[name](seed, weights)
    make, needs = SAMPLERS[name]
    for package in needs:
        try:
            __import__(package)
        except ImportError:
            raise CnnsearchError(
                f"--sampler {name} needs the package '{package}', which is not installed: "
                f"pip install 'cnnsearch[{name}]', or use --sampler tpe."
            ) from None
    with warnings.catch_warnings():
        # some of Optuna's samplers warn that they are experimental
        warnings.simplefilter("ignore")
        return make(seed)


def pruner(name: str, epochs: int, known: Catalog = NO_PLUGINS) -> Any:
    """The Optuna pruner of this name, for trials of at most `epochs` epochs; `known` has those of plugins.

    Raises:
        CnnsearchError: if there is none.
    """
    from optuna import pruners

    if name not in PRUNERS:
        return parent_plugins.make("pruner", name, {}, known, epochs)

    # no pruning in the first quarter: with warm-up or augmentation the first epochs are worse and the last better
    first = max(2, math.ceil(epochs / 4))
    makers: dict[str, Callable[[], Any]] = {
        "median": lambda: pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first),
        # prunes only the worst quarter: the mildest pruner was best in Optuna's own study (optuna#2906)
        "percentile": lambda: pruners.PercentilePruner(75.0, n_startup_trials=5, n_warmup_steps=first),
        "halving": lambda: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        "hyperband": lambda: pruners.HyperbandPruner(min_resource=1, max_resource=epochs or "auto", reduction_factor=3),
        "none": pruners.NopPruner,
    }
    return makers[name]()
