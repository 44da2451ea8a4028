from cnnsearch import space


@space
def two_outputs(input_shape, num_classes):
    """A dense network with two outputs."""

    def build(hp):
        import keras

        units = hp.Choice("units", [8, 16])
        images = keras.Input(input_shape)
        hidden = keras.layers.Dense(units)(keras.layers.Flatten()(images))
        model = keras.Model(images, [keras.layers.Dense(num_classes, name=name)(hidden) for name in ("one", "other")])
        model.compile("adam", "mse")
        return model

    return build
