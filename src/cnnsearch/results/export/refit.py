"""The chosen trial trained once more, on training and validation images together."""

from pathlib import Path
from typing import Any

import numpy as np

from cnnsearch.core.errors import StudyError
from cnnsearch.data import image_cache as kept
from cnnsearch.data.splits import Split
from cnnsearch.results.origin import Origin
from cnnsearch.spaces import space
from cnnsearch.spaces.hyperparameters import HyperParameters, replay


def refit(origin: Origin) -> Any:
    """The network of `origin`'s trial, trained from its seed on all images but test's.

    It is trained for as many epochs as were best, under the trial's own schedule; callbacks that watch validation are
    left out, and a rate that one of them lowered falls as it was recorded.

    Raises:
        StudyError: if the images without noise of validation are not known.
    """
    import keras

    from cnnsearch.training import training

    chosen, info = origin.chosen, origin.study.info
    whole = origin._replace(parts=joined(origin.parts, origin.study.folder))
    keras.utils.set_random_seed(chosen.seed)
    candidate = whole.candidate(pretrained=True)
    candidate = candidate._replace(callbacks=unwatched(candidate.callbacks, chosen.history))
    weights: list[Any] = []

    def last(epoch: int, metrics: dict[str, float]) -> bool:
        if epoch <= chosen.best_epoch:
            weights[:] = candidate.core.get_weights()
        return epoch < chosen.best_epoch

    data = training.fold(candidate, whole.parts, len(origin.dataset.classes))
    hp, trainer = HyperParameters(replay(chosen.params)), space.trainer(origin.space, origin.known)
    training.train(candidate, trainer, hp, data, int(info["epochs"]), info["metric"], last)
    # not the best epoch on validation, which it has learnt
    candidate.core.set_weights(weights)
    return candidate.core


def joined(parts: Split, folder: Path | None = None) -> Split:
    """`parts` with validation's images among those of training; what is mapped from files goes to one in `folder`.

    Raises:
        StudyError: if training's images without noise are known, and validation's are not.
    """
    clean = None
    if parts.x_clean is not None:
        if parts.x_val_clean is None:
            raise StudyError("--refit needs the images without noise of validation too, and its dataset has none.")
        clean = np.concatenate([parts.x_clean, parts.x_val_clean])
    x, y = kept.joined(parts.x, parts.x_val, folder), np.concatenate([parts.y, parts.y_val])
    return Split(x, y, parts.x_val, parts.y_val, parts.x_test, parts.y_test, clean, parts.x_val_clean)


def unwatched(callbacks: list[Any], history: tuple[dict[str, float], ...]) -> list[Any]:
    """The callbacks that do not watch validation, and one for the rates that a lost one of them set."""
    import keras

    watching = [callback for callback in callbacks if str(getattr(callback, "monitor", "")).startswith("val")]
    kept = [callback for callback in callbacks if callback not in watching]
    if any(isinstance(callback, keras.callbacks.ReduceLROnPlateau) for callback in watching):
        kept.append(_recorded([epoch["learning_rate"] for epoch in history]))
    return kept


def _recorded(rates: list[float]) -> Any:
    """A callback that sets each epoch's learning rate to what was recorded at the end of the one before."""
    import keras

    return keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates[epoch - 1] if epoch else rate)
