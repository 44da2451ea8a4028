"""Early stopping."""

from cnnsearch import dimension


@dimension
def early_stopping(hp, plan, *, patience=(5,), min_delta=0.0, monitor="val_loss", restore=True):
    """After how many epochs without progress training ends.

    Args:
        patience: epochs without progress; 0 never ends it early.
        min_delta: the smallest change that counts as progress.
        monitor: the metric that must improve.
        restore: whether the weights of the best epoch are restored.
    """
    if any(epochs < 0 for epochs in patience):
        raise ValueError(f"patience must be numbers of at least 0, got {patience}")
    if min_delta < 0:
        raise ValueError(f"min_delta must be at least 0, got {min_delta}")
    epochs = hp.Choice("patience", patience)
    if not epochs:
        return plan
    config = {"monitor": monitor, "patience": epochs, "min_delta": min_delta, "restore_best_weights": restore}
    return plan.replace(callbacks=(*plan.callbacks, ("EarlyStopping", config)))
