"""The export of a model whose function trains for itself: its file, and a card with what is known of its trial."""

import json
import shutil
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.results.export import exported_model
from cnnsearch.results.export.exporter import ExportOptions
from cnnsearch.results.export.folder import MARK, check_free, replacing
from cnnsearch.spaces.space import Space
from cnnsearch.study import mlflow_values
from cnnsearch.study.study import Study, now

WHY = "has no test images: its function trains for itself, with data of its own. So its model is not measured"


def has_own_data(study: Study) -> bool:
    """Whether the study is of a function that trains for itself, so that cnnsearch cannot measure its models."""
    return Space.from_dict(study.info["space"]).trains_itself


def export(study: Study, number: int | None, out: Path, options: ExportOptions) -> dict[str, Any]:
    """Copy the model of the best trial, or of trial `number`, to the folder `out`, with a card; returns the card.

    Raises:
        StudyError: if there is no such trial, or its model is not on disk.
        CnnsearchError: if `out` is not free, or an option needs data.
    """
    if options != ExportOptions():
        raise CnnsearchError(f"export{options}: study '{study.name}' {WHY}. Only the file of the search is written.")
    chosen = exported_model.select_trials(study, number, 0)[0]
    path = study.checkpoint(chosen)
    if path is None:
        raise StudyError(f"Trial {chosen.number} of study '{study.name}' has no model on disk.")
    check_free(out)
    form = path.name.partition(".")[2]
    card = {
        "study": study.name,
        "trial": chosen.number,
        "metric": study.info["metric"],
        "score": chosen.score,
        "params": chosen.weights,
        "hyperparameters": chosen.params,
        "epochs": chosen.epochs,
        "best_epoch": chosen.best_epoch,
        "seed": chosen.seed,
        "formats": [form],
        "versions": mlflow_values.versions(study),
        "exported": now(),
    }
    with replacing(out) as folder:
        shutil.copyfile(path, folder / f"model.{form}")
        (folder / MARK).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    return card
