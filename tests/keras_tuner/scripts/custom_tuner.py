"""A training loop of one's own in `HyperModel.fit`, and a tuner whose `run_trial` does everything."""

from pathlib import Path

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from keras import layers

x_train, y_train = np.random.rand(64, 28, 28, 1), np.random.randint(0, 10, (64, 1))
x_val, y_val = np.random.rand(32, 28, 28, 1), np.random.randint(0, 10, (32, 1))


class MyHyperModel(keras_tuner.HyperModel):
    def build(self, hp):
        inputs = keras.Input(shape=(28, 28, 1))
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Dense(units=hp.Choice("units", [8, 16, 32]), activation="relu")(x)
        return keras.Model(inputs=inputs, outputs=keras.layers.Dense(10)(x))

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        batch_size = hp.Int("batch_size", 16, 32, step=16, default=32)
        train_ds = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)
        validation = tf.data.Dataset.from_tensor_slices(validation_data).batch(batch_size)
        optimizer = keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3))
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        epoch_loss_metric = keras.metrics.Mean()

        @tf.function
        def train_step(images, labels):
            with tf.GradientTape() as tape:
                loss = loss_fn(labels, model(images, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

        @tf.function
        def val_step(images, labels):
            epoch_loss_metric.update_state(loss_fn(labels, model(images)))

        for callback in callbacks:
            callback.set_model(model)
        best = float("inf")
        for epoch in range(2):
            for images, labels in train_ds:
                train_step(images, labels)
            for images, labels in validation:
                val_step(images, labels)
            epoch_loss = float(epoch_loss_metric.result().numpy())
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": epoch_loss})
            epoch_loss_metric.reset_state()
            best = min(best, epoch_loss)
        return best


tuner = keras_tuner.RandomSearch(
    objective=keras_tuner.Objective("my_metric", "min"),
    max_trials=2,
    hypermodel=MyHyperModel(),
    directory="results",
    project_name="custom_training",
    overwrite=True,
)
tuner.search(x=x_train, y=y_train, validation_data=(x_val, y_val))
best_hps = tuner.get_best_hyperparameters()[0]
assert {"units", "batch_size", "learning_rate"} == set(best_hps.values)
best_model = tuner.get_best_models()[0]
best_model.summary()


class MyTuner(keras_tuner.RandomSearch):
    def run_trial(self, trial, x, y, *args, **kwargs):
        hp = trial.hyperparameters
        model = keras.Sequential([layers.Dense(hp.Int("units", 4, 8), activation="relu"), layers.Dense(1)])
        model.compile(optimizer=hp.Choice("optimizer", ["adam", "sgd"]), loss="mse")
        model.fit(x, y, epochs=1, verbose=0)
        model.save(Path(self.get_trial_dir(trial.trial_id)) / "model.keras")
        return float(model.evaluate(x, y, verbose=0))


tuner = MyTuner(max_trials=2, overwrite=True, directory="results", project_name="keep_code_separate")
tuner.search(np.random.rand(20, 3), np.random.rand(20, 1))
best = tuner.oracle.get_best_trials()[0]
keras.models.load_model(Path(tuner.get_trial_dir(best.trial_id)) / "model.keras")


class BatchTuner(keras_tuner.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        kwargs["batch_size"] = trial.hyperparameters.Int("batch_size", 16, 32, step=16)
        return super().run_trial(trial, *args, **kwargs)


def build(hp):
    model = keras.Sequential([layers.Dense(hp.Int("units", 4, 8)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


tuner = BatchTuner(build, objective="val_loss", max_trials=2, overwrite=True, directory="results", project_name="batch")
tuner.search(np.random.rand(40, 3), np.random.rand(40, 1), epochs=2, validation_split=0.25)
assert all("batch_size" in trial.hyperparameters.values for trial in tuner.oracle.trials.values())
