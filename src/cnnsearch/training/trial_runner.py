"""Runs one trial, or one repeat of a trial: draws a candidate, proposes it, trains it and reports the result."""

import json
import math
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnsearch.core import messages
from cnnsearch.core.errors import CnnsearchError, TrialFailure
from cnnsearch.core.host import process_restored, rss
from cnnsearch.core.messages import Decision, Question, own_key
from cnnsearch.spaces.distributions import Distribution, Value
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.self_training import Outcome
from cnnsearch.study.config import GPU_SHARE
from cnnsearch.training import trial_files
from cnnsearch.training.connection import AnswerType, Connection
from cnnsearch.training.failures import failure
from cnnsearch.training.own_trial import NotTrained, SelfTrainedTrial
from cnnsearch.training.proposal import Proposal, propose
from cnnsearch.training.worker_context import WorkerContext


class TrialRunner:
    """One trial on a worker, from its assignment to its end."""

    def __init__(self, context: WorkerContext, connection: Connection, trial: int) -> None:
        self._context, self._connection, self._trial = context, connection, trial
        self._started = time.perf_counter()
        self._decision, self._saved = Decision.CONTINUE, False
        self._trainer: Any = None
        self._certain: dict[str, list[Any]] = {}
        self._used: list[str] = []

    def run(self, assignment: messages.RunTrial) -> None:
        """Draw, train and report a trial."""
        self._report_errors(lambda: self._run(assignment))

    def repeat(self, assignment: messages.RepeatTrial) -> None:
        """Train the candidate of an earlier trial again, with another seed."""
        self._report_errors(lambda: self._repeat(assignment))

    def _report_errors(self, train: Callable[[], None]) -> None:
        """Call `train` and report an error by its kind."""
        try:
            train()
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, CnnsearchError) and not isinstance(error, TrialFailure):
                self._send(messages.Fatal(trial=self._trial, message=error.message))
                return
            typed, share = failure(error, "plugin_error"), os.environ.get(GPU_SHARE)
            hint = (
                f"; it may use {float(share):.0%} of the GPU's memory. With fewer --jobs it may use more"
                if share
                else ""
            )
            message = typed.message + (hint if typed.kind == "oom" else "")
            self._send(
                messages.Failed(trial=self._trial, kind=typed.kind, reason=message, seconds=self._seconds(), rss=rss())
            )

    def _run(self, assignment: messages.RunTrial) -> None:
        if self._context.space.trains_itself:
            self._run_own(assignment)
            return
        hp, self._trainer = HyperParameters(self._ask_for_value), self._context.trainer()
        proposal = propose(self._context, hp, assignment.limited, plain=self._trainer is None)
        fields = proposal._asdict()
        del fields["build"]
        fields["key"] = proposal.key or own_key(self._trial)
        verdict = self._ask(messages.Proposed(trial=self._trial, **fields), messages.Verdict)
        if not verdict.train:
            return
        if verdict.fidelity:
            self._evaluate(proposal, verdict.fidelity, assignment.limited)
            return
        result, candidate = self._train(hp, proposal, assignment)
        facts = self._facts(result, candidate)
        # early stopping may end it in the epoch in which it should pause
        if self._decision is Decision.PAUSE and not result.ended:
            self._send(messages.Paused(saved=self._saved, **facts))
            return
        from cnnsearch.training import model_io

        suffix = model_io.formats(candidate.core)[0]
        completed = messages.Completed(stopped=result.stopped, format=suffix, **facts)
        path = self._ask(completed, messages.Keep).path
        problem, unsaved = trial_files.save(candidate.core, path)
        if path and not (problem or unsaved):
            trial_files.save_predictions(candidate, proposal.plan, self._context, Path(path))
        self._send(messages.Saved(trial=self._trial, problem=problem, unsaved=unsaved))

    def _run_own(self, assignment: messages.RunTrial) -> None:
        """Run a trial whose function trains for itself."""
        trial = self._own_trial(assignment, self._ask_for_value)
        try:
            with process_restored():
                outcome = self._context.hypermodel.train(trial)
            if not trial.history:
                # a trial has one report at least
                trial.report(outcome.metrics or {trial.metric: outcome.score})
        except NotTrained:
            return
        facts = self._own_facts(trial, outcome)
        if trial.paused and trial.resumable:
            self._send(messages.Paused(saved=trial.saved, **facts))
            return
        keep = self._ask(messages.Completed(stopped=outcome.pruned, format=outcome.format, **facts), messages.Keep)
        save = outcome.save
        problem, unsaved = trial_files.saved(lambda path: save(path), keep.path) if save else ("", "")
        outcome.rest()
        self._send(messages.Saved(trial=self._trial, problem=problem, unsaved=unsaved))

    def _own_trial(self, assignment: messages.RunTrial | messages.RepeatTrial, draw: Any) -> SelfTrainedTrial:
        context = self._context
        return SelfTrainedTrial(context.config, context.metric, assignment, self._ask, self._send, draw)

    def _own_facts(self, trial: SelfTrainedTrial, outcome: Outcome) -> dict[str, Any]:
        """The fields of `messages.Trained`."""
        if not math.isfinite(outcome.score):
            raise TrialFailure("nan", f"the {trial.metric} was {outcome.score:g}")
        return {
            "trial": self._trial,
            "score": outcome.score,
            "best_epoch": outcome.best_epoch,
            "epochs": len(trial.history),
            "seconds": self._seconds(),
            "params": outcome.params,
            "rss": rss(),
            "reads": "",
        }

    def _train(self, hp: HyperParameters, proposal: Proposal, assignment: messages.RunTrial) -> tuple[Any, Any]:
        """Train a proposal on all data, up to its end or a pause: its TrainingResult and its Candidate."""
        from cnnsearch.training import epoch_callback, fitting, training_data

        context = self._context
        candidate = proposal.build(context.split)
        if assignment.limited:
            context.limits.check_latency(candidate.core, context.split.x_val[:1])
        data = training_data.for_candidate(candidate, context.split, context.classes)
        self._decision = Decision.CONTINUE
        keep = self._resume(candidate, assignment, proposal.key) if proposal.resumable else None
        if keep and keep.saved and self._decision is not Decision.CONTINUE:
            stopped, saved = self._decision is Decision.STOP, keep.saved
            # the checkpoint has restored those of the last epoch
            candidate.core.set_weights(saved.weights)
            return epoch_callback.TrainingResult(**saved.facts, weights=saved.weights, stopped=stopped), candidate
        result = fitting.train(
            candidate,
            self._trainer,
            hp,
            data,
            proposal.epochs,
            context.metric,
            self._report_epoch,
            keep,
            context.maximize,
        )
        return result, candidate

    def _evaluate(self, proposal: Proposal, fidelity: float, limited: bool) -> None:
        """Low-fidelity evaluation: train a plan for one pass over a part of the images, with a scaled schedule."""
        from cnnsearch.training import fitting, training_data

        context = self._context
        some = training_data.subset(context.split, fidelity, context.config.seed)
        candidate = proposal.build(some)
        if limited:
            context.limits.check_latency(candidate.core, context.split.x_val[:1])
        data = training_data.for_candidate(candidate, some, context.classes)
        result = fitting.train(candidate, None, None, data, 1, context.metric, lambda epoch, metrics: True)
        facts = self._facts(result, candidate) | {"best_epoch": 0, "epochs": 0}
        self._send(messages.Evaluated(**facts))

    def _facts(self, result: Any, candidate: Any) -> dict[str, Any]:
        """The fields of `messages.Trained`."""
        return {
            "trial": self._trial,
            "score": result.score,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "seconds": self._seconds(),
            "params": int(candidate.core.count_params()),
            "rss": rss(),
            "reads": "" if candidate.reads == "softmax" else candidate.reads,
        }

    def _repeat(self, assignment: messages.RepeatTrial) -> None:
        from cnnsearch.training import fitting, training_data

        context = self._context
        if context.space.trains_itself:
            self._repeat_own(assignment)
            return
        hp, trainer = HyperParameters(replay(assignment.values)), context.trainer()
        split = context.split_again(assignment.split)
        if assignment.plan:
            plan = Plan.from_json(assignment.plan)
            candidate, epochs = context.build(plan, trainer is None, split), plan.epochs
        else:
            candidate, epochs = context.draw(hp), context.config.epochs
        data = training_data.for_candidate(candidate, split, context.classes)
        result = fitting.train(
            candidate, trainer, hp, data, epochs, context.metric, self._report_epoch, maximize=context.maximize
        )
        self._send(
            messages.Repeated(
                trial=self._trial,
                score=result.score,
                history=result.history,
                seconds=self._seconds(),
                rss=rss(),
                images=len(split.x_val),
                fresh=split is not context.split,
                right=trial_files.right(candidate, split, context.classes),
            )
        )

    def _repeat_own(self, assignment: messages.RepeatTrial) -> None:
        trial = self._own_trial(assignment, replay(assignment.values))
        with process_restored():
            outcome = self._context.hypermodel.train(trial)
        outcome.rest()
        facts = self._own_facts(trial, outcome)
        self._send(
            messages.Repeated(
                trial=self._trial,
                score=facts["score"],
                history=trial.history or [{trial.metric: outcome.score}],
                seconds=facts["seconds"],
                rss=facts["rss"],
            )
        )

    def _resume(self, candidate: Any, assignment: messages.RunTrial, key: str) -> Any:
        """The CheckpointOptions of the training. What an earlier run saved is loaded and reported."""
        from cnnsearch.training import fitting

        address, saved = assignment.state, None
        for place in filter(None, (address, assignment.earlier)) if assignment.resume else ():
            saved = saved or fitting.resumed(candidate, place, key)
        self._saved = saved is not None
        if saved is not None:
            resumed = messages.Resumed(trial=self._trial, history=saved.facts["history"])
            self._decision = self._ask(resumed, messages.Go).decision
        return fitting.CheckpointOptions(
            address, key, saved, lambda: self._decision is Decision.PAUSE, self._note_checkpoint
        )

    def _note_checkpoint(self, saved: bool) -> None:
        self._saved = saved

    def _ask_for_value(self, name: str, distribution: Distribution) -> Value:
        asked = distribution.to_dict()
        certain, value = self._certain.get(name, (None, None))
        # as JSON, True is not 1
        if certain and json.dumps(certain) == json.dumps(asked):
            self._used.append(name)
            return value
        answer = self._ask(messages.Draw(trial=self._trial, name=name, distribution=asked), messages.Drawn)
        self._certain |= answer.certain
        found: Value = answer.value
        return found

    def _ask(self, question: Question, answer_type: type[AnswerType]) -> AnswerType:
        self._tell_used()
        return self._connection.ask(question, answer_type)

    def _send(self, message: messages.Message) -> None:
        self._tell_used()
        self._connection.send(message)

    def _tell_used(self) -> None:
        """Tell the parent which certain values were used since it was told last."""
        if self._used:
            self._connection.send(messages.Used(trial=self._trial, names=self._used))
            self._used = []

    def _report_epoch(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Report an epoch; whether the trial continues."""
        ended = messages.EpochEnded(trial=self._trial, epoch=epoch, metrics=metrics)
        self._decision = self._ask(ended, messages.Go).decision
        return self._decision is Decision.CONTINUE

    def _seconds(self) -> float:
        return time.perf_counter() - self._started
