"""The winner as files: a model proved in each format's own runtime, its card, plan, space, labels and leaderboard."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results.export import card as cards
from cnnsearch.results.export import files as export_files
from cnnsearch.results.export import formats
from cnnsearch.results.export import made as making
from cnnsearch.results.export.made import Made
from cnnsearch.results.origin import origin_of
from cnnsearch.study.study import Study
from cnnsearch.training import device

MARK = "card.json"
FILES = {
    *("plan.json", "space.toml", "labels.json", "leaderboard.csv", "leaderboard.md", "card.md", MARK),
    *("curves.png", "confusion.png", "mistakes.png", "samples.png"),
}
"""What an export writes, model files aside, and so what the next one may replace."""


class Asked(NamedTuple):
    """How a model is exported: in which formats (none: its own), trained again on all images but test's, or as the
    mean of the `ensemble` best ones (0: the best alone)."""

    formats: tuple[str, ...] = ()
    refit: bool = False
    ensemble: int = 0

    def __str__(self) -> str:
        """As options of the command."""
        named = f" --format {','.join(self.formats)}" if self.formats else ""
        averaged = f" --ensemble {self.ensemble}" if self.ensemble else ""
        return f"{averaged}{named}{' --refit' if self.refit else ''}"


def export(
    study: Study, number: int | None, out: Path, plugins: tuple[Path, ...] = (), asked: Asked | None = None
) -> dict[str, Any]:
    """Write the best trial, or trial `number`, to the folder `out`; gives back the card.

    Test is looked at here and nowhere else; each look is recorded in the study, and the same model is never
    measured twice.

    Raises:
        StudyError: if there is no such trial, or its model is gone and cannot be trained again.
        CnnsearchError: if `out` is not free, the data changed, or a written model does not answer the same.
    """
    asked = asked or Asked()
    members = making.members(study, number, asked.ensemble)
    _check_free(out)
    origins = [origin_of(study, members[0], plugins)]
    origins += [origins[0]._replace(chosen=member) for member in members[1:]]
    best = making.made_from(origins[0])
    forms = formats.usable(asked.formats, best.models[0], lambda: origins[0].candidate().core)
    made = making.averaged(best, origins[1:]) if asked.ensemble else best
    made = making.refitted(made) if asked.refit else made
    with _whole(out) as folder:
        _write(folder, study, made, forms, asked)
        card: dict[str, Any] = json.loads((folder / MARK).read_text("utf-8"))
    return card


def _check_free(out: Path) -> None:
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    ours = FILES | _model_files(out / MARK)
    if names and (MARK not in names or not names <= ours):
        others = ", ".join(sorted(names - ours)[:3])
        raise CnnsearchError(
            f"{out} exists and is no earlier export, or holds other files too ({others}); "
            "name another folder with -o DIR."
        )


def _model_files(card: Path) -> set[str]:
    """The names of an earlier export's models."""
    try:
        written: list[str] = json.loads(card.read_text("utf-8")).get("formats", [])
        return {formats.KNOWN[name].file if name in formats.KNOWN else f"model.{name}" for name in written}
    except (OSError, ValueError, AttributeError, TypeError):
        return set()


def _test(study: Study, made: Made, model: Any) -> list[dict[str, Any]]:
    """Every look at test so far, the one at this model last; one that was measured is not measured again."""
    from cnnsearch.training import model_io

    looks, parts, dataset = study.looks(), made.origins[0].parts, made.origins[0].dataset
    again = [look for look in looks if _seen(look) == made.name]
    if again:
        return [*(look for look in looks if _seen(look) != made.name), {**again[0], "again": True}]
    answers = model_io.predict(model, parts.x_test, made.reads, len(dataset.classes))
    found = cards.measure(answers, parts.y_test, str(study.info["metric"]))
    facts = {"accuracy": found.accuracy, "loss": found.loss, "n": found.n, **found.more}
    look = {"trial": made.numbers[0], "model": made.name, **facts}
    study.add_look(look)
    return [*looks, look]


def _seen(look: dict[str, Any]) -> str:
    """Which model a look was at; those of earlier versions name the trial alone."""
    return str(look.get("model", look["trial"]))


def log(study: Study, out: Path) -> str:
    """Log the export's small files to MLflow; gives back why not, where that fails: the files are there anyway."""
    from cnnsearch.study import mlflow_store

    try:
        mlflow_store.log_export(study, out)
    except CnnsearchError as error:
        return error.message
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    return ""


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` to be filled, which then takes its place: whole or not at all."""
    folder = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        # a training may have taken hours since this was looked at
        _check_free(out)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    except OSError as error:
        raise CnnsearchError(f"{out} cannot be written ({error.strerror}); name another folder with -o DIR.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, study: Study, made: Made, forms: list[formats.Format], asked: Asked) -> None:
    """The model in each format, proved; only then test is looked at, and the rest is written."""
    from cnnsearch.results.export import proof

    origin, model = made.origins[0], made.model()
    parts, measured = origin.parts, {}
    for form in forms:
        path = formats.write(form, model, folder, parts.x)
        how = made.reads, len(origin.dataset.classes)
        measured[form.name] = proof.prove(form, path, model, parts.x_val, parts.y_val, *how)
    if len(made.origins) == 1:
        known = study.fact(f"measured:{origin.chosen.number}") or {}
        study.remember_fact(f"measured:{origin.chosen.number}", known | proof.brief(measured))
    looks = _test(study, made, model)
    validation = cards.measure(made.answers, parts.y_val, str(study.info["metric"]))
    facts = {**_facts(made, model), "majority": cards.most_frequent(parts, origin.dataset.classes)}
    facts |= {"formats": list(measured), "measured": measured}
    facts["use"] = {form.name: form.use for form in forms}
    card = cards.card(study, origin.chosen, origin.dataset, validation, looks, facts, str(asked))
    members = [each.chosen for each in made.origins]
    small = export_files.texts(study, members, origin.space, card)
    small |= export_files.drawn(origin.chosen, parts, made.answers, origin.dataset.classes)
    for name, content in small.items():
        (folder / name).write_bytes(content)


def _facts(made: Made, model: Any) -> dict[str, Any]:
    """What the card says of the model that was made."""
    from cnnsearch.training import model_io

    several = len(made.models) > 1
    compared = made.compared
    return {
        "machine": device.described(),
        "refit": made.refit,
        "reads": made.reads,
        "outputs": int(model_io.answers(model, made.origins[0].parts.x_val[:1]).shape[-1]),
        "members": made.numbers,
        "ensemble": compared and {**compared._asdict(), "better": compared.better},
        **({"params": model.count_params(), "macs": sum(o.chosen.macs for o in made.origins)} if several else {}),
    }
