"""A study as Python code sees it: its leaderboard, its best model, and what can be made of it."""

import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnsearch.api.predictions import Predictions
from cnnsearch.core.errors import CnnsearchError


class Result:
    """A study that was searched. A notebook shows its leaderboard, how the search went and the best trial's curve.

    Attributes:
        name: the study's name.
        folder: where its files are.
    """

    def __init__(self, name: str | None, runs: Path, storage: str = "", plugins: Sequence[Path] = ()) -> None:
        import_optuna()
        from cnnsearch.study import listing

        self._places: dict[str, Any] = {"runs": runs, "storage": storage}
        self._plugins = tuple(plugins)
        opened = listing.load(name, **self._places)
        self.name: str = opened.name
        self.folder: Path = opened.folder

    @property
    def optuna(self) -> Any:
        """Optuna's own study, for its plots and whatever else it can do."""
        return self._opened().optuna

    @property
    def study(self) -> Any:
        """The old name of `optuna`."""
        warnings.warn("Result.study is called Result.optuna now.", DeprecationWarning, stacklevel=2)
        return self.optuna

    def leaderboard(self, top: int = 0) -> Any:
        """The ranked trials as a pandas DataFrame, a row a trial, with the columns of `cnnsearch leaderboard`.

        Args:
            top: only so many rows; 0 gives all.
        """
        import pandas

        from cnnsearch.results import leaderboard

        return pandas.DataFrame(leaderboard.rows(self._opened(), top), columns=list(leaderboard.COLUMNS))

    def best(self) -> dict[str, Any]:
        """The leaderboard's first row.

        Raises:
            CnnsearchError: if no trial is complete.
        """
        from cnnsearch.results import leaderboard

        rows = leaderboard.rows(self._opened(), 1)
        if not rows or rows[0]["rank"] is None:
            raise CnnsearchError(f"Study '{self.name}' has no complete trial yet.")
        return rows[0]

    def best_model(self, trial: int | None = None) -> Any:
        """The best trial's trained Keras model, or that of this `trial`. Keras is imported when this is called.

        A model of a plan takes images (n, height, width, channels) with their raw values, and gives probabilities
        (n, classes); augmentation is not in it. A model of a function of yours is as you built it.

        Raises:
            StudyError: if there is no such trial, or its model is no longer on disk.
        """
        from cnnsearch.api import trained_model

        return trained_model.opened(self._opened(), trial, self._plugins).model

    def predict(self, images: Any, trial: int | None = None) -> Predictions:
        """What the best trial's model, or that of this `trial`, says of images.

        Args:
            images: an array, list or tensor of shape (n, height, width, channels) or (n, height, width), or one image,
                with raw values as those that were searched with.

        Raises:
            DataError: if the images have another shape than those that were searched with.
            StudyError: if there is no such trial, or its model is no longer on disk.
        """
        from cnnsearch.api import trained_model

        return trained_model.opened(self._opened(), trial, self._plugins).predict(images)

    def confirm(
        self,
        top: int = 3,
        seeds: int = 3,
        trials: Sequence[int] = (),
        timeout: str | float = "0",
        jobs: int | None = None,
    ) -> "Result":
        """Train the best `top` trials, or these `trials`, again with new seeds until each has had so many `seeds`.

        Args:
            timeout: begin nothing that will not end by then: seconds, or such as "30m".
            jobs: trainings side by side; None: as `search` chooses.
        """
        from cnnsearch.api import notebook
        from cnnsearch.cli import quantities
        from cnnsearch.results import leaderboard
        from cnnsearch.tuning import run as command

        command.confirm(
            self.name,
            top,
            seeds,
            tuple(trials),
            quantities.seconds(str(timeout)),
            jobs,
            **self._places,
            plugins=self._plugins,
            show=notebook.display(json_lines=False, quiet=False),
            files=leaderboard.write_files,
        )
        return self

    def report(self, out: str | Path = "report.html") -> Path:
        """Write the report, one HTML page that needs no network; a notebook shows it too. Gives back its path."""
        from cnnsearch.api import notebook

        path = self._run("report", "-o", out)
        if notebook.in_notebook():
            notebook.handle()(notebook.page(path.read_text("utf-8")))
        return path

    def export(
        self,
        out: str | Path | None = None,
        *options: str,
        trial: int | None = None,
        format: str | Sequence[str] = (),
        refit: bool = False,
        ensemble: int | None = None,
        register: str | None = None,
    ) -> Path:
        """Write the best model with its card to a folder, and give back the folder. It measures on test, once a model.

        Args:
            out: the folder; None: `exports/STUDY`.
            options: more options as words of `cnnsearch export`, such as "--refit".
            trial: this trial instead of the best one.
            format: "keras", "onnx" and others, one or several.
            refit: train it again first, on training and validation images together.
            ensemble: the mean of so many of the best, if that is better on validation.
            register: make it a version of this name in MLflow's registry.
        """
        names = format if isinstance(format, str) else ",".join(format)
        given = {"--trial": trial, "--format": names or None, "--ensemble": ensemble, "--register": register}
        words = [word for flag, value in given.items() if value is not None for word in (flag, str(value))]
        words += ["--refit"] if refit else []
        return self._run("export", "-o", out or Path("exports") / self.name, *words, *options)

    def _run(self, command: str, flag: str, out: str | Path, *options: str) -> Path:
        """A command in a process of its own: a notebook that trains its own models keeps its backend as it is."""
        line = [command, self.name, flag, str(out), *options, "--runs", str(self._places["runs"])]
        line += [word for folder in self._plugins for word in ("--plugins", str(folder))]
        if self._places["storage"]:
            line += ["--storage", str(self._places["storage"])]
        _process(line)
        return Path(out)

    def _opened(self) -> Any:
        from cnnsearch.study import listing

        return listing.load(self.name, **self._places)

    def _headline(self, opened: Any) -> str:
        """How many trials there are, and the best of them."""
        from cnnsearch.results import leaderboard
        from cnnsearch.study.trial import COUNTED

        trials = sum(record.state in COUNTED for record in opened.records())
        first = next(iter(leaderboard.rows(opened, 1)), None)
        best = ""
        if first and first["rank"] is not None and first["score"] is not None:
            best = f", best {opened.info['metric']} {first['score']:.4f} (trial {first['trial']})"
        return f"{trials} trial{'' if trials == 1 else 's'}{best}, in {self.folder}"

    def __repr__(self) -> str:
        from cnnsearch.cli import tables
        from cnnsearch.results import leaderboard

        opened = self._opened()
        board = leaderboard.rows(opened, 5, choices=6)
        text = tables.text(leaderboard.to_table(board, "", tables.width())) if board else ""
        return f"Result({self.name!r}, {self._headline(opened)})\n{text}".rstrip()

    def _repr_html_(self) -> str:
        from cnnsearch.api import notebook

        opened = self._opened()
        return notebook.summary(opened, self._headline(opened))


def import_optuna() -> None:
    """Import Optuna without the warning that its progress bar, which is not used here, has no widgets in a notebook."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import optuna  # noqa: F401


def _process(line: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "cnnsearch", *line], capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        raise CnnsearchError(done.stderr.strip().removeprefix("Error: "))
