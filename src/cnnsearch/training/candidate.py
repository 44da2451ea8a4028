"""A candidate: a compiled model and what is needed to train it, made from a plan or by a hypermodel."""

import math
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import TrialFailure
from cnnsearch.data.dataset import Images
from cnnsearch.spaces.plan import Plan
from cnnsearch.training import heads, model_io
from cnnsearch.training.lazy_keras import is_model


class Candidate(NamedTuple):
    """A model to train, the network in it that is saved, and what is known about it.

    Attributes:
        model: the model that is trained.
        core: the network in it that is saved.
        labels: the form of its labels, one of `label_forms.FORMS`.
        units: the number of columns of its labels; 0: as many as classes.
        reads: how the network's answers are read, as `heads.read` takes it.
        compiled: whether it may be trained by compiled epochs.
        class_weight: how much the images of a class count in its loss, as `Plan.class_weight`.
    """

    model: Any
    core: Any
    batch_size: int
    callbacks: list[Any]
    labels: str
    fit: Any = None
    compiled: bool = False
    class_weight: str = "none"
    units: int = 0
    reads: str = "softmax"


def from_plan(plan: Plan, images: int, by_epochs: bool = True, passes: int = 0, x: Images | None = None) -> Candidate:
    """The candidate that `plan` describes, compiled for a training set of that many images.

    Args:
        by_epochs: whether an epoch may be one compiled program; else it is always Keras' `fit`.
        passes: a schedule is scaled to so many passes over the images; 0: to the plan's epochs.
        x: the training images; a plan may compute first weights from them. None if its weights are loaded afterwards.
    """
    from cnnsearch.training import build

    core = build.core(plan)
    build.set_initial_weights(plan, core, x)
    model = build.training_model(plan, core)
    steps = math.ceil(images / plan.batch_size)
    build.compile_(model, plan, steps * passes / plan.epochs if passes else steps)
    callbacks = [*build.part_callbacks(model), *build.callbacks(plan)]
    made = Candidate(model, core, plan.batch_size, callbacks, "onehot")
    return made._replace(compiled=by_epochs, class_weight=plan.class_weight)


def from_hypermodel(
    hypermodel: Any, hp: Any, batch_size: int, shape: tuple[int, ...] = (), classes: int = 0
) -> Candidate:
    """The candidate that a `build(hp)` function or a HyperModel makes, with its own `fit` if it has one.

    An attribute `labels` of the function or HyperModel names the form of its labels (`label_forms.FORMS`), if the loss
    does not determine it.

    Args:
        shape: a model without an input is built for images of this shape.
        classes: the number of classes; 0: as many as the model has outputs.

    Raises:
        TrialFailure: if it is neither a compiled Keras model nor a `model_io.Classifier`, or does not fit the data.
    """
    model = hypermodel.build(hp) if hasattr(hypermodel, "build") else hypermodel(hp)
    own_fit, asked = getattr(hypermodel, "fit", None), str(getattr(hypermodel, "labels", None) or "")
    if not is_model(model):
        lacking = model_io.missing(model)
        if lacking:
            reason = f"the hypermodel returned {type(model).__name__}; expected a compiled Keras model"
            raise TrialFailure("invalid", f"{reason}, or a classifier with {', '.join(lacking)} too")
        return Candidate(model, model, batch_size, [], asked or "integer", own_fit)
    if not model.compiled:
        reason = "the hypermodel returned a model that is not compiled; expected a compiled Keras model"
        raise TrialFailure("invalid", reason)
    if shape and not model.built:
        _build(model, shape)
    from cnnsearch.training import head_metrics

    found = heads.head(model, shape, classes, asked)
    head_metrics.adapt_metrics(model, found)
    core = model_io.plain_output(model)
    return Candidate(model, core, batch_size, [], found.labels, own_fit, units=found.units, reads=found.reads)


def _build(model: Any, shape: tuple[int, ...]) -> None:
    """Create the weights of a model without an input."""
    import keras

    if isinstance(model, keras.Sequential):
        model.build((None, *shape))
    else:
        # Keras warns of layers that `build` does not reach
        model(np.zeros((1, *shape), "float32"), training=False)
