"""The same steps from Python, as a script and a notebook take them."""

import inspect
import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import optuna
import pytest

import cnnsearch
from cnnsearch import api
from cnnsearch.api import keywords, notebook
from cnnsearch.api.inputs import SearchInputs
from cnnsearch.cli import search_config
from cnnsearch.cli.main import main
from cnnsearch.core.errors import StudyError
from cnnsearch.spaces import pickled_model
from cnnsearch.study.study import Study
from cnnsearch.tuning import confirm
from cnnsearch.tuning.progress import UNLIMITED, Running, StudyStatistics, TuningStatus
from cnnsearch.tuning.trial_source import End, EndReason

RUN = main.commands["run"]


def test_every_option_of_run_is_a_keyword_of_search_with_the_same_default_and_is_told() -> None:
    parameters = inspect.signature(cnnsearch.search).parameters
    context = click.Context(RUN)
    for option in RUN.params:
        name = keywords.flag_name(option)
        if name in ("space", "debug"):
            continue
        default = option.get_default(context)
        nothing = [None, ()] if option.multiple else [None]
        given = [default] if isinstance(default, str | int | float | bool) else nothing
        assert any(parameters[name].default is each or parameters[name].default == each for each in given), name
        assert type(parameters[name].default) in map(type, given), name
    extra = {"space", "validation_data", "test_data"}
    assert set(parameters) == {keywords.flag_name(option) for option in RUN.params} - {"debug"} | extra
    told = re.findall(
        r"(?m)^    (\w+): ", inspect.getdoc(cnnsearch.search).partition("Args:")[2].partition("Returns:")[0]
    )
    assert told == list(parameters)
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def test_the_keywords_of_load_are_the_places_of_every_command() -> None:
    assert list(inspect.signature(cnnsearch.load).parameters) == ["study", "runs", "storage", "plugins"]


def test_keywords_become_words_of_the_command_line() -> None:
    options = {"trials": 5, "recipes": True, "default": False, "compiled": True, "study": None, "recipe": ["a", "b"]}
    expected = ["--trials", "5", "--recipes", "--no-default", "--compiled", "--recipe", "a", "--recipe", "b"]
    assert keywords.words(RUN, options) == expected
    given = {"set": {"filters.first": [8, 16], "head.reduce": "max"}, "confirm": 0, "recipe": "a"}
    expected = ["--set", "filters.first=[8, 16]", "--set", "head.reduce=max", "--confirm", "0", "--recipe", "a"]
    assert keywords.words(RUN, given) == expected
    given = {"set": {"dataset.path": Path("x.npz"), "batch_size.choices": np.array([32, 64])}, "image_size": (96, 96)}
    expected = ["--set", "dataset.path=x.npz", "--set", "batch_size.choices=[32, 64]", "--image-size", "96x96"]
    assert keywords.words(RUN, given) == expected


@pytest.mark.parametrize(
    ("space", "options", "said"),
    [
        (
            lambda hp: None,
            {},
            "hypermodel needs data. Give arrays, as in search(hypermodel, (images, labels)), or a",
        ),
        (
            "digits_cnn",
            {"test_data": ([0], [0])},
            "validation_data and test_data are only for images and labels from Python.",
        ),
        ("digits_cn", {}, "there is no space 'digits_cn'. Did you mean 'digits_cnn'?"),
        ("digits_cnn", {"trails": 2}, "search() has no keyword 'trails'. Did you mean 'trials'?"),
        ("digits_cnn", {"trials": 0}, "0 is not in the range x>=1"),
        ("digits_cnn", {"image_size": (96, 64)}, 'expected WIDTHxHEIGHT as one text, such as "96x64".'),
        ("digits_cnn", {"sampler": ["tpe", "random"]}, "sampler=['tpe', 'random']: expected one value."),
        ("digits_cnn", {"set": {"filters.first": object}}, "expected numbers, texts, True, False or lists."),
        ("digits_cnn", {"sampler": "tpee"}, "--sampler tpee: there is no sampler of this name. Did you mean 'tpe'?"),
    ],
)
def test_a_mistake_is_an_error_of_one_line(
    space: Any, options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cnnsearch.CnnsearchError) as raised:
        cnnsearch.search(space, **options)
    assert said in raised.value.message and "\n" not in raised.value.message
    assert not list(tmp_path.iterdir())


