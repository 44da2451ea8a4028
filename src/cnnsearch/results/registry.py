"""MLflow's model registry: an export becomes a version of a registered model; the best version is its champion."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError, error_line
from cnnsearch.core.metrics import COMPUTED
from cnnsearch.study import mlflow_store as store
from cnnsearch.study.mlflow_models import needs, signature, versions_known
from cnnsearch.study.study import Study

SAME = ("cnnsearch.data_fingerprint", "cnnsearch.split_seed", "cnnsearch.validation_share")
"""Two versions are compared only if these tags are equal: they have the same validation images."""
ACCURACY = "cnnsearch.val_accuracy"
METRIC = "cnnsearch.metric"
"""The tag with the metric of the search, if that is one of `metrics.COMPUTED`. Versions are then compared by it instead
of accuracy."""


class Registered(NamedTuple):
    """A version of the registered model `name`; `why` is the reason for its alias, `champion` or `challenger`."""

    name: str
    version: str
    alias: str
    why: str

    def __str__(self) -> str:
        return f"version {self.version} of {self.name} in MLflow's registry, {self.alias}: {self.why}"


def check_name(name: str) -> None:
    """Refuse a name that MLflow or `models:/NAME@champion` does not accept.

    Raises:
        CnnsearchError: it says which characters are allowed.
    """
    if not re.fullmatch(r"[\w.-]{1,200}", name) or not name.strip("."):
        raise CnnsearchError(f"--register '{name}': expected letters, digits, '_', '-' and '.', such as digits.")


def check_formats(names: tuple[str, ...]) -> None:
    """Refuse a selection of formats if MLflow can serve none of them. Called before anything is trained or written.

    Raises:
        CnnsearchError: it names the formats that MLflow can serve.
    """
    if names and not {"keras", "onnx"} & set(names):
        raise CnnsearchError(f"--register: MLflow serves keras and onnx; --format names only {', '.join(names)}.")


def register(study: Study, folder: Path, name: str) -> Registered:
    """Make the export in `folder` a version of `name`; it becomes the champion if it is better than the present one.

    Raises:
        CnnsearchError: if MLflow cannot serve the model's format, or the store fails.
    """
    try:
        return _register(study, folder, name)
    except CnnsearchError:
        raise
    except Exception as error:
        raise CnnsearchError(
            f"Exported to {folder}/, but not registered: {error_line(error)}. "
            "Repair the MLflow store, or name another with MLFLOW_TRACKING_URI, and run the command again."
        ) from error


def verdict(mine: dict[str, str], champion: Any) -> tuple[bool, str]:
    """Whether a version with the tags `mine` becomes the champion, and why; `champion` is the present one or None."""
    if champion is None:
        return True, "the first"
    theirs, version = champion.tags, champion.version
    if any(theirs.get(key) != mine[key] for key in SAME) or not _is_share(theirs.get(ACCURACY)):
        measured = ", ".join(f"{key.partition('.')[2]} {theirs.get(key)} and here {mine[key]}" for key in SAME)
        return False, f"version {version} was measured on other validation data, so they are not compared ({measured})"
    searched = [tags.get(METRIC, "val_accuracy") for tags in (mine, theirs)]
    if searched[0] != searched[1]:
        metrics = f"the search of version {version} optimized {searched[1]}, and this one {searched[0]}"
        return False, f"{metrics}, so they are not compared"
    new, old = (float(tags[f"cnnsearch.{searched[0]}"]) for tags in (mine, theirs))
    against = f"{new:.4f} on validation, against {old:.4f} of version {version}"
    return new > old, against if new > old else f"{against}, which is not lower"


def _register(study: Study, folder: Path, name: str) -> Registered:
    card = json.loads((folder / "card.json").read_text("utf-8"))
    client, uri = _store(study)
    mine, champion = _tags(study, card), _champion(client, name)
    version = _version(client, uri, study, folder, card, name, mine)
    better, why = verdict(mine, champion)
    if champion is not None and card.get("refit"):
        better, why = (
            False,
            f"it was trained on the validation images too, so it is not compared with version {champion.version}",
        )
    alias = "champion" if better else "challenger"
    client.set_registered_model_alias(name, alias, version)
    if champion is not None and "not compared" in why:
        why += f". To promote it: {_promotion(name, version)}"
    return Registered(name, version, alias, why)


def _store(study: Study) -> tuple[Any, str]:
    """The MLflow store with the study's run, and its address; the configured store if no store has the run."""
    try:
        client, uri, _ = store.parent_run(study)
    except CnnsearchError:
        uri = store.tracking_uri()
        store.check_usable(uri)
        client = store.connect(uri)
    return client, uri


