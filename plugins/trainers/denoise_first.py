"""Training in two stages: first a denoiser, then a classifier of the denoised images."""

import math

import numpy as np

from cnnsearch import CnnsearchError, trainer

_SHADES, _SAMPLES, _PART = 32, 1 << 16, 4096


@trainer
def denoise_first(hp, model, data, *, epochs, callbacks, denoiser_epochs=14, rate=0.002):
    """Trains the stem to restore clean images, and then the other layers.

    Each epoch of both has new noise: a pixel gets the value of a random noisy pixel whose clean pixel was about as
    bright. So the noise is assumed to be independent between pixels. Only epochs of the classifier are counted and
    pruned. Each reports the last loss of the denoiser as `denoiser_loss`.

    Args:
        denoiser_epochs: epochs of the denoiser's training.
        rate: its first learning rate (Adam); it falls to 0 along a cosine.
    """
    # imported here, so that listing the plugins imports no backend
    import keras

    from cnnsearch.training import build

    if denoiser_epochs < 1:
        raise CnnsearchError(f"denoise_first: denoiser_epochs must be at least 1, got {denoiser_epochs}.")
    stem = build.stem(model)
    if not stem:
        raise CnnsearchError("denoise_first trains a denoiser, and this space draws none; add the dimension denoiser.")
    if data.x_clean is None:
        raise CnnsearchError("denoise_first needs the images without noise; set it with `--set dataset.noise=1.0`.")
    noise = Noise(data.x, data.x_clean, build.value_range(model))
    last = _restore(model, stem, data, noise, denoiser_epochs, rate)

    def note(epoch, logs):
        logs["denoiser_loss"] = last

    return model.fit(
        _renewed(noise, data),
        epochs=epochs,
        validation_data=(data.x_val, data.y_val),
        validation_batch_size=max(512, data.batch_size),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=note), *callbacks],
        verbose=0,
    )


class Noise:
    """The noise of the training images, from which new noise is drawn."""

    def __init__(self, noisy, clean, values=(0.0, 255.0)):
        # the seed of the trial also sets NumPy's global state
        self._generator = np.random.default_rng(np.random.randint(2**31 - 1))
        low, high = values
        step = (high - low + (clean.dtype == np.uint8)) / _SHADES
        self._shades = np.empty(clean.shape, "uint8")
        for start in range(0, len(clean), _PART):
            shades = (clean[start : start + _PART] - low) // step
            self._shades[start : start + _PART] = np.clip(shades, 0, _SHADES - 1)
        self._pools = np.zeros((_SHADES, _SAMPLES), noisy.dtype)
        for shade in np.unique(self._shades):
            self._pools[shade] = self._generator.choice(noisy[self._shades == shade], _SAMPLES)

    def again(self):
        """The clean images with new noise."""
        noisy = np.empty(self._shades.shape, self._pools.dtype)
        for start in range(0, len(noisy), _PART):
            shades = self._shades[start : start + _PART]
            noisy[start : start + _PART] = self._pools[shades, self._generator.integers(0, _SAMPLES, shades.shape)]
        return noisy

    def order(self):
        """The indices of the images in random order."""
        return self._generator.permutation(len(self._shades))


def _restore(model, stem, data, noise, epochs, rate):
    """Train the stem to restore the clean images. The result is its last loss."""
    import keras

    from cnnsearch.data import pixel_values
    from cnnsearch.training import build

    # with the first layer, which scales pixels to 0 to 1; without augmentation, which would move images but not targets
    denoiser = keras.Sequential([keras.Input(model.input_shape[1:]), model.layers[0], *stem], name="denoiser")
    _learning(stem, True)
    # cross-entropy, because with squared error a sigmoid's output can stay black
    steps = epochs * math.ceil(len(data.x) / data.batch_size)
    falling = keras.optimizers.schedules.CosineDecay(rate, steps)
    denoiser.compile(keras.optimizers.Adam(falling), "binary_crossentropy")
    clean = np.clip(pixel_values.to_unit(data.x_clean, build.value_range(model)), 0, 1)
    for _ in range(epochs):
        history = denoiser.fit(noise.again(), clean, batch_size=data.batch_size, verbose=0)
    _learning(stem, False)
    return history.history["loss"][-1]


def _renewed(noise, data):
    """Batches for Keras' `fit`, with another order and other noise in each epoch."""
    import keras

    class Renewed(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.on_epoch_end()

        def __len__(self):
            return math.ceil(len(self._order) / data.batch_size)

        def __getitem__(self, batch):
            rows = self._order[batch * data.batch_size : (batch + 1) * data.batch_size]
            weights = () if data.weights is None else (data.weights[rows],)
            return self._noisy[rows], data.y[rows], *weights

        def on_epoch_end(self):
            self._noisy, self._order = noise.again(), noise.order()

    return Renewed()


def _learning(stem, trainable):
    for part in stem:
        part.trainable = trainable
