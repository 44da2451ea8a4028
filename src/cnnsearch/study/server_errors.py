"""Errors of database servers in one line for the user, without passwords."""

import re
from collections.abc import Iterator

from cnnsearch.study.address import server

PASSWORD_HINT = "Set PGPASSWORD, or write the password to ~/.pgpass"

MESSAGES = (
    (r"password authentication failed for user \"(\S+)\"", "the server refused the password of user '{0}'"),
    (r"no password supplied", f"the server asks for a password. {PASSWORD_HINT}"),
    (r"database \"(\S+)\" does not exist", "the server has no database '{0}'. Create it: createdb {0}"),
    (r"unknown database '(\S+)'", "the server has no database '{0}'"),
    (r"role \"(\S+)\" does not exist", "the server has no user '{0}'"),
    (r"no pg_hba.conf entry", "the server does not let this machine or user in (its pg_hba.conf)"),
    (r"access denied for user '(\S+?)'", "the server refused the password of user '{0}'"),
    (r"permission denied for (\w+ \w+)", "the user may not use {0}"),
    (r"too many clients|too many connections|remaining connection slots", "the server has too many connections"),
    (
        r"resolve|could not translate host|name or service not known|getaddrinfo|nodename nor servname",
        "its host name is unknown",
    ),
    (r"connection refused|can't connect|no such file or directory", "no server answers at {place}. Start it"),
    (r"timeout|timed out", "no server answers at {place} in time"),
    (r"invalid response to SSL negotiation|expected authentication request", "no database server answers at {place}"),
    (r"network is unreachable|no route to host", "no network leads to {place}"),
    (r"starting up|shutting down|recovery mode", "the server starts or stops at the moment. Try again"),
    (r"disk full|no space left", "the disk of the server is full"),
    (r"read-only transaction", "the server may only be read: it is a replica"),
    (
        r"terminating connection|server closed the connection|connection.* lost|is closed|gone away",
        "the server ended the connection",
    ),
)
"""Patterns of the messages of PostgreSQL and MySQL, and what the user sees; `place` is host and port."""


def driver_problem(address: str) -> str:
    """The message for an address whose driver is not installed."""
    kind = server(address)
    if kind is None:
        return "--storage needs a database driver that is not installed."
    return f"--storage needs a driver for {kind.name} that is not installed. Install one: {kind.install}"


def reason(error: BaseException, address: str) -> str:
    """What a server's error says; empty if it is not known."""
    said = " ".join(str(each) for each in causes(error))
    for pattern, text in MESSAGES:
        if found := re.search(pattern, said, re.IGNORECASE):
            # a name with other characters may be a part of a misplaced password
            if all(re.fullmatch(r"[\w. -]+", name) for name in found.groups()):
                return text.format(*found.groups(), place=_place(address))
            return text.partition(" '")[0]
    return ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and the errors that led to it."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def is_outage(error: BaseException) -> bool:
    """Whether the error means that the server does not answer at the moment, or ended the connection."""
    # here and below, as it takes half a second, and a SQLite file is read without it
    import sqlalchemy.exc

    errors = sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError | sqlalchemy.exc.TimeoutError
    return any(
        isinstance(each, errors) or (isinstance(each, sqlalchemy.exc.DBAPIError) and each.connection_invalidated)
        for each in causes(error)
    )


def _place(address: str) -> str:
    """Host and port."""
    import sqlalchemy

    url = sqlalchemy.make_url(address)
    host = url.host or str(url.query.get("host", "") or "localhost")
    return f"{host}:{url.port}" if url.port else host
