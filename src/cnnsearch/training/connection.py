"""A worker's end of the two pipes to its parent: one line of JSON a message."""

import json
import os
import sys
import threading
import time
from typing import Any, BinaryIO


class Link:
    """The two pipes to the parent. The parent gone means that this process ends."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target

    def send(self, say: str, **fields: Any) -> None:
        """Tell the parent something."""
        self._target.write(json.dumps({"say": say, **fields}).encode() + b"\n")
        self._target.flush()

    def receive(self) -> dict[str, Any]:
        """The parent's next message."""
        line = self._source.readline()
        if not line:
            os._exit(0)
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, say: str, **fields: Any) -> dict[str, Any]:
        """Tell the parent something and wait for its answer."""
        self.send(say, **fields)
        return self.receive()


def take_pipes() -> Link:
    """Keep stdin and stdout for messages; what candidates print goes to stderr, which is the log file."""
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdin = open(os.devnull)  # noqa: PTH123
    return Link(source, target)


def follow_parent(parent: int) -> None:
    """End this process soon after its parent, also in the middle of an epoch."""

    def watch() -> None:
        while os.getppid() == parent:
            # nothing by chance here: Keras draws its seeds from Python's own generator, in the other thread
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
