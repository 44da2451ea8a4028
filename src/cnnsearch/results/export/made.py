"""The model that an export writes: a trial's, several averaged, or trained again on more images."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.results.export import card as cards
from cnnsearch.results.export import ensemble
from cnnsearch.results.origin import Origin, Source, trained
from cnnsearch.study import ranking
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Record


def members(study: Study, number: int | None, count: int) -> list[Record]:
    """The trial of this number, or the best one, or the `count` best ones."""
    if number is not None:
        return [trained(study, number)]
    complete = [record for record in ranking.ranked(study) if record.state == "complete"]
    if not complete:
        raise StudyError(f"Study '{study.name}' has no complete trial to export yet.")
    if len(complete) < count:
        raise StudyError(
            f"Study '{study.name}' has {len(complete)} complete trials, too few for --ensemble {count}. Name a smaller "
            "number, or search on."
        )
    return complete[: count or 1]


class Made(NamedTuple):
    """What is exported: one model or several that are averaged, where they come from, and what they said of
    validation's images before a refit."""

    origins: list[Origin]
    models: list[Any]
    answers: NDArray[Any]
    compared: ensemble.Compared | None = None
    refit: bool = False

    @property
    def numbers(self) -> list[int]:
        """The trials' numbers, the best one's first."""
        return [origin.chosen.number for origin in self.origins]

    @property
    def name(self) -> str:
        """What tells it from every other model of its study, such as `7`, `7+3 refit`."""
        return "+".join(map(str, self.numbers)) + (" refit" if self.refit else "")

    def model(self) -> Any:
        """The one model that is written."""
        if len(self.models) == 1:
            return self.models[0]
        reads = {origin.chosen.number: origin.chosen.reads for origin in self.origins}
        classes = len(self.origins[0].dataset.classes)
        return ensemble.average(dict(zip(self.numbers, self.models, strict=True)), reads, classes)

    @property
    def reads(self) -> str:
        """How the answers of that model are read (`heads.read`)."""
        return self.origins[0].chosen.reads if len(self.models) == 1 else ""


def made_from(origin: Origin) -> Made:
    """The trial's model and what it says of validation, which must be what it was scored by."""
    model = model_of(origin)
    answers = origin.predict(model, origin.parts.x_val)
    _check_score(origin, cards.measure(answers, origin.parts.y_val))
    return Made([origin], [model], answers)


def averaged(best: Made, others: list[Origin]) -> Made:
    """The mean of `best` and the other trials, if that is better on validation by more than chance; else `best`."""
    import keras

    if not isinstance(best.models[0], keras.Model):
        raise CnnsearchError(
            f"--ensemble averages Keras models, and those of study '{best.origins[0].study.name}' are of another kind."
        )
    single = [best, *map(made_from, others)]
    _check_graphs({made.numbers[0]: made.models[0] for made in single})
    answers: NDArray[Any] = np.mean([made.answers for made in single], axis=0)
    compared = ensemble.compare(answers, best.answers, best.origins[0].parts.y_val, len(single))
    if not compared.better:
        return best._replace(compared=compared)
    return Made([best.origins[0], *others], [made.models[0] for made in single], answers, compared)


def _check_graphs(models: dict[int, Any]) -> None:
    """Refuse models, by the numbers of their trials, that cannot be asked inside another one.

    Raises:
        CnnsearchError: it names the trial.
    """
    from cnnsearch.training import heads

    for number, model in models.items():
        if not heads.outputs(model):
            raise CnnsearchError(
                f"--ensemble averages Sequential and Functional models, and that of trial {number} is of a class of "
                "its own. Export the best one alone, without --ensemble."
            )


def refitted(made: Made) -> Made:
    from cnnsearch.results.export.refit import refit

    return made._replace(models=[refit(origin) for origin in made.origins], refit=True)


def model_of(origin: Origin) -> Any:
    """The trained network in float32, from its checkpoint, or trained again from its plan and seed."""
    import keras

    path = origin.study.checkpoint(origin.chosen)
    if path is not None:
        return kept_model(origin.source, path)
    keras.config.set_dtype_policy("float32")
    return origin.train()[1]


def kept_model(origin: Source, path: Path) -> Any:
    """The trained network in float32, from the file of its checkpoint.

    Raises:
        StudyError: if the file does not fit.
    """
    import keras

    from cnnsearch.training import model_io as models

    keras.config.set_dtype_policy("float32")
    try:
        if not origin.chosen.plan:
            return _of_hypermodel(origin, path)
        stored = models.open_(path, lambda: origin.candidate().core)
        model = origin.candidate().core
        model.set_weights(stored.get_weights())
    except ValueError as error:
        number = origin.chosen.number
        raise StudyError(
            f"The model file of trial {number} does not fit its plan. Delete {path} to train the trial again."
        ) from error
    return model


def _of_hypermodel(origin: Source, path: Path) -> Any:
    """The model of a file; where Keras does not open it, the weights of the file in a model that is built anew."""
    from cnnsearch.training import model_io as models

    try:
        return models.open_(path, lambda: origin.candidate().core)
    # TypeError: Keras does not know a class of the author's
    except (TypeError, ValueError):
        if path.suffix != ".keras":
            raise
    model = origin.candidate().core
    models.fill(model, path)
    return model


def _check_score(origin: Origin, found: cards.Measured) -> None:
    """A stored model must be the one that the trial was scored by.

    Raises:
        StudyError: if its validation accuracy is another one.
    """
    study, chosen = origin.study, origin.chosen
    expected, path = _accuracy(study, chosen), study.checkpoint(chosen)
    if expected is None or path is None:
        return
    # mixed precision rounds a few images to the other side
    if abs(found.accuracy - expected) <= max(0.005, 2.5 / found.n):
        return
    # an author's `fit` may end with other weights than those of its best epoch, and a metric may decide elsewhere
    from cnnsearch.training.heads import ABOUT_ZERO

    if not chosen.plan and (chosen.reads in ABOUT_ZERO or origin.candidate().fit is not None):
        return
    raise StudyError(
        f"The model file of trial {chosen.number} has a validation accuracy of {found.accuracy:.4f}, but the trial "
        f"had {expected:.4f}: it is another's. Delete {path} to train the trial again."
    )


def _accuracy(study: Study, chosen: Record) -> float | None:
    """The validation accuracy of the trial's best epoch, which plans report in a search for any metric."""
    if study.info["metric"] == "val_accuracy" or chosen.score is None:
        return chosen.score
    best = chosen.history[chosen.best_epoch - 1] if chosen.plan and chosen.history else {}
    return best.get("val_accuracy")
