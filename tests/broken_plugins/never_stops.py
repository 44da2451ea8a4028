from cnnsearch import trainer


@trainer
def never_stops(hp, model, data, *, epochs, callbacks):
    """Trains each epoch in a fit of its own, to the end whatever is said."""
    for epoch in range(epochs):
        logs = model.fit(data.x, data.y, validation_data=(data.x_val, data.y_val), verbose=0).history
        for callback in callbacks:
            callback.set_model(model)
            callback.on_epoch_end(epoch, {name: values[-1] for name, values in logs.items()})
