"""Two stages: a denoiser is trained to restore clean images, then a classifier on what it gives."""

from cnnsearch import CnnsearchError, trainer


@trainer
def denoise_first(hp, model, data, *, epochs, callbacks, denoiser_epochs=5, rate=0.001):
    """Trains the stem on the clean images by cross-entropy, keeps it as it is then, and trains the rest.

    The epochs that are counted, pruned and drawn are those of the classifier; each reports the denoiser's last
    loss as `denoiser_loss`.

    Args:
        denoiser_epochs: how often the denoiser sees all training images.
        rate: the learning rate of its Adam.
    """
    # here, so that listing the plugins imports no backend
    import keras

    from cnnsearch import build, training

    stem = build.stem(model)
    if not stem:
        raise CnnsearchError("denoise_first trains a denoiser, and this space draws none; add the dimension denoiser.")
    if data.x_clean is None:
        raise CnnsearchError("denoise_first needs the images without noise; set it with `--set dataset.noise=1.0`.")
    # the first layer brings pixels to 0 to 1; augmentation would move images away from their targets
    denoiser = keras.Sequential([keras.Input(model.input_shape[1:]), model.layers[0], *stem], name="denoiser")
    _learning(stem, True)
    # of a sigmoid's output: by squared error it can be caught where all of it is black
    denoiser.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    clean = data.x_clean.astype("float32") / 255
    history = denoiser.fit(data.x, clean, batch_size=data.batch_size, epochs=denoiser_epochs, verbose=2)
    _learning(stem, False)

    def note(epoch, logs):
        logs["denoiser_loss"] = history.history["loss"][-1]

    first = keras.callbacks.LambdaCallback(on_epoch_end=note)
    return training.fit(hp, model, data, epochs=epochs, callbacks=[first, *callbacks])


def _learning(stem, trainable):
    for part in stem:
        part.trainable = trainable
