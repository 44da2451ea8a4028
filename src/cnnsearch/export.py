"""The winner as files: a model proved to load with Keras alone, its card, plan, space, labels and leaderboard."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w
from numpy.typing import NDArray

from cnnsearch import backbones, catalog, leaderboard, spaces, worker
from cnnsearch import card as cards
from cnnsearch.data import Dataset, Images, Split, split
from cnnsearch.errors import CnnsearchError, StudyError
from cnnsearch.hyperparameters import HyperParameters, replay
from cnnsearch.plan import Plan
from cnnsearch.record import Record
from cnnsearch.study import Study

MARK = "card.json"
FILES = {
    *("model.keras", "plan.json", "space.toml", "labels.json", "leaderboard.csv", "leaderboard.md", "card.md", MARK),
    *("curves.png", "confusion.png", "mistakes.png", "samples.png"),
}
"""What an export writes, model files of other formats aside, and so what the next one may replace."""


def export(study: Study, number: int | None, out: Path, plugins: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Write the best trial, or trial `number`, to the folder `out`; gives back the card.

    Test is looked at here and nowhere else; each look is recorded in the study, and the same trial is never
    measured twice.

    Raises:
        StudyError: if there is no such trial, or its model is gone and cannot be trained again.
        CnnsearchError: if `out` is not free, the data changed, or the written model does not answer the same.
    """
    from cnnsearch import models

    chosen = _chosen(study, number)
    _check_free(out)
    origin = origin_of(study, chosen, plugins)
    parts = origin.parts
    model = _model(origin)
    probabilities = models.predict(model, parts.x_val)
    validation = cards.measure(probabilities, parts.y_val)
    _check_score(study, chosen, validation)
    looks = _test(study, chosen, model, parts)
    card = cards.card(study, chosen, origin.dataset, validation, looks, models.formats(model))
    files = _texts(study, chosen, origin.space, card) | _pictures(chosen, parts, probabilities, origin.dataset.classes)
    _write(out, model, files, parts.x_val[:512], lambda: origin.candidate().core)
    return card


class Origin(NamedTuple):
    """Where a model comes from, and how its candidate is made once more."""

    study: Study
    chosen: Record
    space: spaces.Space
    known: catalog.Catalog
    parts: Split
    dataset: Dataset

    def candidate(self, pretrained: bool = False) -> Any:
        """The trial's candidate, new; weights that a plan brings along only if `pretrained`."""
        from cnnsearch import training

        if self.chosen.plan:
            plan = Plan.from_json(self.chosen.plan)
            plan = plan if pretrained else backbones.without_weights(plan)
            return training.from_plan(plan, len(self.parts.x))
        shape, classes = self.dataset.input_shape, len(self.dataset.classes)
        hypermodel = spaces.hypermodel(self.space, self.known, shape, classes)
        hp = HyperParameters(replay(self.chosen.params))
        return training.from_hypermodel(hypermodel, hp, self.study.info["batch_size"])

    def train(self) -> tuple[Any, Any]:
        """The trial's training once more, from its seed: the outcome and the network."""
        import keras

        from cnnsearch import training

        chosen = self.chosen
        keras.utils.set_random_seed(chosen.seed)
        candidate = self.candidate(pretrained=True)
        data = training.fold(candidate, self.parts, len(self.dataset.classes))

        def go_on(epoch: int, metrics: dict[str, float]) -> bool:
            return epoch < chosen.epochs

        hp, metric = HyperParameters(replay(chosen.params)), self.study.info["metric"]
        trainer = spaces.trainer(self.space, self.known)
        outcome = training.train(candidate, trainer, hp, data, chosen.epochs, metric, go_on)
        return outcome, candidate.core


def _formats(card: Path) -> list[str]:
    """The suffixes of an earlier export's model files."""
    try:
        found: list[str] = json.loads(card.read_text("utf-8")).get("formats", [])
    except (OSError, ValueError, AttributeError):
        return []
    return found


