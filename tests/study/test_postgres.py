"""Studies in PostgreSQL, on a real server."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import optuna
import psutil
import psycopg
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from cnnsearch.core.errors import StudyError
from cnnsearch.study import address, outages, unwritten
from cnnsearch.study.storage import open_storage
from cnnsearch.study.trial import ATTRIBUTE
from cnnsearch.study.write_behind import WriteBehindStorage
from tests.conftest import TINY, Run, invoke, surroundings
from tests.servers import PASSWORD, Postgres, mlflow


@pytest.mark.parametrize(
    ("given", "used", "shown"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d", "postgres://***@h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg://u@h/d", "postgresql+psycopg2://***@h/d"),
        ("postgresql://u:p?s@h/d", "postgresql+psycopg://u:p?s@h/d", "postgresql://***@h/d"),
        ("postgresql://h/d?user=u&password=p", "postgresql+psycopg://h/d?user=u&password=p", None),
        ("postgresql+odd://h/d", "postgresql+odd://h/d", "postgresql+odd://h/d"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("://", "://", "://"),
    ],
)
def test_an_address_gets_an_installed_driver_and_is_shown_without_a_password(
    given: str, used: str, shown: str | None
) -> None:
    assert address.with_driver(given) == used
    assert address.redacted(given) == (shown or "postgresql://h/d?user=u&password=***")
    assert address.redacted_in(f"--storage={given}", given) == f"--storage={address.redacted(given)}"


def test_what_is_wrong_with_a_server_is_one_line_without_the_password(run: Run, postgres: Postgres) -> None:
    good = postgres.address("errors")
    bare = postgres.address("errors", password=False)
    wrong = bare.replace("@", ":wr%2Fong@")
    for storage, expected in (
        (good, "the server has no database 'errors'. Create it: createdb errors."),
        (wrong, "the server refused the password of user 'cnnsearch'."),
        (bare, "the server asks for a password. Set PGPASSWORD, or write the password to ~/.pgpass."),
        (good.replace(f":{postgres.port}/", ":1/"), "no server answers at 127.0.0.1:1. Start it."),
        (good.replace("127.0.0.1", "gone.invalid"), "its host name is unknown."),
        (f"{wrong}:secret", "the server refused the password of user 'cnnsearch'."),
    ):
        done = run("studies", CNNSEARCH_STORAGE=storage, PGPASSFILE="none")
        assert done.stderr == f"Error: --storage cannot be used: {expected}\n" and done.returncode == 2


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (
            "postgres://u:word@h/d",
            "PostgreSQL that is not installed. Install one: pip install 'cnnsearch[postgres]'",
        ),
        ("mysql://u:word@h/d", "MySQL that is not installed. Install one: pip install PyMySQL"),
    ],
)
def test_a_missing_driver_is_named_with_what_installs_it(storage: str, expected: str) -> None:
    # a name whose entry is None cannot be imported
    code = "import sys; sys.modules.update(dict.fromkeys(('psycopg', 'psycopg2', 'pg8000', 'pymysql', 'MySQLdb')))"
    line = [sys.executable, "-c", f"{code}; from cnnsearch.cli.main import main; main()", "studies"]
    environment = surroundings(CNNSEARCH_STORAGE=storage)
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2 and done.stderr.startswith(f"Error: --storage needs a driver for {expected}")
    assert done.stderr.count("\n") == 1 and "word" not in done.stderr


@pytest.mark.timeout(900)
def test_the_page_about_postgresql_works_while_the_server_is_restarted(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands in their order: a study on two servers to its deletion. No password is stored or shown."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "postgresql.md").read_text("utf-8")
    page = page.replace("PASSWORD", PASSWORD.replace(":", "\\:")).replace("5432", str(postgres.port))
    for name, value in {"PGPASSFILE": ".pgpass", "HOME": ".", "PGPORT": str(postgres.port)}.items():
        monkeypatch.setenv(name, value if value.isdigit() else str(tmp_path / value))
    monkeypatch.setenv("PATH", str(postgres.programs), prepend=os.pathsep)
    environment, said, lines = dict[str, str](), list[str](), set[str]()
    with contextlib.ExitStack() as stack:
        blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", page)
        for words in (shlex.split(line) for line in "".join(blocks).splitlines()):
            if words[0] == "export":
                environment.update([words[1].split("=", 1)])
            elif words[0] == "mlflow":
                server = stack.enter_context(mlflow(tmp_path, environment.pop("MLFLOW_BACKEND_STORE_URI")))
            elif words[0] != "cnnsearch":
                line = shlex.join(words).replace("'>>'", ">>").replace("'~/", "~/'")
                assert words[0] == "pip" or subprocess.run(["bash", "-c", line], check=True)
            else:
                environment["MLFLOW_TRACKING_URI"] = server.uri
                if words[1] == "delete":
                    check_runs(server.uri, environment["CNNSEARCH_STORAGE"])
                    stored = contents(postgres, "studies") + contents(postgres, "mlflow")
                with watched(lines), contextlib.nullcontext() if said else restarted(postgres, tmp_path / "runs"):
                    said.append(followed(words[1:], tmp_path, environment))
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert PASSWORD.encode() in files.pop(".pgpass").replace(b"\\", b"")
    assert lines and "model.keras" in files
    for secret in (PASSWORD, urllib.parse.quote(PASSWORD, safe="")):
        assert secret not in stored + "".join([*lines, *said]) and secret.encode() not in b"".join(files.values())
    assert not optuna.get_all_study_names(open_storage(Path(), postgres.address("studies")))


def followed(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command of the page prints; a search is made short."""
    short = {"6": "2", "8": "3"}
    line = [short.get(word, word) for word in words] + [*TINY] * (words[0] == "run")
    done = invoke(folder, *line, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def check_runs(uri: str, storage: str) -> None:
    """Check that MLflow has one ended run for each of 3 trials, with its state and score."""
    trials = optuna.load_study(study_name="digits_cnn", storage=open_storage(Path(), storage)).get_trials()
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("cnnsearch/digits_cnn")
    runs = client.search_runs([experiment.experiment_id])
    found = {
        int(run.data.tags["cnnsearch.trial"]): (run.data.tags["cnnsearch.state"], run.data.metrics["score"])
        for run in runs
        if run.info.status != "RUNNING" and "cnnsearch.trial" in run.data.tags
    }
    assert len(runs) == 1 + 3
    assert found == {trial.number: (trial.user_attrs[ATTRIBUTE]["state"], trial.value) for trial in trials}


def contents(server: Postgres, name: str) -> str:
    """All that is in the tables of a database, as text."""
    address = server.address(name, scheme="postgresql")
    with psycopg.connect(address) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        return "".join(str(connection.execute(f'select * from "{table}"').fetchall()) for (table,) in tables)


@contextlib.contextmanager
def restarted(server: Postgres, runs: Path) -> Iterator[None]:
    """Restart the server once, when the first trial of a search has saved its model."""
    ended, done = threading.Event(), list[bool]()

    def watch() -> None:
        while not (done or ended.wait(0.1)):
            if list(runs.glob("*/checkpoints/*")):
                server.restart()
                done.append(True)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert done


def test_writes_and_ends_of_trials_wait_for_a_server_that_is_away(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = postgres.database("away")
    plain = optuna.create_study(storage=open_storage(Path(), storage), study_name="s", direction="maximize")
    missed = tmp_path / unwritten.FILE

    def opened() -> tuple[optuna.Study, WriteBehindStorage]:
        behind = WriteBehindStorage(open_storage(Path(), storage), plain._study_id, True, missed)
        behind.outages.note = said.append
        return optuna.load_study(study_name="s", storage=behind), behind

    said: list[str] = []
    study, behind = opened()
    first, second = study.ask(), study.ask()
    postgres.restart()
    first.suggest_float("rate", 0, 1)
    behind.write()
    postgres.stop()
    first.report(0.5, 1)
    first.set_user_attr("seed", 7)
    study.tell(first, 0.5)
    assert study.trials[0].value == 0.5 and not behind.answers()
    threading.Timer(1, postgres.start).start()
    # it waits for the server
    third = study.ask()
    assert third.number == 2 and behind.answers()
    behind.write()
    assert [line.rpartition("answer")[2] for line in said[-2:]] == [
        ". Running trials continue, and no new one starts.",
        "s again.",
    ]
    (stored, *_) = plain.get_trials()
    assert (stored.value, stored.intermediate_values, stored.user_attrs) == (0.5, {1: 0.5}, {"seed": 7})

    monkeypatch.setattr(outages, "PATIENCE", 1)
    postgres.stop()
    second.suggest_float("rate", 0, 1)
    study.tell(second, 0.25)
    with pytest.raises(StudyError, match="did not answer for 1 seconds"):
        study.ask()
    # now nothing is tried any more
    third.set_user_attr("seed", 8)
    behind.write()
    assert study.user_attrs == {} and missed.is_file()
    # at the end of a search, trials in training are ended and their points queued: the file stays as it is
    study.tell(third, state=TrialState.FAIL)
    with pytest.raises(StudyError, match="did not answer for 1 seconds"):
        study.enqueue_trial({"rate": 0.5})
    postgres.start()
    unwritten.send(missed, plain._study_id, plain._storage)
    assert [trial.value for trial in plain.get_trials()] == [0.5, 0.25, None] and not missed.exists()
    # the next run requeues it
    assert plain.get_trials()[2].state == TrialState.RUNNING
    study, _ = opened()
    assert study.trials[1].params == second.params


@contextlib.contextmanager
def watched(lines: set[str]) -> Iterator[None]:
    """Add the command lines of the processes that this process starts, as `ps` shows them."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.3):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    lines.add(" ".join(process.cmdline()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
