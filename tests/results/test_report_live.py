"""`ui --live`: the report of a study that another process works on, read from the storage."""

import asyncio
import datetime
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from cnnsearch.cli import live_page
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results.report.live import LiveReport
from cnnsearch.study import lease, listing
from cnnsearch.study.trial import ATTRIBUTE
from cnnsearch.tuning.progress import UNLIMITED
from tests.browser import CHROMIUM, browser
from tests.conftest import invoke, surroundings
from tests.made_studies import complete, end, made


def test_the_status_and_the_page_follow_the_study(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.7)])
    study.remember(trials=4)
    report = LiveReport(partial(listing.load, "made", tmp_path / "runs"))
    assert report.status().text == "No search runs on this study now. Trials that have ended: 1."
    # another process works on the study
    study.remember_fact("owner", {"host": "elsewhere", "pid": 1, "at": time.time()})
    running = study.optuna.ask()
    running.report(0.5, 3)
    study.write()
    status = report.status()
    assert "Running. Trials that have ended: 1 of 4, about" in status.text
    assert f"trial {running.number} (0:0" in status.text and "epoch 3: 0.5000" in status.text
    first = report.html()
    assert "connect-src 'self'".replace("'", "&#39;") in first and "The only trial reaches 70.00%" in first
    assert report.html() is first
    end(study, complete(2, 0.9))
    assert report.status().version != status.version
    assert "The best of 2 trials reaches 90.00%" in report.html()
    lease.release(study)
    assert report.status().text.startswith("No search runs")


def test_the_page_waits_while_the_search_reads_its_data(tmp_path: Path) -> None:
    study = made(tmp_path, [])
    facts = {name: value for name, value in study.info.items() if name != "data"}
    study.optuna.set_user_attr(ATTRIBUTE, facts)
    report = LiveReport(partial(listing.load, "made", tmp_path / "runs"))
    assert "no search runs on it" in report.html() and "refresh" not in report.html()
    study.remember_fact("owner", {"host": "elsewhere", "pid": 1, "at": time.time()})
    assert "reads its data" in report.html() and 'http-equiv="refresh"' in report.html()
    study.remember(data={**made(tmp_path, [], "other").info["data"]})
    assert "reads its data" not in report.html()


def test_a_search_without_a_number_of_trials_has_no_time_left(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.7)])
    study.remember(trials=UNLIMITED)
    study.remember_fact("owner", {"host": "elsewhere", "pid": 1, "at": time.time()})
    text = LiveReport(partial(listing.load, "made", tmp_path / "runs")).status().text
    assert text.startswith("Running. Trials that have ended: 1, ") and "not known" in text


def test_the_time_left_and_the_wanted_trials_are_those_of_a_resumed_run(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.7)])
    report = LiveReport(partial(listing.load, "made", tmp_path / "runs"))
    # the first run trained two trials at the same time, two days ago, for 100 seconds
    ended = study.optuna.get_trials()[0]
    ended.datetime_start = datetime.datetime.now() - datetime.timedelta(days=2)
    ended.datetime_complete = ended.datetime_start + datetime.timedelta(seconds=100)
    study.optuna.add_trial(ended)
    study.optuna.add_trial(ended)
    study.remember(trials=12)
    study.remember_fact("owner", {"host": "elsewhere", "pid": 1, "at": time.time()})
    # 9 further trials at 33 seconds each
    assert "Trials that have ended: 3 of 12, about 5 min" in report.status().text


def test_events_say_when_the_page_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = made(tmp_path, [complete(0, 0.7)])
    report = LiveReport(partial(listing.load, "made", tmp_path / "runs"))
    monkeypatch.setattr(live_page, "SECONDS", 0.0)

    async def two() -> list[dict[str, object]]:
        events = live_page._events(report)
        first = await anext(events)
        end(study, complete(1, 0.8))
        return [json.loads(each.removeprefix("data: ")) for each in (first, await anext(events))]

    first, second = asyncio.run(two())
    assert not first["changed"] and second["changed"] and "ended: 2" in str(second["text"])