def origin_of(study: Study, chosen: Record, plugins: tuple[Path, ...]) -> Origin:
    """What the trial was made of, its dataset read again.

    Raises:
        CnnsearchError: if the dataset is not what it was.
    """
    known = catalog.load(plugins)
    dataset = worker.load_dataset(known, spaces.Use(*study.info["dataset"]))
    if dataset.fingerprint != study.info["data"]["fingerprint"]:
        raise CnnsearchError(
            f"The dataset {dataset.name} has changed since study '{study.name}' was made: a test would mean nothing. "
            "Bring the old data back, or search anew with --study NAME."
        )
    space = spaces.Space.from_dict(study.info["space"])
    parts = split(dataset, study.info["seed"], space.defaults["validation"])
    return Origin(study, chosen, space, known, parts, dataset)


def _chosen(study: Study, number: int | None) -> Record:
    if number is not None:
        return trained(study, number)
    complete = [record for record in leaderboard.ranked(study) if record.state == "complete"]
    if not complete:
        raise StudyError(f"Study '{study.name}' has no complete trial to export yet.")
    return complete[0]


def trained(study: Study, number: int) -> Record:
    """The record of a trial that ended with a score.

    Raises:
        StudyError: if there is none of this number.
    """
    ranked = leaderboard.ranked(study)
    for record in ranked:
        if record.number == number and record.score is not None:
            return record
    trained = ", ".join(str(number) for number in sorted(r.number for r in ranked if r.score is not None))
    raise StudyError(f"Study '{study.name}' has no trained trial {number}; there are {trained or 'none'}.")


def _check_free(out: Path) -> None:
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    ours = FILES | {f"model.{suffix}" for suffix in _formats(out / MARK)}
    if names and (MARK not in names or not names <= ours):
        others = ", ".join(sorted(names - ours)[:3])
        raise CnnsearchError(
            f"{out} exists and is no earlier export, or holds other files too ({others}); "
            "name another folder with -o DIR."
        )


def _model(origin: Origin) -> Any:
    """The trained network in float32, from its checkpoint, or trained again from its plan and seed."""
    import keras

    from cnnsearch import models

    keras.config.set_dtype_policy("float32")
    path = _checkpoint(origin.study, origin.chosen)
    if path is None:
        return origin.train()[1]
    try:
        stored = models.open_(path, lambda: origin.candidate().core)
        if not origin.chosen.plan:
            return stored
        model = origin.candidate().core
        model.set_weights(stored.get_weights())
    except ValueError as error:
        number = origin.chosen.number
        raise StudyError(
            f"The model file of trial {number} does not fit its plan. Delete {path} to train the trial again."
        ) from error
    return model


def _checkpoint(study: Study, chosen: Record) -> Path | None:
    for path in (
        Path(chosen.checkpoint or "-"),
        study.folder / "checkpoints" / Path(chosen.checkpoint or "-").name,
    ):
        if path.is_file():
            return path
    return None


def _test(study: Study, chosen: Record, model: Any, parts: Split) -> list[dict[str, Any]]:
    """Every look at test so far, the one at this trial last; a trial that was measured is not measured again."""
    from cnnsearch import models

    looks = study.looks()
    again = [look for look in looks if look["trial"] == chosen.number]
    if again:
        return [*(look for look in looks if look["trial"] != chosen.number), {**again[0], "again": True}]
    found = cards.measure(models.predict(model, parts.x_test), parts.y_test)
    look = {"trial": chosen.number, "accuracy": found.accuracy, "loss": found.loss, "n": found.n}
    study.add_look(look)
    return [*looks, look]


