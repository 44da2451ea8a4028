"""The five steps of the command line for notebooks and scripts: search, leaderboard, confirm, report, export."""

from pathlib import Path
from typing import Any

from cnnsearch.errors import CnnsearchError


class Found:
    """A study and what can be made of it.

    Attributes:
        name: the study's name.
        folder: where its files are.
    """

    def __init__(self, name: str | None, options: dict[str, Any]) -> None:
        from cnnsearch import study

        self._places: dict[str, Any] = {"runs": Path(options["runs"]), "storage": str(options["storage"])}
        self._plugins = tuple(options["plugins"])
        opened = study.load(name, **self._places)
        self.name: str = opened.name
        self.folder: Path = opened.folder

    @property
    def study(self) -> Any:
        """Optuna's own study, for its plots and whatever else it can do."""
        return self._opened().optuna

    def leaderboard(self, top: int = 0) -> Any:
        """The ranked trials as a pandas DataFrame, a row a trial, with the columns of `cnnsearch leaderboard`."""
        import pandas

        from cnnsearch import leaderboard

        return pandas.DataFrame(leaderboard.rows(self._opened(), top), columns=list(leaderboard.COLUMNS))

    def best(self) -> dict[str, Any]:
        """The leaderboard's first row.

        Raises:
            CnnsearchError: if no trial is complete.
        """
        from cnnsearch import leaderboard

        rows = leaderboard.rows(self._opened(), 1)
        if not rows or rows[0]["rank"] is None:
            raise CnnsearchError(f"Study '{self.name}' has no complete trial yet.")
        return rows[0]

    def confirm(self, top: int = 3, seeds: int = 3, trials: tuple[int, ...] = (), jobs: int | None = None) -> "Found":
        """Train the best `top`, or these trials, again on so many fresh seeds."""
        from cnnsearch import command

        command.confirm(
            self.name, top, seeds, tuple(trials), timeout="0", jobs=jobs, plugins=self._plugins, **self._places
        )
        return self

    def report(self, out: str | Path = "report.html") -> Path:
        """Write what was found as one page, and give back its path."""
        return self._run("report", "-o", out)

    def export(self, out: str | Path | None = None, *options: str) -> Path:
        """Write the best model, or the one that `options` of `cnnsearch export` name, and give back its folder."""
        return self._run("export", "-o", out or Path("exports") / self.name, *options)

    def _run(self, command: str, flag: str, out: str | Path, *options: str) -> Path:
        """A command of its own process: a notebook that trains its own models keeps its backend as it is."""
        line = [command, self.name, flag, str(out), *options, "--runs", str(self._places["runs"])]
        line += [word for folder in self._plugins for word in ("--plugins", str(folder))]
        if self._places["storage"]:
            line += ["--storage", str(self._places["storage"])]
        _process(line)
        return Path(out)

    def _opened(self) -> Any:
        from cnnsearch import study

        return study.load(self.name, **self._places)

    def __repr__(self) -> str:
        from cnnsearch.record import COUNTED

        trials = sum(record.state in COUNTED for record in self._opened().records())
        return f"Found({self.name!r}, {trials} trials in {self.folder})"


def search(space: str, **options: Any) -> Found:
    """Search `space`; gives back the study. The same call again goes on.

    `options` are those of `cnnsearch run`, with underscores: `trials=50`, `epochs=3`, `confirm="0"`, `recipes=True`,
    `runs="runs"`. Several values are a list; `set` is a dict: `set={"filters.first": [8, 16]}`.

    Raises:
        CnnsearchError: for whatever the command says in a line.
        KeyboardInterrupt: if the search was stopped; every finished trial is kept.
    """
    from cnnsearch import command, display

    given = _parsed("run", ["--space", space, *_words(options)])
    shown = display.Quiet() if given.pop("quiet") else display.Bar()
    del given["json_lines"]
    settings = command.settings(**given)
    study, ended = command.run(settings, shown, f"cnnsearch.search({space!r}, **{options!r})")
    if ended == "interrupted":
        raise KeyboardInterrupt("stopped; the same call goes on")
    if " " in ended:
        raise CnnsearchError(f"The search stopped: {ended}")
    return Found(study.name, given)


def load(study: str | None = None, **options: Any) -> Found:
    """A study that was searched before, the latest if none is named; `options` are `runs`, `storage` and `plugins`.

    Raises:
        CnnsearchError: if there is none.
    """
    return Found(study, _parsed("leaderboard", _words(options)))


def _parsed(command: str, words: list[str]) -> dict[str, Any]:
    """The options of a command as the command line would understand them."""
    import click

    from cnnsearch import cli

    try:
        return dict(cli.main.commands[command].make_context(command, words, auto_envvar_prefix="CNNSEARCH").params)
    except click.UsageError as error:
        raise CnnsearchError(error.format_message()) from error


def _words(options: dict[str, Any]) -> list[str]:
    """Options as words of a command line; None and False leave one out."""
    import json

    words: list[str] = []
    given: list[Any]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, dict):
            given = [f"{key}={each if isinstance(each, str) else json.dumps(each)}" for key, each in value.items()]
        else:
            given = list(value) if isinstance(value, list | tuple) else [value]
        for each in given:
            words += [] if each is None or each is False else [flag] if each is True else [flag, str(each)]
    return words


def _process(line: list[str]) -> None:
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "cnnsearch.cli", *line], capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        raise CnnsearchError(done.stderr.strip().removeprefix("Error: "))
