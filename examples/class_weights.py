"""Search a KerasTuner HyperModel on imbalanced classes. The weight of the rare class is a hyperparameter.

    python class_weights.py

The question is: is this digit an eight? One image in ten shows one.
"""

import keras
import keras_tuner
from sklearn.datasets import load_digits

import cnnsearch

TRIALS = 20
EPOCHS = 10

images, digits = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8, 1)
labels = (digits == 8).astype(int)


class IsAnEight(keras_tuner.HyperModel):
    """KerasTuner runs this class unchanged."""

    def build(self, hp):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Rescaling(1 / 16),
                keras.layers.Conv2D(hp.Choice("filters", [8, 16, 32]), 3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
        optimizer = keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"))
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *arguments, **keywords):
        weights = {0: 1.0, 1: hp.Choice("weight", [1.0, 3.0, 9.0])}
        return model.fit(*arguments, class_weight=weights, **keywords)


study = cnnsearch.search(
    IsAnEight(),
    (images, labels),
    study="eights",
    metric="val_balanced_accuracy",
    trials=TRIALS,
    epochs=EPOCHS,
    confirm=0,
)
print(study.leaderboard(top=5)[["rank", "trial", "score", "choices"]].to_string(index=False))
best = study.best()
print(f"The best trial is {best['trial']}: balanced accuracy {best['score']:.4f} in validation.")