def _check_score(study: Study, chosen: Record, found: cards.Measured) -> None:
    """A stored model must be the one that the trial was scored by.

    Raises:
        StudyError: if its validation accuracy is another one.
    """
    if study.info["metric"] != "val_accuracy" or chosen.score is None or _checkpoint(study, chosen) is None:
        return
    # mixed precision rounds a few images to the other side
    if abs(found.accuracy - chosen.score) > max(0.005, 2.5 / found.n):
        raise StudyError(
            f"The model file of trial {chosen.number} has a validation accuracy of {found.accuracy:.4f}, but the trial "
            f"was scored {chosen.score:.4f}: it is another's. Delete {chosen.checkpoint} to train the trial again."
        )


def log(study: Study, out: Path) -> str:
    """Log the export's small files to MLflow; gives back why not, where that fails: the files are there anyway."""
    from cnnsearch import mlflow_store

    try:
        mlflow_store.log_export(study, out)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    return ""


def _texts(study: Study, chosen: Record, space: spaces.Space, card: dict[str, Any]) -> dict[str, bytes]:
    board = leaderboard.rows(study)
    texts = {
        "leaderboard.csv": leaderboard.to_csv(board),
        "leaderboard.md": leaderboard.to_markdown(board),
        "labels.json": json.dumps(card["classes"], indent=1) + "\n",
        "card.md": cards.text(card),
        MARK: json.dumps(card, indent=1) + "\n",
        "space.toml": space_toml(space, study),
    }
    if chosen.plan:
        texts["plan.json"] = json.dumps(json.loads(chosen.plan), indent=1) + "\n"
    return {name: text.encode() for name, text in texts.items()}


def _pictures(chosen: Record, parts: Split, probabilities: NDArray[Any], classes: tuple[str, ...]) -> dict[str, bytes]:
    """Of validation, never of test: who looks at test's mistakes will tune for them."""
    from cnnsearch import pictures

    x, y = parts.x_val, parts.y_val
    figures = {
        "curves.png": pictures.curves(chosen),
        "confusion.png": pictures.confusion(y, probabilities, classes, f"validation, {len(y):,} images"),
        "mistakes.png": pictures.mistakes(x, y, probabilities, classes, "validation"),
        "samples.png": pictures.samples(parts.x, parts.y, classes, "training images"),
    }
    return {name: pictures.png(figure) for name, figure in figures.items()}


def _write(out: Path, model: Any, files: dict[str, bytes], images: Images, blank: Callable[[], Any]) -> None:
    """The model and all files into a folder beside `out`, which then takes its place: whole or not at all."""
    from cnnsearch import models

    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for suffix in models.formats(model):
            models.save(model, partial / f"model.{suffix}")
            _prove(model, partial / f"model.{suffix}", images, blank)
        for name, content in files.items():
            (partial / name).write_bytes(content)
        if out.exists():
            shutil.rmtree(out)
        partial.replace(out)
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another folder with -o DIR.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prove(model: Any, path: Path, images: Images, blank: Callable[[], Any]) -> None:
    """The written file must answer as the model does."""
    from cnnsearch import models

    worst = float(abs(models.predict(model, images) - models.opened(path, blank)(images)).max())
    if not worst < 1e-4:
        raise CnnsearchError(
            f"the written {path.name} differs from the trained one by {worst:.2g} on {len(images)} images; "
            "expected under 0.0001. Nothing was exported; a layer of the candidate keeps state or chance that a file "
            "does not hold."
        )


def space_toml(space: spaces.Space, study: Study) -> str:
    """The space as a file that `cnnsearch run --space FILE` takes."""
    name, given = study.info["dataset"]
    table: dict[str, Any] = {
        "description": space.description,
        "dataset": {"use": name, **given},
        **({"input_shape": list(space.input_shape)} if space.input_shape else {}),
        **({"model": space.model} if space.model else {}),
        **({"dimensions": [{"use": use.name, **use.options} for use in space.dimensions]} if space.dimensions else {}),
        "defaults": {**space.defaults, "epochs": study.info["epochs"], "metric": study.info["metric"]},
    }
    if space.trainer:
        table["trainer"] = {"use": space.trainer.name, **space.trainer.options}
    if space.recipes:
        table["recipes"] = space.recipes
    return tomli_w.dumps(table)
