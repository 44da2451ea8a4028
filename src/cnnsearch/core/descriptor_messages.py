"""Messages of JSON between two processes of this machine, with descriptors of files, over a pair of Unix sockets."""

import array
import json
import socket
from typing import Any

LONGEST = 1 << 20
"""The most bytes of a message."""

MOST = 8
"""The most descriptors of a message."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(to: socket.socket, message: dict[str, Any], descriptors: list[int], wait: bool) -> None:
    """Send a message.

    Raises:
        OSError: if the other end is closed; or if there is no room, and it shall not `wait`.
    """
    # `socket.send_fds` ignores flags
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    to.sendmsg([json.dumps(message).encode()], rights, socket.MSG_NOSIGNAL | (0 if wait else socket.MSG_DONTWAIT))


def receive(source: socket.socket, wait: bool) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors. None if the other end is closed.

    Raises:
        BlockingIOError: if there is none, and it shall not `wait`.
    """
    descriptors = array.array("i")
    flags = socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
    try:
        text, rights, _, _ = source.recvmsg(LONGEST, socket.CMSG_SPACE(MOST * descriptors.itemsize), flags)
    except BlockingIOError:
        raise
    except OSError:
        return None
    for _, _, data in rights:
        descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return (json.loads(text), list(descriptors)) if text else None
