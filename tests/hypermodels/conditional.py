"""KerasTuner's guide on conditional hyperparameters: a CNN or an MLP, each with hyperparameters of its own."""

import keras
from keras import layers


def build_model(hp):
    model = keras.Sequential([layers.Rescaling(1 / 16)])
    model_type = hp.Choice("model_type", ["mlp", "cnn"])
    with hp.conditional_scope("model_type", ["mlp"]):
        if model_type == "mlp":
            model.add(layers.Flatten())
            model.add(layers.Dense(units=hp.Int("units", 16, 128, step=2, sampling="log"), activation="relu"))
    with hp.conditional_scope("model_type", ["cnn"]):
        if model_type == "cnn":
            model.add(layers.Conv2D(hp.Int("filters", 4, 16, step=4), 3, activation="relu"))
            model.add(layers.GlobalMaxPooling2D())
    model.add(layers.Dense(hp.Fixed("classes", 10), activation="softmax"))
    optimizer = hp.Choice("optimizer", ["adam", "sgd"])
    momentum = hp.Float("momentum", 0.0, 0.9, step=0.1, parent_name="optimizer", parent_values=["sgd"], default=0.9)
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum or 0.0) if optimizer == "sgd" else "adam",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
