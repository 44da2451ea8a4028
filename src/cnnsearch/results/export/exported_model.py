"""The model that an export writes: the model of a trial, an ensemble of several, or one trained on more images."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.results.export import ensemble, views
from cnnsearch.results.export.evaluation import Evaluation, evaluate
from cnnsearch.results.export.gain import Gain, compare
from cnnsearch.results.export.refit import refit
from cnnsearch.results.origin import Origin, Source, dtype_policy, trained_trial
from cnnsearch.study import ranking
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial


def select_trials(study: Study, number: int | None, count: int) -> list[Trial]:
    """The trial of this number; without a number the `count` best trials, or the best one if `count` is 0.

    Raises:
        StudyError: if there is no such trial, or fewer complete trials than `count`.
    """
    if number is not None:
        return [trained_trial(study, number)]
    complete = [record for record in ranking.ranked(study) if record.state == "complete"]
    if not complete:
        raise StudyError(f"Study '{study.name}' has no complete trial to export yet.")
    if len(complete) < count:
        raise StudyError(
            f"Study '{study.name}' has {len(complete)} complete trials, too few for --ensemble {count}. Name a smaller "
            "number, or continue the search."
        )
    return complete[: count or 1]


class ExportedModel(NamedTuple):
    """What is exported: one model, or several models that are averaged.

    Attributes:
        origins: the trial of each model and what it was trained with.
        models: the trained models.
        probabilities: the predictions for the validation images, before a refit, of shape (n, classes).
        gain: the gain of the ensemble over the best model, if an ensemble was asked for.
        views: the test-time views of each image that the model averages.
        views_gain: their gain over the model without them, if they were asked for.
        refit: whether the models were trained again on training and validation images together.
    """

    origins: list[Origin]
    models: list[Any]
    probabilities: NDArray[Any]
    gain: Gain | None = None
    refit: bool = False
    views: tuple[str, ...] = ()
    views_gain: Gain | None = None

    @property
    def numbers(self) -> list[int]:
        """The numbers of the trials, the best trial first."""
        return [origin.chosen.number for origin in self.origins]

    @property
    def name(self) -> str:
        """The name that identifies the model in its study, such as `7` or `7+3 refit`."""
        views = f" views {','.join(self.views)}" if self.views else ""
        return "+".join(map(str, self.numbers)) + views + (" refit" if self.refit else "")

    def model(self) -> Any:
        """The one model that is written."""
        if self.is_plain:
            return self.models[0]
        reads = {origin.chosen.number: origin.chosen.reads for origin in self.origins}
        classes = len(self.origins[0].dataset.classes)
        return ensemble.average(dict(zip(self.numbers, self.models, strict=True)), reads, classes, self.views)

    @property
    def is_plain(self) -> bool:
        """Whether it is the model of a trial as it was trained, and no mean."""
        return len(self.models) == 1 and not self.views

    @property
    def reads(self) -> str:
        """How the outputs of `model()` become probabilities (`heads.read`)."""
        return self.origins[0].chosen.reads if self.is_plain else ""


def exported_model(origin: Origin) -> ExportedModel:
    """The model of a trial and its predictions for the validation images.

    Raises:
        StudyError: if the stored model does not have the trial's validation accuracy.
    """
    model = trained_model(origin)
    probabilities = origin.predict(model, origin.parts.x_val)
    _check_score(origin, model, evaluate(probabilities, origin.parts.y_val))
    return ExportedModel([origin], [model], probabilities)


def with_ensemble(best: ExportedModel, others: list[Origin]) -> ExportedModel:
    """The ensemble of `best` and the other trials, if it is better on validation by more than chance; else `best`.

    Raises:
        CnnsearchError: if the models cannot be averaged.
    """
    import keras

    if not isinstance(best.models[0], keras.Model):
        raise CnnsearchError(
            f"--ensemble averages Keras models, and those of study '{best.origins[0].study.name}' are of another kind."
        )
    single = [best, *map(exported_model, others)]
    _check_averageable({each.numbers[0]: each.models[0] for each in single})
    probabilities: NDArray[Any] = np.mean([each.probabilities for each in single], axis=0)
    found = compare(probabilities, best.probabilities, best.origins[0].parts.y_val, len(single))
    if not found.better:
        return best._replace(gain=found)
    return ExportedModel([best.origins[0], *others], [each.models[0] for each in single], probabilities, found)


def with_views(model: ExportedModel, names: tuple[str, ...]) -> ExportedModel:
    """The mean over these test-time views, if it is better on validation by more than chance; else `model`.

    Raises:
        CnnsearchError: if the model cannot be part of another one.
    """
    import keras

    from cnnsearch.training import model_io

    if not all(isinstance(each, keras.Model) for each in model.models):
        raise CnnsearchError("--views needs a Keras model, and this one is of another kind.")
    _check_averageable(dict(zip(model.numbers, model.models, strict=True)), "--views")
    parts, averaged = model.origins[0].parts, model._replace(views=names)
    probabilities = model_io.predict(averaged.model(), parts.x_val, "", len(model.origins[0].dataset.classes))
    count = len(views.of_pixels(keras.Input(parts.x_val.shape[1:]), names))
    found = compare(probabilities, model.probabilities, parts.y_val, count)
    if not found.better:
        return model._replace(views_gain=found)
    return averaged._replace(probabilities=probabilities, views_gain=found)


def _check_averageable(models: dict[int, Any], option: str = "--ensemble") -> None:
    """Refuse models that cannot be part of another model; the keys are trial numbers.

    Raises:
        CnnsearchError: it names the trial.
    """
    from cnnsearch.training import heads

    for number, model in models.items():
        if not heads.outputs(model):
            raise CnnsearchError(
                f"{option} averages Sequential and Functional models, and the model of trial {number} has a class "
                f"of its own. Export the best model without {option}."
            )


def refitted(model: ExportedModel) -> ExportedModel:
    """The same models, trained again on training and validation images together."""
    return model._replace(models=[refit(origin) for origin in model.origins], refit=True)


def trained_model(origin: Origin) -> Any:
    """The trial's trained network in float32: from its checkpoint, or trained again from its plan and seed."""
    import keras

    path = origin.study.checkpoint(origin.chosen)
    if path is not None:
        return load_checkpoint(origin.source, path)
    keras.config.set_dtype_policy("float32")
    return origin.train()


