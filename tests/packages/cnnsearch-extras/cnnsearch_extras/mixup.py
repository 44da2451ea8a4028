"""Training on pictures laid over each other."""

import math

import numpy as np

from cnnsearch import trainer


@trainer
def mixup(hp, model, data, *, epochs, callbacks, alpha=0.2):
    """Each picture and its label is mixed with another's, anew in every epoch (Zhang et al. 2017, arXiv:1710.09412).

    Args:
        alpha: of the beta distribution that the shares are drawn from; the larger, the more is mixed.
    """
    # here, so that listing the plugins imports no backend
    import keras

    class Mixed(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            # Keras' seed for the trial fixes NumPy's global state too
            self.chance = np.random.default_rng(np.random.randint(2**31 - 1))
            self.on_epoch_end()

        def __len__(self):
            return math.ceil(len(data.x) / data.batch_size)

        def on_epoch_end(self):
            self.order = self.chance.permutation(len(data.x))
            self.other = self.chance.permutation(len(data.x))
            self.share = self.chance.beta(alpha, alpha, len(data.x)).astype("float32")

        def __getitem__(self, at):
            part = slice(at * data.batch_size, (at + 1) * data.batch_size)
            one, other, share = self.order[part], self.other[part], self.share[part]
            images = share[:, None, None, None]
            x = images * data.x[one] + (1 - images) * data.x[other]
            return x, share[:, None] * data.y[one] + (1 - share[:, None]) * data.y[other]

    validation = (data.x_val, data.y_val)
    return model.fit(Mixed(), epochs=epochs, validation_data=validation, callbacks=callbacks, verbose=0)
