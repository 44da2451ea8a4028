"""The queue of a study: interrupted trials, the default, recipes, points of a prior and controlled trials."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.spaces.prior import ORIGIN as PRIOR
from cnnsearch.spaces.recipes import ORIGIN
from cnnsearch.study.config import TunerConfig, trial_seed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, COUNTED


def missing_recipes(study: Study, config: TunerConfig) -> list[str]:
    """The recipes of `config` that no trial has trained yet, also not as a duplicate."""
    settled = settled_origins(study)
    return [name for name in config.recipes if ORIGIN + name not in settled]


def settled_origins(study: Study) -> set[str]:
    """The origins of the trials that have ended or are duplicates."""
    return {r.origin for r in study.trials() if r.state in (*COUNTED, "duplicate")}


def enqueue_default(study: Study, values: dict[str, Any]) -> None:
    """Queue the default point, once in a study."""
    if not any(trial.user_attrs.get("origin") == "default" for trial in study.optuna.get_trials(deepcopy=False)):
        study.optuna.enqueue_trial(values, user_attrs={"origin": "default"})


def take(study: Study, config: TunerConfig) -> optuna.Trial | None:
    """The next trial: an interrupted one, else a queued one, else one for the sampler to draw.

    With controlled trials or `only_recipes` it is one of the queued trials of these origins, or None if none is left.
    """
    named = set(config.controlled) or ({ORIGIN + name for name in config.recipes} if config.only_recipes else set())
    for frozen in _named(study, named) if named else _interrupted(study):
        # as in Optuna's `ask`, which cannot choose a given waiting trial
        if study.optuna._storage.set_trial_state_values(frozen._trial_id, state=TrialState.RUNNING):
            return optuna.Trial(study.sampler_view, frozen._trial_id)
    return None if config.controlled or config.only_recipes else study.sampler_view.ask()


def _named(study: Study, origins: set[str]) -> list[FrozenTrial]:
    waiting = study.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return [trial for trial in waiting if trial.user_attrs.get("origin") in origins]


def _interrupted(study: Study) -> list[FrozenTrial]:
    # the waiting trials that this process knows: the storage is not read for them
    some = study.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
    return [trial for trial in some if trial.state == TrialState.WAITING and "state" in trial.user_attrs]


def enqueue_recipes(study: Study, config: TunerConfig) -> None:
    """Queue the missing recipes that are not queued or running."""
    queued = _open_origins(study)
    for name in missing_recipes(study, config):
        if ORIGIN + name not in queued:
            study.optuna.enqueue_trial(config.recipes[name], user_attrs={"origin": ORIGIN + name})


def has_prior(study: Study) -> bool:
    """Whether the points of a prior were queued in this study, in this run or before, or none was left to queue."""
    return study.fact("prior") is not None


def enqueue_prior(study: Study, config: TunerConfig, nearest: Iterable[dict[str, Any]]) -> str:
    """Queue the points of the prior of `config`; returns a line for the user.

    `nearest` has for each of its points the nearest point of this space. One that is empty, or equal to the default
    point that is queued or to an earlier one, is left out.
    """
    prior, known, counts = config.prior, [study.info.get("default", {})] * config.default, Counter[str]()
    for point, values in zip(prior.points, nearest, strict=True):
        if values and values not in known:
            known.append(values)
            counts[point.source] += 1
            study.optuna.enqueue_trial(values, user_attrs={"origin": PRIOR + point.source})
    study.remember_fact("prior", {source: counts[source] for source in prior.sources})
    if not counts:
        return f"Prior: no point of {', '.join(prior.sources)} differs from the default point in this space."
    told = ", ".join(f"{count} of {source}" for source, count in counts.items())
    return f"Prior: points that were good in other studies come first ({told})."


def left_out_prior(study: Study, config: TunerConfig) -> str:
    """A line for the user if the prior of `config` is another one than that of an earlier run; else empty."""
    queued = study.fact("prior")
    others = [] if queued is None else [source for source in config.prior.sources if source not in queued]
    if not others:
        return ""
    return f"Prior: this study keeps the points of its first prior, and gets none of {', '.join(others)}."


def enqueue_controlled(study: Study, config: TunerConfig) -> None:
    """Queue each controlled trial that was not trained, is not queued and is not running, with its seed."""
    known = settled_origins(study) | _open_origins(study)
    for origin, (values, seed) in config.controlled.items():
        if origin not in known:
            study.optuna.enqueue_trial(values, user_attrs={"origin": origin, "seed": seed})


def _open_origins(study: Study) -> set[str]:
    begun = study.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
    return {str(trial.user_attrs.get("origin")) for trial in begun}


def resumable_trials(study: Study) -> list[FrozenTrial]:
    """The requeued trials that have a checkpoint."""
    waiting = study.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    requeued = {
        trial.number: set(checkpoint_addresses(study, trial)) for trial in waiting if "state" in trial.user_attrs
    }
    found = study.training_checkpoints.existing(set().union(*requeued.values()))
    return [trial for trial in waiting if found & requeued.get(trial.number, set())]


def left_checkpoints(study: Study) -> set[str]:
    """The addresses of checkpoints that a killed run may have left: those of ended trials that no trial resumes."""
    trials, places = study.optuna.get_trials(deepcopy=False), study.training_checkpoints
    open_ = [trial for trial in trials if not trial.state.is_finished() and "state" in trial.user_attrs]
    needed = {address for trial in open_ for address in checkpoint_addresses(study, trial)}
    return {places.file(trial.number) for trial in trials if trial.state.is_finished()} - needed


RESUMES = "resumes"
"""The attribute of a trial with the number of the trial that it resumes."""


def resumed_trials(study: Study) -> set[int]:
    """The numbers of the trials whose points are queued again."""
    known = [trial.user_attrs for trial in study.optuna.get_trials(deepcopy=False)]
    # in earlier versions an objective could store another value there
    return {each[RESUMES] for each in known if "state" in each and isinstance(each.get(RESUMES), int)}


def requeue(
    study: Study,
    trial: FrozenTrial,
    seed: int,
    retried: bool = False,
    low_fidelity: float | None = None,
    moved: bool = False,
) -> None:
    """Queue a trial's point again, to be trained with the same seed from its last checkpoint.

    `retried`: its worker was lost, which may happen only once. `low_fidelity`: the metric of that evaluation.
    `moved`: its machine was lost, too.
    """
    state, earlier = (
        address and study.training_checkpoints.stored(address) for address in checkpoint_addresses(study, trial)
    )
    kept: tuple[str, ...] = ("origin", "retried", "moves", "moved_from")
    again = {name: trial.user_attrs[name] for name in kept if name in trial.user_attrs}
    attributes: dict[str, Any] = {**again, "seed": seed, "state": state, RESUMES: trial.number}
    if retried:
        attributes["retried"] = True
    if earlier:
        attributes["earlier"] = earlier
    if moved:
        resumed = trial.user_attrs.get(ATTRIBUTE, {}).get("resumed", 0)
        attributes["moves"] = moves(trial.user_attrs, resumed) + 1
        attributes["moved_from"] = max(resumed, trial.user_attrs.get("moved_from", 0))
    if low_fidelity is not None:
        attributes["look"] = low_fidelity
    # a trial that was interrupted while it was drawn keeps its fixed values
    fixed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    if fixed:
        study.optuna.enqueue_trial(fixed, user_attrs=attributes)


def moves(attributes: Mapping[str, Any], resumed: int) -> int:
    """How often a trial has lost its machine, since it resumed from a later epoch than before the last loss.

    `attributes` are those of Optuna's trial, `resumed` the epoch from which it was resumed now.
    """
    return 0 if resumed > attributes.get("moved_from", 0) else int(attributes.get("moves", 0))


def seed_of(study: Study, trial: FrozenTrial | optuna.Trial) -> int:
    """The seed of a trial: its own, or that of the trial that it resumes."""
    own = trial.user_attrs.get("seed")
    # in earlier versions an objective could store another value there
    return own if isinstance(own, int) else trial_seed(study.info["seed"], trial.number)


def checkpoint_addresses(study: Study, trial: FrozenTrial | optuna.Trial) -> tuple[str, str]:
    """The address of a trial's checkpoint, and the address of an older one in another folder, or an empty text."""
    places, known = study.training_checkpoints, trial.user_attrs
    if "state" not in known:
        return places.file(trial.number), ""
    state = places.found(str(known["state"]))
    if not places.is_current(state):
        return places.file(trial.number), state
    return state, places.found(str(known["earlier"])) if "earlier" in known else ""
