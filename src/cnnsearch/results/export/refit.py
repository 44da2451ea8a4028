"""A refit: the chosen trial trained again on training and validation images together."""

from pathlib import Path
from typing import Any

import numpy as np

from cnnsearch.core.errors import StudyError
from cnnsearch.data import image_cache
from cnnsearch.data.splits import Split
from cnnsearch.results.origin import Origin, dtype_policy
from cnnsearch.spaces import space
from cnnsearch.spaces.hyperparameters import HyperParameters, replay


def refit(origin: Origin) -> Any:
    """The network of `origin`'s trial, trained from its seed on all images except the test images.

    It is trained in the trial's precision, for the trial's best number of epochs and with the trial's own schedule.
    Callbacks that monitor validation are left out. If one of them lowered the learning rate, the rate falls as it was
    recorded.

    Raises:
        StudyError: if the training images have versions without noise, and the validation images have none.
    """
    whole = origin._replace(parts=joined(origin.parts, origin.study.folder))
    with dtype_policy(origin.source.precision):
        network = _train(whole)
    return origin.source.in_float32(network)


def _train(origin: Origin) -> Any:
    """The trial's network with the weights of its last epoch: no images are left that could choose another epoch."""
    import keras

    from cnnsearch.training import fitting, training_data

    chosen, metric = origin.chosen, origin.study.info["metric"]
    keras.utils.set_random_seed(chosen.seed)
    candidate = origin.candidate(pretrained=True)
    candidate = candidate._replace(callbacks=without_validation(candidate.callbacks, chosen.history))
    weights: list[Any] = []

    def keep_weights(epoch: int, metrics: dict[str, float]) -> bool:
        if epoch <= chosen.best_epoch:
            weights[:] = candidate.core.get_weights()
        return epoch < chosen.best_epoch

    data = training_data.for_candidate(candidate, origin.parts, len(origin.dataset.classes))
    hp, trainer = HyperParameters(replay(chosen.params)), space.trainer(origin.space, origin.known)
    larger = origin.study.maximize
    fitting.train(candidate, trainer, hp, data, origin.epochs, metric, keep_weights, maximize=larger)
    # a `fit` of an author's own may report no epochs; then the network has the weights of its end
    if weights:
        candidate.core.set_weights(weights)
    return candidate.core


def joined(parts: Split, folder: Path | None = None) -> Split:
    """`parts` with the validation images added to the training images.

    Images that are mapped from files are joined in a new file in `folder`.

    Raises:
        StudyError: if the training images have versions without noise, and the validation images have none.
    """
    clean = None
    if parts.x_clean is not None:
        if parts.x_val_clean is None:
            raise StudyError("--refit needs validation images without noise, and the dataset has none.")
        clean = np.concatenate([parts.x_clean, parts.x_val_clean])
    x, y = image_cache.joined(parts.x, parts.x_val, folder), np.concatenate([parts.y, parts.y_val])
    return Split(x, y, parts.x_val, parts.y_val, parts.x_test, parts.y_test, clean, parts.x_val_clean)


def without_validation(callbacks: list[Any], history: tuple[dict[str, float], ...]) -> list[Any]:
    """The callbacks that do not monitor validation, and one that replays the learning rates of those left out."""
    import keras

    monitoring = [callback for callback in callbacks if str(getattr(callback, "monitor", "")).startswith("val")]
    kept = [callback for callback in callbacks if callback not in monitoring]
    if any(isinstance(callback, keras.callbacks.ReduceLROnPlateau) for callback in monitoring):
        kept.append(_recorded_rates([epoch["learning_rate"] for epoch in history]))
    return kept


def _recorded_rates(rates: list[float]) -> Any:
    """A callback that sets the learning rate of each epoch to the one recorded at the end of the epoch before."""
    import keras

    return keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates[epoch - 1] if epoch else rate)