def load_checkpoint(source: Source, path: Path) -> Any:
    """The trained network in float32, from the file of its checkpoint.

    Raises:
        StudyError: if the file does not fit the trial's plan.
    """
    import keras

    from cnnsearch.training import model_io

    keras.config.set_dtype_policy("float32")
    try:
        if not source.chosen.plan:
            return _load_hypermodel(source, path)
        stored = model_io.open_(path, lambda: source.candidate().core)
        model = source.candidate().core
        model.set_weights(stored.get_weights())
    except ValueError as error:
        number = source.chosen.number
        raise StudyError(
            f"The model file of trial {number} does not fit its plan. Delete {path} to train the trial again."
        ) from error
    return model


def _load_hypermodel(source: Source, path: Path) -> Any:
    """The model of a file. If Keras cannot open it, a newly built model with the weights of the file."""
    from cnnsearch.training import model_io

    try:
        return model_io.open_(path, lambda: source.candidate().core)
    # TypeError: Keras does not know a class of the author's
    except (TypeError, ValueError):
        if path.suffix != ".keras":
            raise
    model = source.candidate().core
    model_io.fill(model, path)
    return model


def _check_score(origin: Origin, model: Any, found: Evaluation) -> None:
    """Refuse a stored `model` that does not have the validation accuracy of its trial.

    In float32 a model predicts some images in another way than in the half precision that it was trained in. With
    1,000 images, that changed the accuracy by up to 0.8 points. So such a model is compared in its own precision.

    Raises:
        StudyError: it names the file.
    """
    from cnnsearch.training.heads import ABOUT_ZERO

    study, chosen = origin.study, origin.chosen
    expected, path = _stored_accuracy(study, chosen), study.checkpoint(chosen)
    if expected is None or path is None:
        return
    if _is_close(found, expected):
        return
    if origin.source.precision != "float32" and _is_close(_in_its_precision(origin, model), expected):
        return
    # An author's `fit` may end with other weights than those of the best epoch, and a metric may use another threshold.
    if not chosen.plan and (chosen.reads in ABOUT_ZERO or origin.candidate().fit is not None):
        return
    raise StudyError(
        f"The model file of trial {chosen.number} has a validation accuracy of {found.accuracy:.4f}, but the trial "
        f"had {expected:.4f}: it is the file of another trial. Delete {path} to train the trial again."
    )


def _is_close(found: Evaluation, expected: float) -> bool:
    # the order of additions changes the predictions of a few images
    return abs(found.accuracy - expected) <= max(0.005, 2.5 / found.n)


def _in_its_precision(origin: Origin, model: Any) -> Evaluation:
    """How good `model` is on the validation images in the precision that the trial was trained in."""
    with dtype_policy(origin.source.precision):
        network = origin.source.candidate().core
    network.set_weights(model.get_weights())
    return evaluate(origin.predict(network, origin.parts.x_val), origin.parts.y_val)


def _stored_accuracy(study: Study, chosen: Trial) -> float | None:
    """The validation accuracy of the trial's best epoch; plans report it in a search for any metric."""
    if study.info["metric"] == "val_accuracy" or chosen.score is None:
        return chosen.score
    best = chosen.history[chosen.best_epoch - 1] if chosen.plan and chosen.history else {}
    return best.get("val_accuracy")
