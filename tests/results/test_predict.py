"""predict, the card's program and a served model give the same predictions for the same pictures; the registry."""

import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from sklearn.datasets import load_digits

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results import registry
from cnnsearch.spaces import plugins
from cnnsearch.study import listing
from tests.conftest import cnnsearch, invoke, python, working_in


@pytest.fixture(scope="module")
def exported(searched: Path) -> Path:
    """The best trial, exported and registered as `digits`."""
    done = invoke(searched, "export", "--best", "-o", "served", "--register", "digits")
    assert done.returncode == 0, done.stderr
    assert "version 1 of digits in MLflow's registry, champion: the first" in done.stdout
    return searched / "served"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits of several sizes and modes, one of them rotated by its EXIF data; and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    grey = [Image.fromarray(np.rint(image * 15.9).astype("uint8")) for image in load_digits().images[:3]]
    turn = Image.Exif()
    turn[0x0112] = 6
    grey[0].resize((20, 12)).save(folder / "a.png")
    grey[1].convert("RGB").resize((30, 41)).save(folder / "b.jpg", exif=turn)
    glass = Image.new("RGBA", (16, 16), (200, 10, 90, 120))
    glass.paste(grey[2], (4, 4))
    (folder / "more").mkdir()
    glass.save(folder / "more" / "c.png")
    (folder / "more" / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def said(exported: Path, pictures: Path) -> dict[str, dict[str, float]]:
    """The output of `cnnsearch predict`: classes and probabilities by file name."""
    done = cnnsearch(pictures, "predict", str(exported), ".", "--json", "--top", "10")
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = {Path(each["file"]).name: each["top"] for each in json.loads(done.stdout)}
    for top in found.values():
        assert [each["probability"] for each in top] == sorted((each["probability"] for each in top), reverse=True)
    return {name: {each["class"]: each["probability"] for each in top} for name, top in found.items()}


def pixels(file: Path) -> np.ndarray:
    """A picture as the dataset of folders reads it."""
    folder = plugins.load(here=file.parent).get("dataset", "folder").function
    assert folder is not None
    home = file.with_suffix("")
    for name in ("one", "two"):
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name / file.name).write_bytes(file.read_bytes())
    images: np.ndarray = folder(path=str(home), size=8, color="grey").x[:1]
    return images