def test_only_this_machine_may_see_it(tmp_path: Path) -> None:
    made(tmp_path, [])
    done = invoke(tmp_path, "ui", "--live", "--host", "0.0.0.0")
    assert done.returncode == 2 and "127.0.0.1 or localhost only, not on 0.0.0.0" in done.stderr
    for host in ("127.0.0.2", "::1"):
        with pytest.raises(CnnsearchError, match=f"only, not on {host}"):
            live_page.serve(host, 8090, "made", tmp_path / "runs", "", ())
    done = invoke(tmp_path, "ui", "--study", "made")
    assert done.returncode == 2 and "Add --live" in done.stderr


OBJECTIVE = """
import pathlib, time

def objective(trial):
    until = time.monotonic() + 60
    while trial.number and not pathlib.Path("go").exists() and time.monotonic() < until:
        time.sleep(0.1)
    return trial.suggest_float("x", 0, 1)
"""


def test_run_serves_the_page_until_the_search_has_ended(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(OBJECTIVE)
    command = [sys.executable, "-m", "cnnsearch", "run", "--space", "waits.py:objective", "--trials", "2", "--ui"]
    with (
        (tmp_path / "errors.txt").open("w") as errors,
        subprocess.Popen(
            command, cwd=tmp_path, env=surroundings(), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as search,
    ):
        try:
            assert search.stdout is not None
            told = next(line for line in search.stdout if "Live report" in line)
            found = re.fullmatch(r"Live report on (http://127\.0\.0\.1:\d+/) until the search ends\. (.*)\n", told)
            assert found and found[2] == "Afterwards: cnnsearch report objective"
            with urllib.request.urlopen(found[1] + "events", timeout=60) as events:
                first = json.loads(next(events).removeprefix(b"data: "))
                assert first["text"].startswith("Running. Trials that have ended: ")
                with urllib.request.urlopen(found[1], timeout=60) as page:
                    assert b"Study objective" in page.read()
                (tmp_path / "go").touch()
                lines = (json.loads(line.removeprefix(b"data: ")) for line in events if line.startswith(b"data: "))
                assert next(each for each in lines if "No search runs" in each["text"])["changed"]
                with urllib.request.urlopen(found[1], timeout=60) as page:
                    assert b"The best of 2 trials" in page.read()
                # the server ends once a browser has the last page
                assert not [*lines]
            search.stdout.read()
            assert search.wait(60) == 0
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(found[1], timeout=10)
        finally:
            search.kill()


@pytest.mark.documents
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_browser_follows_the_study(tmp_path: Path) -> None:
    study = made(tmp_path, [complete(0, 0.7)])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "cnnsearch", "ui", "--live", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, env=surroundings(), stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith(f"Study 'made' on http://127.0.0.1:{port}/")
            address = f"http://127.0.0.1:{port}/"
            until = time.monotonic() + 30
            while time.monotonic() < until:
                try:
                    urllib.request.urlopen(address, timeout=30).close()
                    break
                except OSError:
                    time.sleep(0.2)
            # a name that another site gave to this machine
            foreign = urllib.request.Request(address, headers={"Host": "example.com"})
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(foreign, timeout=30)
            with browser(tmp_path / "profile") as opened:
                opened.open(address)
                opened.wait("document.getElementById('status').textContent.startsWith('No search runs')")
                rows = "document.querySelectorAll('.board tbody tr').length"
                assert opened.run(rows) == 1
                opened.run("document.querySelector('.board input[type=checkbox]').click()")
                end(study, complete(1, 0.9))
                opened.wait(f"{rows} === 2")
                assert "The best of 2 trials" in opened.run("document.querySelector('h1').textContent")
                # what the reader chose stays
                assert opened.run("document.querySelector('.board input[type=checkbox]').checked")
                # a section that has the focus is replaced when it loses it
                opened.run("document.querySelector('.board input[type=text]').focus()")
                end(study, complete(2, 0.95))
                opened.wait("document.querySelector('h1').textContent.includes('The best of 3 trials')")
                assert opened.run(rows) == 2
                opened.run("document.activeElement.blur()")
                opened.wait(f"{rows} === 3")
                assert opened.errors == [] and all(each.startswith((address, "data:")) for each in opened.requests)
                server.terminate()
                opened.wait("document.getElementById('status').textContent.includes('has stopped')")
        finally:
            server.kill()
