from cnnsearch import trainer


@trainer
def draws_as_it_trains(hp, model, data, *, epochs, callbacks):
    """Draws what a plan does not show."""
    size = hp.Choice("batch", [16, 32])
    rest = {"validation_data": (data.x_val, data.y_val), "callbacks": callbacks, "verbose": 0}
    return model.fit(data.x, data.y, batch_size=size, epochs=epochs, **rest)
