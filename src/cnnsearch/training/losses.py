"""What the loss of a compiled Keras model is: its name, and whether it takes logits."""

import functools
from typing import Any

from cnnsearch.core.errors import TrialFailure

INTEGER = ("sparse_categorical_crossentropy",)

HINGE = ("hinge", "squared_hinge", "categorical_hinge")

SOFTMAX = (*INTEGER, "categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence")

SIGMOID = ("binary_crossentropy", "binary_focal_crossentropy")


def single_loss(loss: Any) -> Any:
    """The one loss that `compile` got: a name, an object, a class or a function, possibly in a list or dict.

    Raises:
        TrialFailure: `invalid`, if there are several losses.
    """
    import keras

    if isinstance(loss, dict) and "class_name" in loss:
        return keras.losses.get(loss)
    if isinstance(loss, dict | list | tuple):
        inside = [each for each in (loss.values() if isinstance(loss, dict) else loss) if each is not None]
        if len(inside) != 1:
            raise TrialFailure("invalid", f"the model is compiled with {len(inside)} losses; expected one")
        return single_loss(inside[0])
    if isinstance(loss, str):
        return loss if loss.lower() in ("crossentropy", "ce") else keras.losses.get(loss)
    return loss() if isinstance(loss, type) else loss


def loss_name(loss: Any) -> str:
    """Keras' name for one of its own losses; empty for a loss of an author."""
    if isinstance(loss, functools.partial):
        return loss_name(loss.func)
    if isinstance(loss, str):
        return loss
    import keras

    kind = loss if not isinstance(loss, keras.losses.Loss) else getattr(loss, "fn", type(loss))
    if not str(getattr(kind, "__module__", "")).startswith("keras."):
        return ""
    # an object without a function, such as one of a subclass, has the author's class
    return str(getattr(kind, "__name__", ""))


def takes_logits(loss: Any) -> bool:
    """Whether a loss expects logits."""
    if isinstance(loss, functools.partial):
        return bool(loss.keywords.get("from_logits")) or takes_logits(loss.func)
    kept = getattr(loss, "_fn_kwargs", {})
    return bool(getattr(loss, "from_logits", False) or kept.get("from_logits", False))
