"""The study of a tuner, and the search that fills it."""

import contextlib
import inspect
import numbers
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from cnnsearch import api
from cnnsearch.core.errors import CnnsearchError, StudyError, error_line, nearest
from cnnsearch.keras_tuner import tf_data, training
from cnnsearch.spaces.data_files import DataFiles
from cnnsearch.study import deletion, listing
from cnnsearch.study.config import study_folder

GIVEN = (
    *("space", "dataset", "validation_data", "test_data", "trials", "study", "epochs", "sampler", "seed", "metric"),
    *("direction", "objective", "set", "image_size", "skip_unreadable", "group_by", "max_params", "max_macs"),
    *("max_latency", "compiled", "recipe", "recipes", "default", "space_from_study", "runs", "prior", "weights"),
)
"""Keywords of `search` that the arguments of the tuner give."""

FIT = ("x", "y", "batch_size", "epochs")
"""The first parameters of Keras' `fit`."""

NEW_STUDY = "project_name=NAME, or overwrite=True"
"""How a tuner begins another study."""

BATCH_SIZE = 32
"""Keras' default."""


def checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """More options of the search.

    Raises:
        ValueError: if neither KerasTuner nor `cnnsearch.search` has one.
    """
    known = [name for name in inspect.signature(api.search).parameters if name not in GIVEN]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"Unrecognized arguments {unknown} for the tuner.{nearest(unknown[0], known)}")
    return options


def folder(tuner: Any) -> Path:
    """The study's folder."""
    return study_folder(Path(tuner.directory), tuner.project_name, str(tuner.options.get("storage", "")))


def result(tuner: Any) -> Any:
    """The study as a Result.

    Raises:
        StudyError: if there is none yet.
    """
    return api.load(tuner.project_name, **place(tuner))


def delete(tuner: Any) -> None:
    """Delete the study, if there is one, and the folders of its trials. Its runs in MLflow stay.

    Raises:
        StudyError: if another run works on it.
    """
    where, exists = place(tuner), False
    # there is none, or it is one of a newer version, as the search will say
    with contextlib.suppress(StudyError):
        listing.load(tuner.project_name, **where)
        exists = True
    if exists:
        deletion.delete(deletion.find(tuner.project_name, where["runs"], where["storage"], mlflow=False), **where)
    for path in folder(tuner).glob("trial_*"):
        shutil.rmtree(path, ignore_errors=True)


def place(tuner: Any) -> dict[str, Any]:
    """Where the study is, as `runs` and `storage`."""
    return {"runs": Path(tuner.directory), "storage": str(tuner.options.get("storage", ""))}


