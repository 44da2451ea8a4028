"""What keeps many workers busy: the order of their events, what a worker need not ask for, and few actors."""

from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler, TPESampler

from cnnsearch.core.messages import Completed, Draw, EpochEnded, Message
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.study.study import certain, suggest
from cnnsearch.tuning.event_queue import most_urgent
from cnnsearch.tuning.launchers.base import LostWorker, WorkerEvent
from cnnsearch.tuning.launchers.ray_cluster import TOGETHER, largest_group

ASKED: dict[str, dict[str, Any]] = {
    "rate": Distribution("float", 0.1, low=1e-4, high=1, log=True).to_dict(),
    "width": Distribution("int", 8, low=8, high=64, step=8).to_dict(),
    "kept": Distribution("choice", "a", ("a", None)).to_dict(),
}


def completed(trial: int) -> Message:
    facts = {"score": 0.5, "best_epoch": 1, "epochs": 1, "seconds": 1.0, "params": 1, "rss": 1, "reads": ""}
    return Completed(trial=trial, id=1, stopped=False, format="keras", **facts)


def test_a_worker_in_the_middle_of_a_trial_comes_before_trials_that_ended() -> None:
    draw, epoch = Draw(trial=3, id=1, name="a", distribution={}), EpochEnded(trial=2, id=9, epoch=1, metrics={})
    lost = LostWorker(-9, False, "worker-1.log", 0)
    arrived = [(0, completed(0)), (1, completed(1)), (0, draw), (2, epoch), (1, lost)]
    events = [WorkerEvent(slot, what) for slot, what in arrived]
    handled = []
    while events:
        handled.append(most_urgent(events))
        events.remove(handled[-1])
    # the events of each worker are in order
    assert [(each.slot, each.what) for each in handled] == [
        *[(2, epoch), (0, completed(0)), (0, draw), (1, completed(1)), (1, lost)]
    ]


def test_what_the_sampler_has_drawn_is_certain_after_the_first_question() -> None:
    study = optuna.create_study(sampler=TPESampler(seed=3, n_startup_trials=5, multivariate=True))
    for number in range(12):
        trial = study.ask()
        suggest(trial, "rate", ASKED["rate"])
        found = certain(trial, ASKED)
        values = {name: suggest(trial, name, asked) for name, asked in ASKED.items()}
        assert found == (values if number >= 5 else {"rate": values["rate"]})
        study.tell(trial, values["rate"])
    trial = study.ask()
    # another range is asked for, so that the value may be another one
    narrow = {**ASKED, "width": {**ASKED["width"], "high": 32}}
    assert set(certain(trial, narrow)) == {"rate", "kept"}
    assert certain(trial, {}) == {}
    # an interrupted trial is queued with its values, and no others are drawn for it
    study.enqueue_trial({"rate": 0.5, "width": 16, "kept": None})
    trial = study.ask()
    suggest(trial, "rate", ASKED["rate"])
    assert certain(trial, ASKED) == {"rate": 0.5}


def test_a_sampler_that_draws_one_by_one_has_no_certain_values() -> None:
    study = optuna.create_study(sampler=RandomSampler(seed=3))
    for _ in range(3):
        trial = study.ask()
        rate = suggest(trial, "rate", ASKED["rate"])
        assert certain(trial, ASKED) == {"rate": rate}
        for name, asked in ASKED.items():
            suggest(trial, name, asked)
        study.tell(trial, rate)


def test_an_actor_carries_as_many_workers_as_a_node_has_room_for() -> None:
    assert largest_group(16, {"a": 12, "b": 4}, []) == TOGETHER
    assert (
        largest_group(8, {"a": 12, "b": 4}, [(8, "")]) == 4 == largest_group(4, {"a": 12, "b": 4}, [(8, "a"), (4, "b")])
    )
    assert largest_group(3, {"a": 12}, []) == 3
    # Ray places it when there is room again
    assert largest_group(5, {"a": 2}, [(2, "a")]) == 1 == largest_group(5, {}, [])


def test_a_value_that_optuna_does_not_use_is_not_certain() -> None:
    class Outside(RandomSampler):
        """A sampler whose value is not in the range, so that Optuna draws another one."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return {"rate": FloatDistribution(1e-4, 1, log=True)}

        def sample_relative(self, study: Any, trial: Any, space: Any) -> Any:
            return {"rate": 2.0}

    trial = optuna.create_study(sampler=Outside(seed=3)).ask()
    assert certain(trial, ASKED) == {} and suggest(trial, "rate", ASKED["rate"]) <= 1
