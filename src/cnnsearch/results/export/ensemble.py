"""Several models, or one model for several views of an image, as one model that returns the mean."""

from typing import Any

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results.export import views


def average(
    models: dict[int, Any], reads: dict[int, str] | None = None, classes: int = 0, names: tuple[str, ...] = ()
) -> Any:
    """One Keras model that returns the mean of the probabilities of `models`, whose keys are trial numbers.

    Args:
        reads: how the outputs of each become probabilities (`heads.read`).
        classes: the number of columns of the mean; 0: as many as the models have outputs.
        names: the test-time views; each model gets all of them.

    Raises:
        CnnsearchError: if a model has more outputs than there are classes, or cannot be part of another model.
    """
    import keras

    members = list(models.values())
    pixels = keras.Input(members[0].input_shape[1:], dtype="float32", name="pixels")
    for number, member in models.items():
        # the layers of a model need different names, and two models of one hypermodel have the same name
        member.name = f"trial_{number}"
    outputs = [
        _probabilities(member(view), (reads or {}).get(number, ""), classes)
        for view in views.of_pixels(pixels, names)
        for number, member in models.items()
    ]
    mean = keras.layers.Average(name="probabilities")(outputs)
    return keras.Model(pixels, mean, name="ensemble")


def _probabilities(outputs: Any, reads: str, classes: int) -> Any:
    """The symbolic outputs of a member as probabilities (n, classes), with layers that every format supports."""
    from keras import layers, ops

    if reads in ("softmax logits", "sigmoid logits"):
        outputs = layers.Activation(reads.removesuffix(" logits"))(outputs)
    elif reads == "sign":
        outputs = layers.Rescaling(0.5, 0.5)(outputs)
    if outputs.shape[-1] == 1:
        return layers.Concatenate()([layers.Rescaling(-1.0, 1.0)(outputs), outputs])
    if classes and outputs.shape[-1] != classes:
        found = f"a model has {outputs.shape[-1]} outputs for {classes} classes"
        raise CnnsearchError(
            f"--ensemble and --views average models with one output for each class, and {found}. Export the best model "
            "alone."
        )
    if reads in ("sigmoid", "sigmoid logits", "sign"):
        # as `heads.read` does: these outputs do not sum to 1
        outputs = ops.maximum(outputs, 1e-12)
        outputs = ops.divide(outputs, ops.sum(outputs, axis=-1, keepdims=True))
    return outputs