def search(tuner: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Train the missing trials of the study.

    Raises:
        CnnsearchError: for a mistake that the user can correct.
        RuntimeError: if too many trials in a row failed.
    """
    oracle, resumable = tuner.oracle, _is_resumable(tuner)
    known = _by_name(tuner, given, named)
    named = _with_epochs(oracle, known, named)
    own = _training(tuner, given, named, resumable)
    options = {
        **oracle.search_options(resumable),
        "study": tuner.project_name,
        "runs": str(tuner.directory),
        "seed": _seed(tuner),
        "metric": oracle.objective.name,
        "direction": {"max": "maximize", "min": "minimize"}[oracle.objective.direction],
        "precision": keras.config.dtype_policy().name,
        "quiet": named.get("verbose") == 0,
        **({"epochs": epochs} if (epochs := _epochs({**known, **named}, tuner)) else {}),
        **tuner.options,
    }
    try:
        api.search(own, **options)
    except CnnsearchError as error:
        raise _as_keras_tuner(error) from None


def _seed(tuner: Any) -> int:
    """The seed of the search; that of the study if a new start of the script may have drawn another one."""
    if tuner.oracle.may_have_drawn_seed:
        with contextlib.suppress(StudyError):
            return int(listing.load(tuner.project_name, **place(tuner)).info["seed"])
    return int(tuner.oracle.seed)


def _as_keras_tuner(error: CnnsearchError) -> Exception:
    """An error as KerasTuner raises it, if it has such an error."""
    text = error.message.removeprefix("The search stopped: ")
    kind, colon, rest = text.partition(": ")
    fatal: Any = getattr(keras_tuner.errors, kind, None) if colon else None
    if isinstance(fatal, type) and issubclass(fatal, keras_tuner.errors.FatalError):
        made: Exception = fatal(rest)
        return made
    if isinstance(error, StudyError):
        hint = "To resume with the earlier function, pass space_from_study=True. "
        text = text.replace("--study NAME", NEW_STUDY).replace("study=NAME", NEW_STUDY).replace(hint, "")
        return StudyError(text)
    if " trials in a row failed" in text:
        return RuntimeError(f"Number of consecutive failures exceeded the limit: {text}")
    return error


def _is_resumable(tuner: Any) -> bool:
    """Whether Keras' own `fit` trains the models, so that a training can be paused and resumed."""
    base = _base(tuner)
    own = (type(tuner).run_trial is base.run_trial, type(tuner)._build_and_fit_model is base._build_and_fit_model)
    fit = getattr(type(tuner.hypermodel), "fit", None) is keras_tuner.HyperModel.fit
    return all(own) and fit and tuner.executions_per_trial == 1


def _base(tuner: Any) -> Any:
    """The class of this package that a tuner is of."""
    return next(kind for kind in type(tuner).__mro__ if kind.__module__.startswith("cnnsearch.keras_tuner."))


def _by_name(tuner: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `search` by the names that their receiver gives them: an own `run_trial` or `fit`, else Keras'.

    Those that have no name there have their number.
    """
    fit = getattr(type(tuner.hypermodel), "fit", None)
    names: list[str]
    if type(tuner).run_trial is not _base(tuner).run_trial:
        names = _positional(type(tuner).run_trial)[2:]
    elif fit is not None and fit is not keras_tuner.HyperModel.fit:
        names = _positional(fit)[3:]
    else:
        names = list(FIT)
    names += [str(number) for number in range(len(names), len(given))]
    return {**dict(zip(names, given, strict=False)), **named}


def _positional(function: Any) -> list[str]:
    """The names of a function's positional parameters."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, each in inspect.signature(function).parameters.items() if each.kind in kinds]


def _with_epochs(oracle: Any, known: Mapping[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """`named` with the epochs of Hyperband, which says how many a trial has."""
    most = getattr(oracle, "max_epochs", None)
    return named if most is None or ("epochs" in known and "epochs" not in named) else {**named, "epochs": most}


def _epochs(known: Mapping[str, Any], tuner: Any) -> int:
    """The epochs of a trial; 0 if they are not known."""
    given = known.get("epochs")
    if given is None and not _is_resumable(tuner):
        return 0
    return int(given or 1)


def _training(tuner: Any, given: tuple[Any, ...], named: dict[str, Any], resumable: bool) -> Any:
    """What the workers run: the tuner with the arguments of `search`.

    Raises:
        CnnsearchError: if an argument cannot be sent to the workers.
    """
    files = DataFiles(tf_data.reduced)
    try:
        arguments = files.dumps((given, named))
    # pickle raises errors of many types
    except Exception as error:
        raise CnnsearchError(
            f"An argument of search() cannot be sent to the worker processes ({error_line(error)}). Give arrays, a "
            "tf.data.Dataset made of TensorFlow's operations, a keras.utils.PyDataset, or a new generator."
        ) from error
    own = training.TunerTraining(tuner, arguments, folder(tuner).resolve(), resumable)
    known = _by_name(tuner, given, named)
    own.batch_size = _batch_size(known)
    own.images = _images(given, named, own.batch_size)
    own.settings = {
        "failures": tuner.oracle.max_consecutive_failed_trials,
        "factor": getattr(tuner.oracle, "factor", 0),
    }
    own.digests = _digests(known)
    own.files = files
    return own


def _batch_size(known: Mapping[str, Any]) -> int:
    given = known.get("batch_size")
    # an argument of an own function may have this name and another meaning
    return int(given) if isinstance(given, numbers.Integral) and given else BATCH_SIZE


def _images(given: tuple[Any, ...], named: Mapping[str, Any], batch_size: int) -> int:
    """How many examples a trial trains on in an epoch; 0 if not known."""
    x = given[0] if given else named.get("x")
    if named.get("steps_per_epoch"):
        return int(named["steps_per_epoch"]) * batch_size
    first: Any = next(iter(x.values()), None) if isinstance(x, dict) else x
    first = first[0] if isinstance(first, list | tuple) and first else first
    shape = getattr(first, "shape", None)
    if shape is not None and len(shape):
        return round(int(shape[0]) * (1 - float(named.get("validation_split") or 0)))
    try:
        # a dataset has the length of its batches
        return len(first) * batch_size
    except TypeError:
        return 0


def _digests(known: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each array among the arguments, by its name. Other data are compared by their form alone."""
    left_out = ("callbacks", "verbose", "epochs", "batch_size")
    return {name: tf_data.digest(value) for name, value in known.items() if name not in left_out}
