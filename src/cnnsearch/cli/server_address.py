"""Checks that a web server can use an address of this machine."""

import socket

from cnnsearch.core.errors import CnnsearchError


def check_free(host: str, port: int) -> None:
    """Check that a server can use this address.

    Raises:
        CnnsearchError: if it cannot, with the reason.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        # TypeError: for a host name that cannot be encoded
        except (OSError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CnnsearchError(
                f"{host}:{port} cannot be used: {reason}. Name another with --port or --host."
            ) from error
