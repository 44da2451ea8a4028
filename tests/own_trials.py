"""The trial that a worker gives a function that trains for itself, with a parent that answers at once."""

from typing import Any

from cnnsearch.core import messages
from cnnsearch.core.messages import Decision
from cnnsearch.spaces.distributions import Distribution, Value
from cnnsearch.spaces.hyperparameters import defaults
from cnnsearch.training.own_trial import SelfTrainedTrial
from cnnsearch.training.worker_context import WorkerConfig


def own_trial(metric: str = "value", **values: Value) -> tuple[SelfTrainedTrial, list[Any]]:
    """A trial whose `metric` is minimised and that is never pruned, and the messages that it sends.

    It draws `values`, and of other hyperparameters the defaults.
    """
    config = WorkerConfig(
        space={},
        dataset=[],
        plugins=[],
        seed=0,
        epochs=2,
        metric=metric,
        precision="",
        compiled=False,
        max_params=0,
        max_macs=0,
        max_latency=0,
        runs="",
        folder="",
        shared="",
        direction="minimize",
    )
    sent: list[Any] = []

    def ask(question: messages.Question, answer: type[Any]) -> Any:
        trains = answer is messages.Verdict
        return messages.Verdict(id=0, train=True) if trains else messages.Go(id=0, decision=Decision.CONTINUE)

    def draw(name: str, distribution: Distribution) -> Value:
        return values[name] if name in values else defaults(name, distribution)

    assignment = messages.RunTrial(trial=0, seed=1, limited=True, state="", resume=False)
    return SelfTrainedTrial(config, metric, assignment, ask, sent.append, draw), sent
