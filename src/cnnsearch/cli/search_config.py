"""The options of `cnnsearch run`, checked, as the configuration of a search."""

import importlib
from dataclasses import replace
from typing import Any

from cnnsearch.cli.dataset_option import dataset_use, with_picture_options
from cnnsearch.cli.quantities import seconds
from cnnsearch.cli.resources import resources
from cnnsearch.cli.weights_option import check_weights, with_weights
from cnnsearch.core import checkpoint_address, metrics
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import parent_plugins, plugins
from cnnsearch.spaces import recipes as recipe_points
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.point_check import points_checked
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study import objectives
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.samplers import PRUNERS, SAMPLERS
from cnnsearch.tuning import registry

PICTURE_OPTIONS = ("image_size", "skip_unreadable", "group_by")

MACHINES = ("launcher", "address", "cpus_per_trial", "gpus_per_trial")
"""The options that say where trials run, and what each may use."""

FROM_SPACE = ("epochs", "metric", "max_params", "max_macs")
"""The options whose defaults are in the space."""

CONFIRMED = 3
"""How many of the best trials are trained again by default, and on how many seeds each."""


def search_config(
    *,
    space: str | Space,
    dataset: str | Use | None,
    settings: tuple[str, ...],
    weights: str | None,
    study: str | None,
    jobs: int | None,
    timeout: str,
    trial_timeout: str,
    memory: str,
    confirm: str,
    objective: str | None,
    recipe: tuple[str, ...],
    recipes: bool,
    space_from_study: bool,
    checkpoints: str,
    prior: str,
    **given: Any,
) -> SearchConfig:
    """The checked configuration of a command line, or of a call from Python with a space and a dataset as objects.

    Nothing heavy is imported and nothing is written.

    Raises:
        CnnsearchError: if an option is wrong.
    """
    known = plugins.load(given["plugins"])
    _check_names(given, known)
    pictures = {name: given.pop(name) for name in PICTURE_OPTIONS}
    if weights is not None and space_from_study:
        raise CnnsearchError("--weights with --space-from-study: the stored space names its file. Leave out --weights.")
    found, used = _checked_space(space, dataset, pictures, settings, weights, known)
    given = _with_objectives(given, objective, confirm, found)
    launcher, address, cpus, gpus = (given.pop(name) for name in MACHINES)
    only_recipes, wanted = bool(recipe) and not recipes, recipe_points.chosen(found, recipe, recipes)
    made = SearchConfig.of(
        space=found,
        dataset=used,
        name=_checked_name(study or found.name),
        timeout=seconds(timeout),
        trial_timeout=seconds(trial_timeout),
        recipes=wanted,
        only_recipes=only_recipes,
        checkpoints=checkpoint_address.checked(checkpoints) if checkpoints else "",
        confirm=_confirmed(confirm, 0 if only_recipes or found.trains_itself else CONFIRMED),
        **resources(launcher, address, jobs, cpus, gpus, memory),
        **_with_space_defaults(given, found),
    )
    with points_checked(found, made.study.plugins, wanted):
        # meanwhile: Optuna takes as long to import as the process to draw
        importlib.import_module("cnnsearch.tuning.run")
    if weights is not None:
        check_weights(found, known)
    made = _with_stored_space(made) if space_from_study else made
    return made if prior == "none" else _with_prior(made, prior)


def _with_objectives(given: dict[str, Any], objective: str | None, confirm: str, space: Space) -> dict[str, Any]:
    """`given` with what is optimized, `metric`, `direction`, `more` and `costs`, and the parts that depend on it.

    Raises:
        CnnsearchError: if these options do not work together.
    """
    found = dict(given)
    values = objectives.values(found["metric"], found["direction"], space)
    if values.more:
        objectives.check_several({**found, "objective": objective, "confirm": confirm})
        found["scheduler"], found["pruner"] = "none", "none"
    metric, costs = objectives.asked(objective, values.metric, found["pruner"], bool(space.model))
    objectives.check_sampler(found["sampler"], bool(costs or values.more))
    found["scheduler"], found["pruner"] = scheduler_and_pruner(found["scheduler"], found["pruner"], costs)
    # only a whole training of such a function shows its default point
    found["default"] &= not space.trains_itself
    return {**found, "metric": metric, "direction": values.direction, "more": values.more, "costs": costs}


def _with_prior(config: SearchConfig, asked: str) -> SearchConfig:
    """`config` with the prior that `--prior` names."""
    # it imports Optuna
    from cnnsearch.study import prior

    return config.changed(prior=prior.found(asked, config.study))


