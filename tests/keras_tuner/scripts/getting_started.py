"""The steps of KerasTuner's first guide: a function, a fit with hyperparameters, a metric of its own."""

import keras
import keras_tuner
import numpy as np
from keras import layers

chance = np.random.default_rng(0)
x, y = chance.random((120, 28, 28, 1)).astype("float32"), keras.utils.to_categorical(np.arange(120) % 10, 10)
x_train, y_train, x_val, y_val = x[:90], y[:90], x[90:], y[90:]


def call_existing_code(units, activation, dropout, lr):
    model = keras.Sequential([layers.Flatten(), layers.Dense(units=units, activation=activation)])
    if dropout:
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    optimizer = keras.optimizers.Adam(learning_rate=lr)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def build_model(hp):
    units = hp.Int("units", min_value=8, max_value=32, step=8)
    activation = hp.Choice("activation", ["relu", "tanh"])
    dropout = hp.Boolean("dropout")
    lr = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    return call_existing_code(units=units, activation=activation, dropout=dropout, lr=lr)


build_model(keras_tuner.HyperParameters())
tuner = keras_tuner.RandomSearch(
    hypermodel=build_model,
    objective="val_accuracy",
    max_trials=2,
    executions_per_trial=2,
    overwrite=True,
    directory="my_dir",
    project_name="helloworld",
)
tuner.search_space_summary()
tuner.search(x_train, y_train, epochs=2, validation_data=(x_val, y_val))
models = tuner.get_best_models(num_models=2)
best_model = models[0]
best_model.summary()
tuner.results_summary()

best_hps = tuner.get_best_hyperparameters(5)
model = build_model(best_hps[0])
x_all, y_all = np.concatenate((x_train, x_val)), np.concatenate((y_train, y_val))
model.fit(x=x_all, y=y_all, epochs=1, verbose=0)


class MyHyperModel(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([layers.Flatten(), layers.Dense(hp.Int("units", 8, 32, step=8), activation="relu")])
        model.add(layers.Dense(10, activation="softmax"))
        model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, x, y, validation_data=None, **kwargs):
        if hp.Boolean("normalize"):
            x = layers.Normalization()(x)
        return model.fit(x, y, validation_data=validation_data, shuffle=hp.Boolean("shuffle"), **kwargs)


tuner = keras_tuner.BayesianOptimization(
    MyHyperModel(), objective="val_accuracy", max_trials=2, overwrite=True, directory="my_dir", project_name="tune_fit"
)
tuner.search(x_train, y_train, epochs=2, validation_data=(x_val, y_val))
hypermodel, best_hp = MyHyperModel(), tuner.get_best_hyperparameters()[0]
assert {"units", "normalize", "shuffle"} == set(best_hp.values)
model = hypermodel.build(best_hp)
hypermodel.fit(best_hp, model, x_all, y_all, epochs=1, verbose=0)


def build_regressor(hp):
    model = keras.Sequential([layers.Dense(units=hp.Int("units", 8, 32, 8), activation="relu"), layers.Dense(units=1)])
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=[keras.metrics.MeanAbsoluteError()])
    return model


class HyperRegressor(keras_tuner.HyperModel):
    def build(self, hp):
        return build_regressor(hp)

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, verbose=0, **kwargs)
        x_val, y_val = validation_data
        y_pred = model.predict(x_val, verbose=0)
        return float(np.mean(np.abs(y_pred - y_val)))


x_train, y_train, x_val, y_val = (chance.random((20, width)) for width in (10, 1, 10, 1))
tuner = keras_tuner.RandomSearch(
    hypermodel=build_regressor,
    objective=keras_tuner.Objective("val_mean_absolute_error", direction="min"),
    max_trials=2,
    overwrite=True,
    directory="my_dir",
    project_name="built_in_metrics",
)
tuner.search(x_train, y_train, epochs=1, validation_data=(x_val, y_val))
tuner.results_summary()
tuner = keras_tuner.RandomSearch(
    hypermodel=HyperRegressor(), max_trials=2, overwrite=True, directory="my_dir", project_name="custom_eval"
)
tuner.search(x_train, y_train, epochs=1, validation_data=(x_val, y_val))
tuner.results_summary()
best = tuner.oracle.get_best_trials(1)[0]
assert best.score == min(trial.score for trial in tuner.oracle.trials.values())
