"""Two stages: a denoiser is trained to restore clean images, then a classifier on what it gives."""

import math

import numpy as np

from cnnsearch import CnnsearchError, trainer

_SHADES, _SAMPLES, _PART = 32, 1 << 16, 4096


@trainer
def denoise_first(hp, model, data, *, epochs, callbacks, denoiser_epochs=14, rate=0.002):
    """Trains the stem on the clean images by cross-entropy, keeps it as it is then, and trains the rest.

    Each epoch, the denoiser's and the classifier's, has noise of its own, drawn for every pixel from the noisy pixels
    that were as bright before; that takes noise for independent from pixel to pixel. The epochs that are counted,
    pruned and drawn are those of the classifier; each reports the denoiser's last loss as `denoiser_loss`.

    Args:
        denoiser_epochs: how often the denoiser sees all training images.
        rate: the learning rate that its Adam begins with; it falls to 0 along a cosine.
    """
    # here, so that listing the plugins imports no backend
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
    """The noise between images and what they were, to be had again and again."""

    def __init__(self, noisy, clean, values=(0.0, 255.0)):
        # Keras' seed for the trial fixes NumPy's global state too
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
        """The clean images under new noise."""
        noisy = np.empty(self._shades.shape, self._pools.dtype)
        for start in range(0, len(noisy), _PART):
            shades = self._shades[start : start + _PART]
            noisy[start : start + _PART] = self._pools[shades, self._generator.integers(0, _SAMPLES, shades.shape)]
        return noisy

    def order(self):
        """The images' places in an order by chance."""
        return self._generator.permutation(len(self._shades))


def _restore(model, stem, data, noise, epochs, rate):
    """Train the stem to give the clean images; gives back its last loss."""
    import keras

    from cnnsearch.data import pixel_values
    from cnnsearch.training import build

    # the first layer brings pixels to 0 to 1; augmentation would move images away from their targets
    denoiser = keras.Sequential([keras.Input(model.input_shape[1:]), model.layers[0], *stem], name="denoiser")
    _learning(stem, True)
    # of a sigmoid's output: by squared error it can be caught where all of it is black
    steps = epochs * math.ceil(len(data.x) / data.batch_size)
    falling = keras.optimizers.schedules.CosineDecay(rate, steps)
    denoiser.compile(keras.optimizers.Adam(falling), "binary_crossentropy")
    clean = np.clip(pixel_values.to_unit(data.x_clean, build.value_range(model)), 0, 1)
    for _ in range(epochs):
        history = denoiser.fit(noise.again(), clean, batch_size=data.batch_size, verbose=0)
    _learning(stem, False)
    return history.history["loss"][-1]


def _renewed(noise, data):
    """The images in another order and under other noise in each epoch, as Keras' `fit` takes them."""
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
