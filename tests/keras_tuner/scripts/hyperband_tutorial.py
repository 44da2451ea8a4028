"""The shape of TensorFlow's tutorial: Hyperband on pictures of clothes, then the best number of epochs."""

import keras
import keras_tuner as kt
import numpy as np
import tensorflow as tf

chance = np.random.default_rng(0)
img_train, label_train = chance.random((160, 28, 28)).astype("float32"), np.arange(160) % 10
img_test, label_test = chance.random((40, 28, 28)).astype("float32"), np.arange(40) % 10


def model_builder(hp):
    model = keras.Sequential()
    model.add(keras.layers.Flatten(input_shape=(28, 28)))
    hp_units = hp.Int("units", min_value=8, max_value=64, step=8)
    model.add(keras.layers.Dense(units=hp_units, activation="relu"))
    model.add(keras.layers.Dense(10))
    hp_learning_rate = hp.Choice("learning_rate", values=[1e-2, 1e-3, 1e-4])
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=hp_learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


tuner = kt.Hyperband(
    model_builder, objective="val_accuracy", max_epochs=3, factor=3, directory="my_dir", project_name="intro_to_kt"
)
stop_early = tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
tuner.search(img_train, label_train, epochs=50, validation_split=0.2, callbacks=[stop_early])
best_hps = tuner.get_best_hyperparameters(num_trials=1)[0]
print(f"The search is complete: {best_hps.get('units')} units, learning rate {best_hps.get('learning_rate')}")

model = tuner.hypermodel.build(best_hps)
history = model.fit(img_train, label_train, epochs=2, validation_split=0.2, verbose=0)
per_epoch = history.history["val_accuracy"]
best_epoch = per_epoch.index(max(per_epoch)) + 1
hypermodel = tuner.hypermodel.build(best_hps)
hypermodel.fit(img_train, label_train, epochs=best_epoch, validation_split=0.2, verbose=0)
hypermodel.evaluate(img_test, label_test, verbose=0)
