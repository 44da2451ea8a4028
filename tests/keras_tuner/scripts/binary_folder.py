"""Two folders of pictures, read as a tf.data.Dataset, and a binary classifier."""

from pathlib import Path

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from keras import layers

chance = np.random.default_rng(0)
for name, low in (("cats", 0), ("dogs", 128)):
    for number in range(12):
        path = Path("pets", name, f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(path, chance.integers(low, low + 128, (40, 40, 3)), scale=False)

common = {"validation_split": 0.25, "seed": 7, "image_size": (32, 32), "batch_size": 6, "label_mode": "binary"}
train_ds = keras.utils.image_dataset_from_directory("pets", subset="training", verbose=False, **common)
val_ds = keras.utils.image_dataset_from_directory("pets", subset="validation", verbose=False, **common)
augment = keras.Sequential([layers.RandomFlip("horizontal")])
train_ds = train_ds.map(lambda x, y: (augment(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
train_ds, val_ds = train_ds.prefetch(tf.data.AUTOTUNE), val_ds.cache().prefetch(tf.data.AUTOTUNE)


def build_model(hp):
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 255)])
    for i in range(hp.Int("conv_layers", 1, 2)):
        model.add(layers.Conv2D(hp.Int(f"filters_{i}", 4, 8, step=4), 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(hp.Float("rate", 0.1, 0.5, step=0.1)))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy", "auc"])
    return model


tuner = keras_tuner.BayesianOptimization(
    build_model, objective=keras_tuner.Objective("val_auc", "max"), max_trials=2, project_name="pets", seed=3
)
tuner.search(train_ds, validation_data=val_ds, epochs=2, class_weight={0: 1.0, 1: 2.0})
best = tuner.get_best_models(1)[0]
scores = best.evaluate(val_ds, verbose=0, return_dict=True)
assert abs(scores["auc"] - tuner.oracle.get_best_trials()[0].score) < 1e-3, scores
