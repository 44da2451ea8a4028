"""Studies in PostgreSQL, on a real server."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import optuna
import psutil
import psycopg
import pytest

from cnnsearch.core.errors import StudyError
from cnnsearch.study import address, outages, unwritten
from cnnsearch.study.storage import open_storage
from cnnsearch.study.write_behind import WriteBehindStorage
from tests.conftest import TINY, Run, surroundings
from tests.servers import PASSWORD, Postgres


@pytest.mark.parametrize(
    ("given", "used", "shown"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d", "postgres://***@h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg://u@h/d", "postgresql+psycopg2://***@h/d"),
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


def test_a_study_in_postgresql_from_its_search_to_its_deletion(
    run: Run, postgres: Postgres, tmp_path: Path, store: str
) -> None:
    storage = postgres.database("study")
    place = {
        "CNNSEARCH_STORAGE": postgres.address("study", password=False, scheme="postgres"),
        "PGPASSWORD": PASSWORD,
    }
    with watched() as lines:
        said = [run("run", "--space", "digits_cnn", "--trials", "2", *TINY, **place)]
        # the same study under another spelling of its address, with the password in it
        said.append(run("run", "--space", "digits_cnn", "--trials", "3", *TINY, "--storage", storage))
    assert "2 of 3 trials are done" in said[1].stdout
    said.append(run("leaderboard", **place))
    assert said[2].stdout.count("complete") == 3
    said.append(run("export", "--best", "-o", "model", **place))
    assert (tmp_path / "model" / "model.keras").is_file()
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    with psycopg.connect(storage.replace("+psycopg", "")) as connection:
        tables = [row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'public'")]
        stored = "".join(str(connection.execute(f'select * from "{name}"').fetchall()) for name in tables)
    assert "***@127.0.0.1" in stored
    files = [*tmp_path.rglob("*"), Path(store.removeprefix("sqlite:///"))]
    written = b"".join(path.read_bytes() for path in files if path.is_file())
    assert b"***@127.0.0.1" in written
    said.append(run("delete", "digits_cnn", "--yes", **place))
    assert not folder.exists() and not optuna.get_all_study_names(open_storage(Path(), storage))
    assert any("cnnsearch.training.worker" in line for line in lines)
    every = stored + "".join([*lines, *(done.stdout + done.stderr for done in said)])
    for secret in (PASSWORD, storage.partition("cnnsearch:")[2].partition("@")[0]):
        assert secret not in every and secret.encode() not in written
    assert [done.returncode for done in said] == [0] * len(said)


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
    # now nothing is tried any more, and the end of a search meets no further error
    third.set_user_attr("seed", 8)
    behind.write()
    assert study.user_attrs == {} and missed.is_file()
    postgres.start()
    unwritten.send(missed, plain._study_id, plain._storage)
    assert [trial.value for trial in plain.get_trials()] == [0.5, 0.25, None] and not missed.exists()
    study, _ = opened()
    assert study.trials[1].params == second.params


@contextlib.contextmanager
def watched() -> Iterator[set[str]]:
    """The command lines of the processes that this process starts, as `ps` shows them."""
    lines, ended = set[str](), threading.Event()

    def watch() -> None:
        while not ended.wait(0.3):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    lines.add(" ".join(process.cmdline()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lines
    finally:
        ended.set()
        thread.join()
