from cnnsearch import trainer


@trainer
def keeps_callbacks(hp, model, data, *, epochs, callbacks):
    """Trains under no eyes."""
    return model.fit(data.x, data.y, batch_size=data.batch_size, epochs=epochs, verbose=0)
