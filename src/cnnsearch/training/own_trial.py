"""A trial whose function trains for itself: what it draws and reports goes to the parent."""

from collections.abc import Callable
from typing import Any

from cnnsearch.core import messages
from cnnsearch.core.messages import Decision
from cnnsearch.spaces.distributions import Distribution, Value
from cnnsearch.spaces.self_training import Report
from cnnsearch.study.config import maximize
from cnnsearch.training.limits import Limits
from cnnsearch.training.worker_context import WorkerConfig

Ask = Callable[[messages.Question, type[Any]], Any]


class NotTrained(BaseException):
    """The parent does not train this candidate. It passes through the function's own `except Exception`."""


class SelfTrainedTrial:
    """See `spaces.self_training.OwnTrial`.

    Attributes:
        resumable: whether it can be paused and resumed.
        saved: whether a checkpoint of its state was written.
    """

    def __init__(
        self,
        config: WorkerConfig,
        metric: str,
        assignment: messages.RunTrial | messages.RepeatTrial,
        ask: Ask,
        send: Callable[[messages.Message], None],
        draw: Callable[[str, Distribution], Value],
    ) -> None:
        self.number, self.seed = assignment.trial, assignment.seed
        self.epochs, self.metric = config.epochs, metric
        self.maximize, self.history = maximize(metric, config.direction), list[Report]()
        self.names = (metric, *config.more)
        self.resumable = self.saved = False
        self.draw = draw
        self._limits = Limits(config.max_params)
        self._ask, self._send = ask, send
        self._assignment, self._decision = assignment, Decision.CONTINUE
        # a training on a new seed is not proposed
        self._begun = isinstance(assignment, messages.RepeatTrial)

    @property
    def goes_on(self) -> bool:
        """Whether it continues after its last report."""
        return self._decision is Decision.CONTINUE

    @property
    def paused(self) -> bool:
        """Whether it is to pause now."""
        return self._decision is Decision.PAUSE

    def begin(self, key: str = "", params: int = 0, resumable: bool = False, begun: bool = False) -> None:
        """See `OwnTrial`; `begun`: a part of it is trained."""
        if self._begun:
            return
        self._begun, self.resumable = True, resumable
        if params and getattr(self._assignment, "limited", False):
            self._limits.check_params(params)
        proposed = messages.Proposed(
            trial=self.number,
            key=key or messages.own_key(self.number),
            plan="",
            params=params,
            macs=0,
            epochs=self.epochs,
            resumable=resumable,
            begun=begun,
        )
        if not self._ask(proposed, messages.Verdict).train:
            raise NotTrained

    def report(self, metrics: Report) -> bool:
        """See `OwnTrial`."""
        self.begin(begun=True)
        self.history.append(metrics)
        ended = messages.EpochEnded(trial=self.number, epoch=len(self.history), metrics=metrics)
        self._decision = self._ask(ended, messages.Go).decision
        return self.goes_on

    def set_attribute(self, name: str, value: Any) -> None:
        """See `OwnTrial`."""
        if isinstance(self._assignment, messages.RunTrial):
            self._send(messages.SetAttribute(trial=self.number, name=name, value=value))

    def state(self) -> Any:
        """See `OwnTrial`."""
        if not self.resumable or not isinstance(self._assignment, messages.RunTrial):
            return None
        from cnnsearch.training import fitting

        return fitting.CheckpointOptions(self._assignment.state, "", None, lambda: self.paused, self._note_saved)

    def places(self) -> list[str]:
        """The addresses of checkpoints to resume from, the newest first."""
        known = self._assignment
        if not isinstance(known, messages.RunTrial) or not known.resume:
            return []
        return [place for place in (known.state, known.earlier) if place]

    def resume(self, history: list[Report]) -> bool:
        """Report the epochs of a checkpoint; whether the training continues."""
        self.history, self.saved = list(history), True
        answer = self._ask(messages.Resumed(trial=self.number, history=history), messages.Go)
        self._decision = answer.decision
        return self.goes_on

    def _note_saved(self, saved: bool) -> None:
        self.saved = saved
