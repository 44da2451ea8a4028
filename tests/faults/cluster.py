"""A search on a Ray cluster whose nodes and servers are killed, and what must be true of its study in the end."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.study.trial import ATTRIBUTE, COUNTED, Trial, from_optuna
from tests import servers
from tests.faults import storm

MODEL = '''
"""A small Keras model that sleeps in each epoch, so that many of them train at the same time on few cores."""
import os
import time

SECONDS = float(os.environ.get("SLOW_SECONDS", "1"))


def build(hp):
    import keras

    class Sleep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(SECONDS)

    class Slow(keras.Sequential):
        def fit(self, *given, callbacks=(), **named):
            return super().fit(*given, callbacks=[Sleep(), *callbacks], **named)

    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
    # checkpoints of some 100 KB, which Ray keeps in the object store of their node
    units = hp.Int("units", 512, 1024)
    layers = [keras.layers.Flatten(), keras.layers.Dense(units, "relu"), keras.layers.Dense(10, "softmax")]
    model = Slow([keras.Input((8, 8, 1)), *layers])
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"], jit_compile=False)
    return model
'''

STUDY = "chaos"
BUCKET = "checkpoints"
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}

CLEAN = 20.0
"""Seconds after its end in which the processes of a search may still end."""


class Checkpoints:
    """Notes when each checkpoint of a trial in training was first there, in a thread of its own."""

    def __init__(self, folder: Path, s3: str) -> None:
        """`folder` is that of --runs, `s3` the address of an S3 server or empty."""
        self._folder, self._s3 = folder, s3
        self.seen: dict[str, datetime] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def now(self) -> set[str]:
        """The names of those that are there."""
        if not self._s3:
            return {path.name for path in self._folder.glob("*/epochs/trial-*.npz")}
        return {path.rpartition("/")[2] for path in _bucket(self._s3).find(BUCKET) if "/trial-" in path}

    def _watch(self) -> None:
        while not self._ended.wait(0.3):
            for name in self.now():
                self.seen.setdefault(name, datetime.now())

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()


def _bucket(s3: str) -> Any:
    import s3fs

    return s3fs.S3FileSystem(key="any", secret="any", endpoint_url=s3, use_listings_cache=False)


@dataclass
class Site:
    """A cluster with the servers of a search.

    Attributes:
        folder: where the command is begun; `tmp`: where the nodes have their folders.
        address: the address of checkpoints; empty: they come back over Ray.
    """

    folder: Path
    tmp: Path
    postgres: servers.Postgres
    mlflow: servers.Mlflow
    cluster: servers.RayNodes
    s3: str
    environment: dict[str, str]
    checkpoints: Checkpoints
    address: str = ""

    def stored(self) -> tuple[str, list[FrozenTrial]]:
        """The name of the study's space, and its trials."""
        storage = optuna.storages.RDBStorage(self.postgres.address("studies"))
        try:
            study = optuna.load_study(study_name=STUDY, storage=storage)
            return study.user_attrs[ATTRIBUTE]["space"]["name"], study.get_trials()
        finally:
            storage.remove_session()
            storage.engine.dispose()

    def add(self) -> None:
        """Add a node."""
        names = ("TMPDIR", "PYTHONPATH", "AWS_ENDPOINT_URL", "SLOW_SECONDS", *KEYS)
        given = {name: self.environment[name] for name in names if name in self.environment}
        self.cluster.nodes.append(self.cluster.add(env_vars=given))

    def kill(self, chance: random.Random) -> None:
        """Kill the processes of a random node."""
        self.cluster.kill(self.cluster.nodes.pop(chance.randrange(len(self.cluster.nodes))))

    def start(self, trials: int, epochs: int, *more: str) -> "subprocess.Popen[bytes]":
        """Begin the one command of the search."""
        line = [sys.executable, "-m", "cnnsearch", "run", "--space", "chaos.py:build", "--dataset", "digits"]
        line += ["--set", "dataset.limit=300", "--study", STUDY, "--trials", str(trials), "--epochs", str(epochs)]
        line += ["--address", self.cluster.address, "--jobs", "auto", "--cpus-per-trial", "1", "--seed", "1", *more]
        line += ["--storage", self.postgres.address("studies", password=False)]
        line += ["--checkpoints", self.address] if self.address else []
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(line, cwd=self.folder, env=self.environment, stdout=log, stderr=log)

    def ended(self) -> int:
        """How many trials have ended, but the interrupted ones."""
        import psycopg

        with psycopg.connect(self.postgres.address("studies", scheme="postgresql")) as connection:
            try:
                found = connection.execute("SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')")
            except psycopg.errors.UndefinedTable:
                return 0
            return int((found.fetchone() or [0])[0])

    def processes(self) -> list[str]:
        """The processes of searches on the nodes and of the command."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if process.environ().get("TMPDIR") == str(self.tmp) and ("cnnsearch" in line or "RayWorker" in line):
                    found.append(f"{process.pid} {line[:200]}")
        return found

    def left(self) -> list[str]:
        """What a search has left: processes, folders on nodes, checkpoints."""
        folders = [str(path) for path in self.tmp.glob("cnnsearch-*/*")]
        return [*self.processes(), *folders, *sorted(self.checkpoints.now())]

    def log(self) -> str:
        """The end of what the command printed."""
        return (self.folder / "log.txt").read_text()[-3000:]


@contextlib.contextmanager
def site(folder: Path, nodes: int, s3: bool = False, seconds: float = 1.0) -> Iterator[Site]:
    """A cluster of so many nodes, PostgreSQL, MLflow, and an S3 server for the checkpoints if `s3`.

    `seconds` is the length of an epoch.

    Raises:
        servers.NoServer: if PostgreSQL is not installed.
    """
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(servers.ray_nodes(0))
        postgres = stack.enter_context(servers.postgres())
        (folder / "mlflow").mkdir()
        mlflow = stack.enter_context(servers.mlflow(folder / "mlflow", postgres.database("mlflow")))
        postgres.database("studies")
        store = stack.enter_context(servers.s3(folder)) if s3 else ""
        if s3:
            _bucket(store).mkdir(BUCKET)
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodes-", ignore_cleanup_errors=True)))
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
        environment = {
            **clean,
            **KEYS,
            "TMPDIR": str(tmp),
            "SLOW_SECONDS": str(seconds),
            "PGPASSWORD": servers.PASSWORD,
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "CNNSEARCH_RUN_CONFIRM": "0",
        }
        if s3:
            environment["AWS_ENDPOINT_URL"] = store
        (folder / "chaos.py").write_text(MODEL)
        watched = stack.enter_context(contextlib.closing(Checkpoints(folder / "runs", store)))
        made = Site(folder, tmp, postgres, mlflow, cluster, store, environment, watched)
        made.address = f"s3://{BUCKET}/chaos" if s3 else ""
        for _ in range(nodes):
            made.add()
        yield made


@dataclass
class Harm:
    """What is done to a search, and how often it was done.

    Attributes:
        kills: a node is killed at most so often, and another one is added; first when as many trials have a checkpoint.
        every: seconds between two of them, at least and at most.
        parents: how often the command is killed and begun again.
        mlflow_away: seconds for which the MLflow server is stopped.
        done: what was done, with the number of trials that had ended.
    """

    kills: int
    every: tuple[float, float]
    parents: int = 0
    mlflow_away: float = 30.0
    done: list[tuple[str, int]] = field(default_factory=list)

    def count(self, what: str) -> int:
        """How often this was done."""
        return sum(each == what for each, _ in self.done)


def rage(here: Site, trials: int, epochs: int, seed: int, harm: Harm, seconds: float = 3600) -> None:
    """Run a search to its end while nodes and servers are killed.

    PostgreSQL is restarted after a third of the trials, the command is killed after a half, and MLflow is stopped after
    two thirds.
    """
    chance, deadline, mlflow_back = random.Random(seed), time.monotonic() + seconds, 0.0
    parent = here.start(trials, epochs)
    next_kill, resumed_at, starting = 0.0, -1, threading.Thread(target=here.mlflow.start)
    try:
        while True:
            try:
                code = parent.wait(0.5)
            except subprocess.TimeoutExpired:
                code = None
            if code is not None and code >= 0:
                break
            assert time.monotonic() < deadline, here.log()
            if code is not None:
                parent = here.start(trials, epochs)
            ended, now = here.ended(), time.monotonic()
            ready = len(here.checkpoints.now()) >= len(here.cluster.nodes) or (next_kill and now > next_kill)
            if ready and harm.count("node") < harm.kills and now > next_kill:
                here.kill(chance)
                here.add()
                next_kill = time.monotonic() + chance.uniform(*harm.every)
                harm.done.append(("node", ended))
            if ended >= trials / 3 and not harm.count("postgres"):
                here.postgres.restart(away=2)
                harm.done.append(("postgres", ended))
            if ended >= trials / 2 and harm.count("parent") < harm.parents:
                parent.send_signal(signal.SIGKILL)
                harm.done.append(("parent", ended))
                resumed_at = ended
            if mlflow_back and now > mlflow_back:
                mlflow_back = 0.0
                # it takes seconds
                starting.start()
            # a search does not begin without MLflow
            if ended >= trials * 2 / 3 and ended > resumed_at and not harm.count("mlflow"):
                here.mlflow.stop()
                mlflow_back = now + harm.mlflow_away
                harm.done.append(("mlflow", ended))
    finally:
        parent.kill()
        parent.wait()
        if mlflow_back:
            starting.start()
        if starting.ident:
            starting.join()
    assert code == 0, here.log()
    if "did not receive every run" in here.log():
        # it ended before MLflow was back
        assert here.start(trials, epochs).wait(600) == 0, here.log()
        harm.done.append(("again", trials))


def check(here: Site, trials: int) -> dict[str, Any]:
    """Check everything that must hold for the study; returns what there is to count."""
    space, frozen = here.stored()
    records = {trial.number: from_optuna(trial) for trial in frozen}
    assert not [trial for trial in frozen if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
    counted = {number: each for number, each in records.items() if each.state in COUNTED}
    assert len(counted) == trials, f"{len(counted)} trials ended, {trials} were asked for"
    keys = [each.key for each in counted.values() if each.state in ("complete", "pruned")]
    assert len(set(keys)) == len(keys), "a plan was trained twice"
    again = _from_the_start(frozen, records, here.checkpoints.seen)
    assert not again, f"they had a checkpoint, and were trained from their start: {again}"
    storm.check_mlflow(here.mlflow.uri, f"cnnsearch/{space}", counted)
    until = time.monotonic() + CLEAN
    while (left := here.left()) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left, left
    lost = [each for each in records.values() if "machine was lost" in each.reason]
    return {
        **{state: sum(each.state == state for each in records.values()) for state in (*COUNTED, "interrupted")},
        "lost_with_node": len(lost),
        "resumed": sum(each.resumed > 0 for each in records.values()),
        "most_moves": max(trial.user_attrs.get("moves", 0) for trial in frozen),
        "retried": sum("retried" in trial.user_attrs for trial in frozen),
    }


def _from_the_start(frozen: list[FrozenTrial], records: dict[int, Trial], seen: dict[str, datetime]) -> list[int]:
    """The trials that did not resume, though their checkpoint was there when they started."""
    found = []
    for trial in frozen:
        name = str(trial.user_attrs.get("state", "")).rpartition("/")[2]
        trained = bool(trial.intermediate_values) or records[trial.number].epochs
        had = name in seen and trial.datetime_start is not None and seen[name] < trial.datetime_start
        if had and trained and not records[trial.number].resumed:
            found.append(trial.number)
    return found