def test_pictures_are_read_as_the_folder_dataset_reads_them(
    exported: Path, pictures: Path, said: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    assert set(said) == {"a.png", "b.jpg", "c.png"}
    model = keras.saving.load_model(exported / "model.keras")
    for file in (pictures / "a.png", pictures / "b.jpg", pictures / "more" / "c.png"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (expected,) = model.predict(pixels(tmp_path / file.name), verbose=0)
        ours = [said[file.name][str(digit)] for digit in range(10)]
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def bomb() -> bytes:
    """The beginning of a PNG file of 50,000 by 50,000 pixels."""
    content = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", content), (b"IDAT", zlib.compress(bytes(99))))
    parts = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_each_unreadable_file_is_one_line_and_the_others_are_predicted(
    exported: Path, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "page.jpg").write_text("<html>")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty").mkdir()
    bad = ["bomb.png", "page.jpg", "pipe.png", "empty", "gone.png"]
    good = str(pictures / "a.png")
    done = invoke(tmp_path, "predict", str(exported / "model.keras"), *bad[:3], good, *bad[3:], "--top", "2")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == bad
    for line, words in zip(
        lines, ("DecompressionBomb", "cannot be read", "not a regular file", "no pictures", "No such"), strict=True
    ):
        assert words in line
    header, row = done.stdout.splitlines()
    assert header.split() == ["picture", "class", "probability", "next", "classes"]
    assert re.search(r"a\.png +\d +0\.\d{4} +\d 0\.\d{4}$", row.rstrip())


ALONE = """
import os, runpy
for number in range(2):
    os.replace(f"picture-{number}.png", "picture.png")
    runpy.run_path("snippet.py")
"""


def test_the_cards_program_gives_the_same_result_without_cnnsearch(
    exported: Path, pictures: Path, said: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    (snippet,) = re.findall(r"(?ms)^```python\n(.*?)^```$", (exported / "card.md").read_text("utf-8"))
    (tmp_path / "snippet.py").write_text(snippet)
    for name in ("model.keras", "labels.json"):
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    # a rotated picture that is resized and made grey, and one with a transparent part
    files = (pictures / "b.jpg", pictures / "more" / "c.png")
    for number, file in enumerate(files):
        with Image.open(file) as image:
            image.save(tmp_path / f"picture-{number}.png", exif=image.getexif())
    done = python(tmp_path, ALONE, without=("cnnsearch",))
    assert done.returncode == 0, done.stderr
    for file, line in zip(files, done.stdout.splitlines(), strict=True):
        name, probability = line.split()
        expected = said[file.name]
        assert name == max(expected, key=expected.__getitem__)
        assert float(probability) == pytest.approx(expected[name], abs=1e-5)


@pytest.fixture
def server(searched: Path, exported: Path) -> Iterator[str]:
    """`mlflow models serve` of the champion, on a free port of this machine; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-m", "models:/digits@champion", "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{searched / 'mlflow.db'}",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    with (searched / "served.log").open("w") as log:
        command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/ping", process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[Any], seconds: float = 200) -> bytes:
    """What `url` answers, as soon as it does."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found: bytes = answer.read()
                return found
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"{url} does not answer")


def test_a_served_model_gives_the_same_result(
    server: str, pictures: Path, said: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    (tmp_path / "b.jpg").write_bytes((pictures / "b.jpg").read_bytes())
    body = json.dumps({"inputs": pixels(tmp_path / "b.jpg").tolist()}).encode()
    request = urllib.request.Request(f"{server}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=100) as answer:
        (probabilities,) = json.loads(answer.read())["predictions"]
    np.testing.assert_allclose(probabilities, [said["b.jpg"][str(digit)] for digit in range(10)], atol=1e-5)


# -- the registry ----------------------------------------------------------------------------------


def test_a_better_version_becomes_champion_and_others_challengers(searched: Path, exported: Path) -> None:
    client = MlflowClient(f"sqlite:///{searched / 'mlflow.db'}")

    def version(alias: str) -> int:
        return int(client.get_model_version_by_alias("digits", alias).version)

    first = client.get_model_version("digits", "1")
    before = client.get_run(first.run_id).info
    assert before.status == "FINISHED" and {*registry.SAME, registry.ACCURACY} <= set(first.tags)

    def again() -> str:
        with working_in(searched):
            return str(registry.register(listing.load("digits_cnn", Path("runs")), Path("served"), "digits"))

    same = again()
    client.set_model_version_tag("digits", "1", registry.ACCURACY, "0.01")
    better = again()
    client.set_model_version_tag("digits", "3", "cnnsearch.split_seed", "7")
    other = again()
    assert same.startswith("version 2 of digits in MLflow's registry, challenger: ") and "which is not lower" in same
    assert better.startswith("version 3 of digits in MLflow's registry, champion: ") and "against 0.0100" in better
    assert "challenger: version 3 was measured on other validation data" in other
    assert "split_seed 7 and here 0" in other
    assert (version("champion"), version("challenger")) == (3, 4)
    # the study's run is as the search left it
    after = client.get_run(first.run_id).info
    assert (after.status, after.end_time) == (before.status, before.end_time)

    promote = shlex.split(other.partition("To promote it: ")[2])
    assert promote[:2] == ["python", "-c"]
    with working_in(searched):
        exec(promote[2], {})
    assert version("champion") == 4


def test_the_champion_is_the_better_of_two_comparable_versions() -> None:
    here = dict.fromkeys(registry.SAME, "1")
    mine = {**here, registry.ACCURACY: "0.9"}

    def against(accuracy: str, **tags: str) -> tuple[bool, str]:
        theirs = {**here, registry.ACCURACY: accuracy, **tags}
        return registry.verdict(mine, SimpleNamespace(tags=theirs, version="4"))

    assert registry.verdict(mine, None) == (True, "the first")
    assert against("0.89") == (True, "0.9000 on validation, against 0.8900 of version 4")
    assert against("0.9")[0] is against("0.91")[0] is False
    for tags in ({key: "2"} for key in registry.SAME):
        assert against("0.1", **tags)[0] is False
    # a version that somebody else made
    assert against("good")[0] is False
    assert registry.verdict(mine, SimpleNamespace(tags={}, version="4"))[0] is False


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a@b", "two words", "..", "x" * 201])
def test_names_that_cannot_be_registered_are_refused(name: str) -> None:
    with pytest.raises(CnnsearchError, match="expected letters, digits"):
        registry.check_name(name)


# -- Optuna's dashboard ----------------------------------------------------------------------------


def test_the_dashboard_shows_the_study_or_says_how_to_install_it(searched: Path) -> None:
    if importlib.util.find_spec("optuna_dashboard") is None:
        done = invoke(searched, "ui", "--optuna")
        assert done.returncode == 2 and done.stderr.strip().endswith("pip install 'cnnsearch[dashboard]'")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "cnnsearch", "ui", "--optuna", "--port", port]
    process = subprocess.Popen(command, cwd=searched, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        found = json.loads(wait_for(f"http://127.0.0.1:{port}/api/studies", process))
    finally:
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=30)
    assert "digits_cnn" in [study["study_name"] for study in found["study_summaries"]]
    assert f"http://127.0.0.1:{port}/dashboard/studies/" in told and not errors and process.returncode == 0
