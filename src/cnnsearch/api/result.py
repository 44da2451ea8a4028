"""A study in Python code: its leaderboard, best model, predictions, report and export."""

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnsearch.api.predictions import Predictions
from cnnsearch.core.errors import CnnsearchError


class Result:
    """The result of a search. A notebook shows its leaderboard, the scores of all trials and the best trial's curves.

    Attributes:
        name: the study's name.
        folder: the folder of its files.

    Args:
        name: the study's name; None: the latest.
        runs: the folder of studies and checkpoints.
        storage: Optuna's storage address; empty: a SQLite file in `runs`.
        plugins: folders or files of your own plugins; their code is run.

    Raises:
        StudyError: if there is no such study.
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
        """The study as an Optuna study, for Optuna's plots and analyses."""
        return self._study().optuna

    @property
    def study(self) -> Any:
        """The old name of `optuna`."""
        warnings.warn("Result.study is called Result.optuna now.", DeprecationWarning, stacklevel=2)
        return self.optuna

    def leaderboard(self, top: int = 0) -> Any:
        """The ranked trials as a pandas DataFrame: one row per trial, with the columns of `cnnsearch leaderboard`.

        Args:
            top: the number of rows; 0: all.
        """
        import pandas

        from cnnsearch.results import leaderboard

        board = leaderboard.rows(self._study(), top)
        # trials that were not trained to their end have no rank, and a column of Int64 may have gaps
        return pandas.DataFrame(board, columns=leaderboard.columns_of(board)).astype({"rank": "Int64"})

    def best(self) -> dict[str, Any]:
        """The leaderboard's first row.

        Raises:
            CnnsearchError: if no trial is complete.
        """
        from cnnsearch.results import leaderboard

        rows = leaderboard.rows(self._study(), 1)
        if not rows or rows[0]["rank"] is None:
            raise CnnsearchError(f"Study '{self.name}' has no complete trial yet.")
        return rows[0]

    def best_model(self, trial: int | None = None) -> Any:
        """The trained Keras model of the best trial, or of `trial`. This imports Keras.

        A model of a plan takes images (n, height, width, channels) with their raw values, and returns probabilities
        (n, classes). It does not contain augmentation. A model of your own function is as you built it.

        Raises:
            StudyError: if there is no such trial, or its model is no longer on disk.
        """
        from cnnsearch.api import trained_model

        return trained_model.load(self._study(), trial, self._plugins).model

    def predict(self, images: Any, trial: int | None = None) -> Predictions:
        """The predictions for images by the model of the best trial, or of `trial`.

        Args:
            images: an array, list or tensor of shape (n, height, width, channels) or (n, height, width), or one image;
                with raw values, as the images of the search had.

        Raises:
            DataError: if the images have another shape than those of the search.
            StudyError: if there is no such trial, or its model is no longer on disk.
        """
        from cnnsearch.api import trained_model

        return trained_model.load(self._study(), trial, self._plugins).predict(images)

    def confirm(
        self,
        top: int = 3,
        seeds: int = 3,
        trials: Sequence[int] = (),
        timeout: str | float = "0",
        jobs: int | None = None,
    ) -> "Result":
        """Train the best trials again on new seeds, and rank them by their mean.

        Args:
            top: how many of the best trials.
            seeds: how many new seeds of each trial, in all.
            trials: these trials instead.
            timeout: begin no training that will not end within this time: seconds, or such as "30m"; 0: no limit.
            jobs: how many trainings run at the same time; None: as `search` chooses.

        Raises:
            KeyboardInterrupt: if it was stopped. Every finished training is kept; the same call runs the others.
        """
        from cnnsearch.api import notebook
        from cnnsearch.cli import quantities
        from cnnsearch.results import leaderboard
        from cnnsearch.tuning import confirm
        from cnnsearch.tuning.trial_source import EndReason

        with notebook.display(json_lines=False, quiet=False) as shown:
            _, end = confirm.confirm(
                self.name,
                top,
                seeds,
                tuple(trials),
                quantities.seconds(str(timeout)),
                jobs,
                **self._places,
                plugins=self._plugins,
                callbacks=(shown, leaderboard.LeaderboardFiles()),
            )
        if end.reason is EndReason.INTERRUPTED:
            raise KeyboardInterrupt("Stopped. Every finished training is stored. The same call runs the others.")
        return self

    def report(self, out: str | Path = "report.html") -> Path:
        """Write the report, one HTML page that needs no network. A notebook shows it, too.

        Args:
            out: the file to write.

        Returns:
            The path of the file.

        Raises:
            CnnsearchError: if the study has no complete trial, or the file cannot be written.
        """
        from cnnsearch.api import notebook

        path = self._run("report", "-o", out)
        if notebook.in_notebook():
            notebook.output()(notebook.page_html(path.read_text("utf-8")))
        return path

    def export(
        self,
        out: str | Path | None = None,
        *options: str,
        trial: int | None = None,
        format: str | Sequence[str] = (),
        refit: bool = False,
        ensemble: int | None = None,
        views: str = "",
        register: str | None = None,
    ) -> Path:
        """Write the best model with its card to a folder, and return the folder.

        The card has the model's score on the test images. Each model is measured on them once.

        Args:
            out: the folder; None: `exports/STUDY`.
            options: more arguments of `cnnsearch export`, such as "--refit".
            trial: this trial instead of the best one.
            format: "keras", "onnx" and others, one or several.
            refit: train the model again first, on training and validation images together.
            ensemble: the mean of this many of the best models, if it is better on validation.
            views: the mean over test-time views of each image, such as "mirror,shift", if it is better on validation.
            register: register the model as a version of this name in MLflow.
        """
        names = format if isinstance(format, str) else ",".join(format)
        given = {
            "--trial": trial,
            "--format": names or None,
            "--ensemble": ensemble,
            "--views": views or None,
            "--register": register,
        }
        words = [word for flag, value in given.items() if value is not None for word in (flag, str(value))]
        words += ["--refit"] if refit else []
        return self._run("export", "-o", out or Path("exports") / self.name, *words, *options)

    def _run(self, command: str, flag: str, out: str | Path, *options: str) -> Path:
        """Run a command in another process, so that the backend of a notebook's own models does not change."""
        line = [command, self.name, flag, str(out), *options, "--runs", str(self._places["runs"])]
        line += [word for folder in self._plugins for word in ("--plugins", str(folder))]
        _run_command(line, str(self._places["storage"]))
        return Path(out)

    def _study(self) -> Any:
        from cnnsearch.study import listing

        return listing.load(self.name, **self._places)

    def __repr__(self) -> str:
        from cnnsearch.api import overview

        return overview.text(self._study())

    def _repr_html_(self) -> str:
        from cnnsearch.api import notebook, overview

        opened = self._study()
        return notebook.summary_html(opened, overview.headline(opened))


def import_optuna() -> None:
    """Import Optuna without a warning about widgets in notebooks. They are for its progress bar, which is not used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import optuna  # noqa: F401


def _run_command(arguments: list[str], storage: str) -> None:
    # the list of processes shows arguments, and the address can contain a password
    environment = {**os.environ, "CNNSEARCH_STORAGE": storage}
    line = [sys.executable, "-m", "cnnsearch", *arguments]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        raise CnnsearchError(done.stderr.strip().removeprefix("Error: "))