def _tags(study: Study, card: dict[str, Any]) -> dict[str, str]:
    """The tags of a version: its study and trial, its scores, and its validation data."""
    return {
        "cnnsearch.study": study.name,
        "cnnsearch.trial": str(card["trial"]),
        "cnnsearch.versions": ", ".join(f"{name} {number}" for name, number in card["versions"].items()),
        ACCURACY: str(card["validation"]["accuracy"]),
        **_searched(card),
        "cnnsearch.val_images": str(card["validation"]["n"]),
        **dict(zip(SAME, map(str, (study.info["data"]["fingerprint"], card["seed"], _share(study))), strict=True)),
    }


def _searched(card: dict[str, Any]) -> dict[str, str]:
    """The tags of the search's metric, if the card has it in addition to accuracy."""
    metric = str(card["metric"])
    value = card["validation"].get(metric.removeprefix("val_"))
    return {METRIC: metric, f"cnnsearch.{metric}": str(value)} if metric in COMPUTED and value is not None else {}


def _share(study: Study) -> float:
    return round(float(study.info["space"]["defaults"]["validation"]), 6)


def _champion(client: Any, name: str) -> Any:
    """The present champion, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, "champion")
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _version(
    client: Any, uri: str, study: Study, folder: Path, card: dict[str, Any], name: str, tags: dict[str, str]
) -> str:
    """Log the exported model in the study's experiment and register it; returns the number of the new version."""
    import mlflow
    from mlflow.models import Model

    flavor, model = _model(folder, card)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=store.experiment(client, f"cnnsearch/{study.info['space']['name']}", uri))
    classes = card["classes"]
    with versions_known():
        logged = Model.log(
            artifact_path=None,
            name=name,
            flavor=flavor,
            run_id=_run(client, study),
            signature=signature(card["input_shape"], card.get("outputs") or len(classes)),
            metadata={"classes": classes},
            **model,
        )
    return str(mlflow.register_model(logged.model_uri, name, tags=tags).version)


def _model(folder: Path, card: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """MLflow's flavor for the exported model, and the arguments of its `log_model`.

    Raises:
        CnnsearchError: if MLflow has no flavor for the export's formats.
    """
    if "keras" in card["formats"]:
        import keras
        import mlflow.keras

        model = keras.saving.load_model(folder / "model.keras", compile=False)
        return mlflow.keras, {
            "model": model,
            "pip_requirements": needs("keras", card["versions"]["backend"]),
        }
    if "onnx" in card["formats"]:
        import mlflow.onnx
        import onnx

        graph = onnx.load(folder / "model.onnx")
        return mlflow.onnx, {"onnx_model": graph, "pip_requirements": needs("onnx", "onnxruntime")}
    raise CnnsearchError(
        f"Exported to {folder}/, but not registered: MLflow serves model.keras and model.onnx, and the export has "
        f"only {', '.join(card['formats'])}."
    )


def _run(client: Any, study: Study) -> str | None:
    """The id of the study's run in MLflow, if it still exists."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_run(study.fact("mlflow")["run_id"]).info.run_id)
    except (MlflowException, TypeError):
        return None


def _is_share(text: str | None) -> bool:
    try:
        return 0 <= float(text or "") <= 1
    except ValueError:
        return False


def _promotion(name: str, version: str) -> str:
    code = f"import mlflow; mlflow.MlflowClient().set_registered_model_alias('{name}', 'champion', {version})"
    return f'python -c "{code}"'