def test_a_study_of_the_command_line_is_loaded_and_shows_itself(searched: Path) -> None:
    result = cnnsearch.load(runs=searched / "runs")
    assert isinstance(result, cnnsearch.Result) and cnnsearch.Found is cnnsearch.Result
    assert result.name == "digits_cnn"
    board = result.leaderboard()
    assert len(board) == 5 and result.best()["trial"] == board.loc[0, "trial"] and board["rank"].dtype == "Int64"
    assert len(result.optuna.trials) == 5
    with pytest.deprecated_call():
        assert result.study.study_name == "digits_cnn"
    score = f"{result.best()['score']:.4f}"
    text, html = repr(result), result._repr_html_()
    assert text.startswith(f"Result('digits_cnn', 5 trials, best val_accuracy {score}") and "rank" in text
    assert html.count("<tr>") == 6 and html.count("<img src=") == 2 and f"<td>{score}</td>" in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_the_call_that_is_recorded_names_what_was_said() -> None:
    assert api._call(SearchInputs("digits_cnn"), {"trials": 3}) == "cnnsearch.search('digits_cnn', trials=3)"
    data = np.zeros((4, 2, 2), "uint8"), [0, 1, 0, 1]
    assert api._call(SearchInputs(Path("a.toml"), data), {"jobs": 1}) == "cnnsearch.search('a.toml', data, jobs=1)"


class WithFiles:
    """A HyperModel of no library with an attribute `files`."""

    def __init__(self) -> None:
        self.files = ["a.csv"]

    def build(self, hp: Any) -> Any:
        return hp.Int("units", 1, 2)


def arrays() -> tuple[Any, list[int]]:
    return np.zeros((8, 2, 2), "uint8"), [0, 1] * 4


@pytest.mark.parametrize("begun", [False, True])
def test_what_was_written_for_a_study_is_kept_once_it_has_begun(begun: bool, tmp_path: Path) -> None:
    """A lost database is a StudyError too."""
    inputs = SearchInputs(WithFiles(), arrays())
    given = keywords.parsed("run", {**inputs.named, "runs": str(tmp_path), "study": "s"})
    for name in ("json_lines", "quiet", "ui"):
        del given[name]
    config = search_config.search_config(**{**given, **inputs.objects()})

    def search() -> None:
        with inputs.in_folder(config):
            if begun:
                inputs.study.on_study_begin(Study(optuna.create_study()))
            raise StudyError("the database does not answer")

    with pytest.raises(StudyError):
        search()
    kinds = {path.name.partition("-")[0] for path in (tmp_path / "s").glob("*-*")}
    assert kinds == ({"data", "hypermodel"} if begun else set())


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(cnnsearch.CnnsearchError, match="cannot be written: No space left on device"):
        pickled_model.pickled(WithFiles()).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_call_reads_no_variables_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CNNSEARCH_RUN_EPOCHS", "CNNSEARCH_SEED", "CNNSEARCH_RUN_TRIALS"):
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("CNNSEARCH_RUN_SET", "filters.first=[8]")
    monkeypatch.setenv("CNNSEARCH_RUN_COMPILED", "0")
    monkeypatch.setenv("CNNSEARCH_STORAGE", "sqlite:///a.db")
    given = keywords.parsed("run", {"space": "digits_cnn"})
    assert (given["epochs"], given["seed"], given["trials"]) == (None, 0, 50) and given["storage"] == "sqlite:///a.db"
    assert given["compiled"] and not given["settings"]


def test_a_confirmation_that_is_stopped_ends_the_program(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "confirm", lambda *given, **named: (None, End(EndReason.INTERRUPTED)))
    with pytest.raises(KeyboardInterrupt, match="Every finished training is stored"):
        cnnsearch.load(runs=searched / "runs").confirm()


def test_a_search_without_a_number_of_trials_shows_none() -> None:
    running = (Running(2, 3, 0, 1.0),)
    told = notebook.progress_html(TuningStatus(UNLIMITED, StudyStatistics(True), running, 1.0, 1, {}))
    assert "1000000" not in told and "0 trials" in told and "trial 2: epoch 3<" in told
    told = notebook.progress_html(TuningStatus(5, StudyStatistics(True), (), 1.0, 1, {}))
    assert "0 of 5 trials" in told and 'max="5"' in told
