"""Every message survives its encoding, every line that is not a message is refused, and every message is handled."""

from typing import Any

import pytest

from cnnsearch.core import messages
from cnnsearch.core.message_encoding import FROM_PARENT, FROM_WORKER, InvalidMessageError, decode, encode
from cnnsearch.core.messages import Decision, Message
from cnnsearch.training.worker import ASSIGNMENTS
from cnnsearch.tuning.confirmer import Confirmer
from cnnsearch.tuning.trial_lifecycle import TrialLifecycle
from cnnsearch.tuning.tuner import Tuner

TRAINED = {"score": 0.5, "best_epoch": 1, "epochs": 2, "seconds": 1.5, "params": 10, "rss": 1, "reads": "sigmoid"}
SENT: list[Message] = [
    messages.Loading(done=1, total=2),
    messages.Ready(
        dataset={"name": "digits"},
        low_fidelity=True,
        backend="jax",
        keras="3",
        precision="float32",
        lean=False,
        devices=["cpu:0"],
        python="3.11",
    ),
    messages.Described(
        values={"a": 1}, recipes={"lenet": {"a": 2}}, controlled={}, metrics=["loss"], machine={"keras": "3"}
    ),
    messages.Fatal(trial=3, message="no such metric"),
    messages.Logged(problem=""),
    messages.Draw(trial=0, id=1, name="units", distribution={"kind": "int", "choices": []}),
    messages.Used(trial=0, names=["units"]),
    messages.Proposed(trial=0, id=2, key="k", plan="{}", params=10, macs=0, epochs=5, resumable=True),
    messages.Resumed(trial=0, id=3, history=[{"loss": 1.0}]),
    messages.EpochEnded(trial=0, id=4, epoch=1, metrics={"loss": 1.0}),
    messages.Evaluated(trial=0, **TRAINED),
    messages.Paused(trial=0, **TRAINED),
    messages.Completed(trial=0, id=5, stopped=False, format="keras", **TRAINED),
    messages.Saved(trial=0, problem="", unsaved=""),
    messages.SetAttribute(trial=0, name="note", value={"of": [1, "two", None]}),
    messages.Repeated(trial=0, score=0.5, history=[{"loss": 1.0}], seconds=1, rss=1),
    messages.Failed(trial=0, kind="nan", reason="the loss was nan", seconds=1.0, rss=1),
    messages.Describe(recipes={"lenet": {"a": 2}}, controlled={"twin of 1": {"a": 1}}),
    messages.Describe(recipes={}, controlled={}, metric="", own_fit=False),
    messages.UseMetric(metric="val_auc"),
    messages.RunTrial(trial=0, seed=7, limited=True, state="a.npz", resume=False),
    messages.RepeatTrial(trial=0, seed=8, plan="", values={"a": 1}),
    messages.LogModel(path="a.keras", uri="sqlite:///a.db", run_id="abc"),
    messages.Drawn(trial=0, id=1, value=[1, "a"], certain={"units": [{"kind": "int"}, 8]}),
    messages.Verdict(trial=0, id=2, train=True, fidelity=0.1),
    *(messages.Go(trial=0, id=4, decision=decision) for decision in Decision),
    messages.Keep(trial=0, id=5, path=""),
]


def test_every_kind_survives_its_encoding() -> None:
    assert {type(message).__name__ for message in SENT} == set(FROM_WORKER) | set(FROM_PARENT)
    assert not set(FROM_WORKER) & set(FROM_PARENT)
    for message in SENT:
        line = encode(message)
        assert line.count(b"\n") == 1 and line.endswith(b"\n")
        kinds = FROM_WORKER if type(message).__name__ in FROM_WORKER else FROM_PARENT
        assert decode(line, kinds) == message


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"\xff\n",
        b"",
        b"[1]\n",
        b"3\n",
        b'{"problem": ""}\n',
        b'{"type": "Sing"}\n',
        b'{"type": ["Logged"], "problem": ""}\n',
        b'{"type": "Logged"}\n',
        b'{"type": "Logged", "problem": 1}\n',
        b'{"type": "Logged", "problem": "", "more": 1}\n',
        b'{"type": "Loading", "done": true, "total": 2}\n',
        b'{"type": "Loading", "done": 0.5, "total": 2}\n',
        b'{"type": "Fatal", "trial": "1", "message": ""}\n',
        b'{"type": "Keep", "id": 1, "path": ""}\n',
    ],
)
def test_a_line_that_is_not_a_message_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidMessageError):
        decode(line, FROM_WORKER)


def test_a_decision_is_one_of_three() -> None:
    with pytest.raises(InvalidMessageError, match="Go with a wrong decision"):
        decode(b'{"type": "Go", "id": 1, "decision": "go"}', FROM_PARENT)


def test_what_json_cannot_hold_is_not_sent() -> None:
    with pytest.raises(TypeError, match="object cannot be sent"):
        encode(messages.Drawn(id=1, value=object()))


@pytest.mark.parametrize("message", [m for m in SENT if isinstance(m, messages.Question)])
def test_a_question_about_an_unknown_trial_has_an_answer_that_ends_it(message: messages.Question) -> None:
    expected: dict[type[Message], dict[str, Any]] = {
        messages.Proposed: {"train": False},
        messages.Resumed: {"decision": Decision.STOP},
        messages.EpochEnded: {"decision": Decision.STOP},
        messages.Completed: {"path": ""},
    }
    answer = messages.answer_without_trial(message)
    if isinstance(message, messages.Draw):
        assert answer is None
        return
    assert answer is not None and (answer.trial, answer.id) == (message.trial, message.id)
    assert expected[type(message)].items() <= vars(answer).items()


def test_every_message_is_handled() -> None:
    # the callback that logs the best model waits for Logged
    handled = {*Tuner.HANDLERS, *TrialLifecycle.HANDLERS, *Confirmer.HANDLERS, messages.Logged}
    assert handled == set(FROM_WORKER.values())
    assignments = {kind for kind in FROM_PARENT.values() if not issubclass(kind, messages.Answer)}
    assert set(ASSIGNMENTS) == assignments