def _check_names(given: dict[str, Any], known: plugins.Catalog) -> None:
    """Refuse names of parts that neither cnnsearch nor a plugin has.

    Raises:
        CnnsearchError: it names the option and the known names.
    """
    parts = {"sampler": SAMPLERS, "pruner": PRUNERS, "scheduler": registry.SCHEDULERS, "launcher": registry.LAUNCHERS}
    for kind, own in parts.items():
        if given[kind] is not None:
            parent_plugins.check_name(kind, given[kind], own, known)
    for name in given["callbacks"]:
        parent_plugins.check_name("callback", name, (), known)


def _checked_space(
    space: str | Space,
    dataset: str | Use | None,
    pictures: dict[str, Any],
    changes: tuple[str, ...],
    weights: str | None,
    known: plugins.Catalog,
) -> tuple[Space, Use]:
    """The space with the dataset, its options and the changes of the command line; and its dataset."""
    found = space if isinstance(space, Space) else spaces.load(space, known)
    if dataset and found.trains_itself:
        raise CnnsearchError(f"{found.where} is an Optuna objective, which reads its own data. Leave out --dataset.")
    if dataset:
        use = dataset if isinstance(dataset, Use) else dataset_use(dataset, known)
        found = replace(found, dataset=use, input_shape=(), image_size=found.input_shape[:2])
    found = with_picture_options(found, known, pictures)
    found = spaces.check_options(with_weights(spaces.override(found, changes), weights, known), known)
    if found.dataset is None:
        own = " An Optuna objective, which has its own data, has the word objective in its name." if found.model else ""
        raise CnnsearchError(
            f"{found.name} has no dataset of its own. Name one: --dataset NAME or --dataset PATH.{own}"
        )
    return found, found.dataset


def scheduler_and_pruner(scheduler: str, pruner: str | None, costs: tuple[str, ...]) -> tuple[str, str]:
    """Scheduler and pruner. What the user did not name depends on what the user named. Rungs do not work with costs."""
    if scheduler == "auto" and (pruner or costs):
        scheduler = "none"
    return scheduler, pruner or ("median" if scheduler in ("auto", "none") else "none")


def _with_space_defaults(given: dict[str, Any], space: Space) -> dict[str, Any]:
    """`given` with the space's values for the options of FROM_SPACE that were not given.

    Raises:
        CnnsearchError: if there is no such metric.
    """
    found = dict(given)
    if found["metric"] is None and space.model and space.defaults["metric"] == spaces.DEFAULTS["metric"]:
        # nobody named a metric: the model is built first, and says which metrics it reports
        found["metric"] = ""
    found |= {name: space.defaults[name] for name in FROM_SPACE if found[name] is None}
    if not space.model and space.trainer is None:
        # a trainer or a model may report metrics of its own
        metrics.check(found["metric"])
    return found


def _with_stored_space(config: SearchConfig) -> SearchConfig:
    """`config` with what the study stored when it began: its space, dataset and what depends on them."""
    # they import Optuna
    from cnnsearch.study import listing
    from cnnsearch.study.resumed_config import stored_config

    asked = config.study
    begun = stored_config(listing.load(asked.name, asked.runs, asked.storage), runs=asked.runs).study
    stored = ("space", "dataset", "epochs", "metric", "direction", "more", "costs", "seed", "brought")
    return config.changed(**{name: getattr(begun, name) for name in stored})


def _confirmed(text: str, default: int) -> tuple[int, int]:
    """`--confirm` as how many trials and on how many seeds each. `default` is both numbers of `auto`.

    Raises:
        CnnsearchError: if it is neither `auto`, 0 nor such as `3x2`.
    """
    if text == "auto":
        return default, default
    parts = text.replace("\N{MULTIPLICATION SIGN}", "x").split("x")
    if text != "0" and not (len(parts) == 2 and all(part.isdecimal() and int(part) for part in parts)):
        raise CnnsearchError(f"--confirm {text}: expected 0, or trials x seeds such as 3x3.")
    return (0, 0) if text == "0" else (int(parts[0]), int(parts[1]))


def _checked_name(name: str) -> str:
    """The name of a study, which is also the name of its folder.

    Raises:
        CnnsearchError: if it has other characters than letters, digits, '-', '_' and '.', or begins with '-' or '.'.
    """
    if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or name[0] in ".-":
        raise CnnsearchError(f"'{name}' cannot be the name of a study; use letters, digits, '-', '_' and '.'.")
    return name
