"""A worker's connection to its parent: messages over two pipes, one line of JSON each."""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from cnnsearch.core.message_encoding import FROM_PARENT, InvalidMessageError, decode, encode
from cnnsearch.core.messages import Answer, Message, Question

AnswerType = TypeVar("AnswerType", bound=Answer)


class Connection:
    """The two pipes to the parent. When the parent closes them, this process ends."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target
        self._last_question = 0
        self._assignments: deque[Message] = deque()

    def send(self, message: Message) -> None:
        """Send a message to the parent."""
        self._target.write(encode(message))
        self._target.flush()

    def receive(self) -> Message:
        """The parent's next message."""
        return decode(self._read(), FROM_PARENT)

    def receive_settings(self) -> dict[str, Any]:
        """The first line that the parent sends: what this worker needs to know."""
        settings: dict[str, Any] = json.loads(self._read())
        return settings

    def next_assignment(self) -> Message:
        """The parent's next assignment. Answers that come too late are dropped."""
        if self._assignments:
            return self._assignments.popleft()
        while isinstance(message := self.receive(), Answer):
            pass
        return message

    def ask(self, question: Question, answer_type: type[AnswerType]) -> AnswerType:
        """Send a question and wait for its answer. Answers to other questions are dropped.

        Raises:
            InvalidMessageError: if the answer has another type than `answer_type`.
        """
        self._last_question += 1
        self.send(replace(question, id=self._last_question))
        while True:
            message = self.receive()
            if not isinstance(message, Answer):
                self._assignments.append(message)
            elif message.id == self._last_question:
                break
        if not isinstance(message, answer_type):
            raise InvalidMessageError(f"{type(question).__name__} was answered by {type(message).__name__}")
        return message

    def _read(self) -> bytes:
        line = self._source.readline()
        if not line:
            os._exit(0)
        return line


def take_pipes() -> Connection:
    """Keep stdin and stdout for messages. What candidates print goes to stderr, which is the log file."""
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdin = open(os.devnull)  # noqa: PTH123
    return Connection(source, target)


def follow_parent(parent: int) -> None:
    """End this process soon after its parent ends, also in the middle of an epoch."""
    _end_after(lambda: os.getppid() == parent)


def follow_process(process: int, start: str) -> None:
    """End this process soon after another one ends, which need not be its parent, and which has this `start_time`."""
    _end_after(lambda: start_time(process) == start)


def start_time(process: int) -> str:
    """When a process of Linux was started, in ticks since the system was. Empty if it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    # the name in brackets may contain anything
    state, *fields = text.rpartition(")")[2].split()
    # Z: it has ended, and its parent does not know it yet
    return "" if state in "ZX" else fields[18]


def _end_after(goes_on: Callable[[], bool]) -> None:
    def watch() -> None:
        while goes_on():
            # no random numbers here: Keras draws its seeds from Python's own generator, in the other thread
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
