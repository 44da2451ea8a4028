"""Addresses of databases: which driver an address needs, and the address without its password."""

import importlib.util
import re
from typing import NamedTuple


class Server(NamedTuple):
    """A kind of database server.

    Attributes:
        name: its name for the user.
        schemes: the first words of its addresses; the first one is SQLAlchemy's.
        drivers: the modules of its drivers by SQLAlchemy's names, the first choice first.
        install: what installs the first one.
    """

    name: str
    schemes: tuple[str, ...]
    drivers: dict[str, str]
    install: str


SERVERS = (
    Server(
        "PostgreSQL",
        ("postgresql", "postgres"),
        {"psycopg": "psycopg", "psycopg2": "psycopg2", "pg8000": "pg8000"},
        "pip install 'cnnsearch[postgres]'",
    ),
    Server("MySQL", ("mysql",), {"pymysql": "pymysql", "mysqldb": "MySQLdb"}, "pip install PyMySQL"),
    Server("MariaDB", ("mariadb",), {"pymysql": "pymysql", "mysqldb": "MySQLdb"}, "pip install PyMySQL"),
)

OTHERS = ("asyncpg", "psycopg_async", "aiomysql", "asyncmy")
"""Drivers for programs that use asyncio. Another driver reaches the same database."""

LOGIN = re.compile("^[^:/]*(?::[^@]*)?@")
"""The user and the password before a host, as SQLAlchemy finds them."""

SECRET = re.compile(r"([?&](?:password|passwd|sslpassword)=)[^&]*", re.IGNORECASE)
"""A password among the options of an address."""


def server(address: str) -> Server | None:
    """The kind of server of an address; None for files such as SQLite's, and for servers that are not known here."""
    scheme = address.partition("://")[0].partition("+")[0].lower()
    return next((each for each in SERVERS if scheme in each.schemes), None)


def with_driver(address: str) -> str:
    """The address with a driver that is installed, for SQLAlchemy.

    `postgres://…` and `postgresql://…` name no driver. A named driver is used if it is installed, or not known here.
    If no driver is installed, the address has the first choice, and SQLAlchemy raises an ImportError.
    """
    kind = server(address)
    if kind is None:
        return address
    scheme, _, rest = address.partition("://")
    named = scheme.partition("+")[2]
    installed = [driver for driver, module in kind.drivers.items() if importlib.util.find_spec(module)]
    if named in installed or (named and named not in OTHERS and named not in kind.drivers):
        return f"{kind.schemes[0]}+{named}://{rest}"
    return f"{kind.schemes[0]}+{(installed or list(kind.drivers))[0]}://{rest}"


def without_driver(address: str) -> str:
    """The part of a server's address that says which database it is: without driver, user and password."""
    kind = server(address)
    if kind is None:
        return address
    _, place, options = _parts(address.partition("://")[2])
    kept = "&".join(word for word in options.split("&") if not re.match("(?i)user=|password=|passwd=", word))
    return f"{kind.schemes[0]}://{place}{'?' if kept else ''}{kept}"


def redacted(address: str) -> str:
    """An address without user and password, to be shown and stored."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    if scheme.startswith(("sqlite", "file")):
        return address
    has_login, place, options = _parts(rest)
    hidden = SECRET.sub(r"\1***", f"?{options}") if options else ""
    return f"{scheme}://{'***@' if has_login else ''}{place}{hidden}"


def _parts(rest: str) -> tuple[bool, str, str]:
    """What follows `://`: whether it has a user, the host and the database, and the options.

    A password ends at the first `@`, as in SQLAlchemy, so it may contain a question mark.
    """
    without = LOGIN.sub("", rest, count=1)
    place, _, options = without.partition("?")
    host = place.rpartition("@")[2]
    return host != rest.partition("?")[0], host, options


def redacted_in(text: str, address: str) -> str:
    """`text` with `redacted` in place of the address."""
    return text.replace(address, redacted(address)) if address else text
