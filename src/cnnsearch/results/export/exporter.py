"""`cnnsearch export`: chooses the model, verifies its files, evaluates it on the test set once, and writes the card."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.results.export import card as cards
from cnnsearch.results.export import exported_model, formats, small_files
from cnnsearch.results.export.evaluation import evaluate, most_frequent_class
from cnnsearch.results.export.exported_model import ExportedModel
from cnnsearch.results.export.folder import MARK, check_free, replacing
from cnnsearch.results.origin import origin_of
from cnnsearch.study import mlflow_store
from cnnsearch.study.study import Study
from cnnsearch.training import device


class ExportOptions(NamedTuple):
    """How a model is exported.

    Attributes:
        formats: the names of the formats; empty for the model's own format.
        refit: whether it is trained again on training and validation images together.
        ensemble: average so many of the best models; 0 exports one model.
        views: average these test-time views of each image.
    """

    formats: tuple[str, ...] = ()
    refit: bool = False
    ensemble: int = 0
    views: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The options as words of the command."""
        named = f" --format {','.join(self.formats)}" if self.formats else ""
        averaged = f" --ensemble {self.ensemble}" if self.ensemble else ""
        views = f" --views {','.join(self.views)}" if self.views else ""
        return f"{averaged}{views}{named}{' --refit' if self.refit else ''}"


def export(
    study: Study, number: int | None, out: Path, plugins: tuple[Path, ...] = (), options: ExportOptions | None = None
) -> dict[str, Any]:
    """Write the best trial, or trial `number`, to the folder `out`; returns the card.

    The test set is used here and nowhere else. Each evaluation is recorded in the study, and a model is never
    evaluated twice.

    Raises:
        StudyError: if there is no such trial, or its model is lost and cannot be trained again.
        CnnsearchError: if `out` is not free, the data changed, or a written model predicts something else.
    """
    options = options or ExportOptions()
    members = exported_model.select_trials(study, number, options.ensemble)
    check_free(out)
    origins = [origin_of(study, members[0], plugins)]
    origins += [origins[0]._replace(chosen=member) for member in members[1:]]
    model = exported_model.exported_model(origins[0])
    forms = formats.usable_formats(options.formats, model.models[0], lambda: origins[0].candidate().core)
    if options.ensemble:
        model = exported_model.with_ensemble(model, origins[1:])
    if options.views:
        model = exported_model.with_views(model, options.views)
    if not model.is_plain:
        formats.check_whole(forms)
    if options.refit:
        model = exported_model.refitted(model)
    with replacing(out) as folder:
        _write(folder, study, model, forms, options)
        card: dict[str, Any] = json.loads((folder / MARK).read_text("utf-8"))
    return card


def log(study: Study, out: Path) -> str:
    """Log the export's small files to MLflow. Returns the reason if that fails; the export stays valid."""
    # the model was logged at the end of the search
    small = [path for path in sorted(out.iterdir()) if path.suffix in (".png", ".md", ".json")]
    return mlflow_store.try_to_log(study, small, "export")


def _write(
    folder: Path, study: Study, exported: ExportedModel, forms: list[formats.Format], options: ExportOptions
) -> None:
    """Write and verify the model in each format; only then evaluate it on the test set, and write all other files."""
    from cnnsearch.results.export import verification

    origin, model = exported.origins[0], exported.model()
    parts, classes = origin.parts, origin.dataset.classes
    measured = {}
    for form in forms:
        path = formats.write(form, model, folder, parts.x)
        reads = exported.reads, len(classes)
        measured[form.name] = verification.verify(form, path, model, parts.x_val, parts.y_val, *reads)
    if exported.is_plain:
        known = study.fact(f"measured:{origin.chosen.number}") or {}
        study.remember_fact(f"measured:{origin.chosen.number}", known | verification.stored_facts(measured))
    evaluations = _test_evaluations(study, exported, model)
    validation = evaluate(exported.probabilities, parts.y_val, str(study.info["metric"]))
    facts = {
        **_model_facts(exported, model),
        "majority": most_frequent_class(parts, classes),
        "formats": list(measured),
        "measured": measured,
        "use": {form.name: form.use for form in forms},
    }
    card = cards.card(study, origin.chosen, origin.dataset, validation, evaluations, facts, str(options))
    contents = small_files.texts(study, [each.chosen for each in exported.origins], origin.space, card)
    contents |= small_files.pictures(origin.chosen, parts, exported.probabilities, classes)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _test_evaluations(study: Study, exported: ExportedModel, model: Any) -> list[dict[str, Any]]:
    """Every evaluation on the test set so far, that of this model last. A known model is not evaluated again."""
    from cnnsearch.training import model_io

    known, parts, dataset = study.test_results(), exported.origins[0].parts, exported.origins[0].dataset
    others = [each for each in known if _evaluated_model(each) != exported.name]
    if len(others) < len(known):
        own = next(each for each in known if _evaluated_model(each) == exported.name)
        return [*others, {**own, "again": True}]
    probabilities = model_io.predict(model, parts.x_test, exported.reads, len(dataset.classes))
    found = evaluate(probabilities, parts.y_test, str(study.info["metric"]))
    facts = {"accuracy": found.accuracy, "loss": found.loss, "n": found.n, **found.more}
    made = {"members": exported.numbers, "views": list(exported.views)}
    own = {"trial": exported.numbers[0], "model": exported.name, **made, **facts}
    study.add_test_result(own)
    return [*known, own]


def _evaluated_model(evaluation: dict[str, Any]) -> str:
    """The name of the evaluated model; evaluations of earlier versions have only the trial's number."""
    return str(evaluation.get("model", evaluation["trial"]))


def _model_facts(exported: ExportedModel, model: Any) -> dict[str, Any]:
    """What the card says of the exported model itself."""
    from cnnsearch.training import model_io

    gain, views_gain = exported.gain, exported.views_gain
    facts = {
        "machine": device.described(),
        "refit": exported.refit,
        "reads": exported.reads,
        "outputs": int(model_io.answers(model, exported.origins[0].parts.x_val[:1]).shape[-1]),
        "members": exported.numbers,
        "ensemble": gain and {**gain._asdict(), "better": gain.better},
        "views": views_gain and {**views_gain._asdict(), "names": exported.views, "better": views_gain.better},
    }
    if len(exported.models) > 1:
        macs = sum(origin.chosen.macs for origin in exported.origins)
        facts |= {"params": model.count_params(), "macs": macs}
    return facts
