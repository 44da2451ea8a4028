from cnnsearch import space


@space
def one_output(input_shape, num_classes):
    """A dense network with one output for all classes."""

    def build(hp):
        import keras

        units = hp.Choice("units", [8, 16])
        layers = [keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input(input_shape), *layers])
        model.compile("adam", "mse", metrics=["accuracy"])
        return model

    return build
