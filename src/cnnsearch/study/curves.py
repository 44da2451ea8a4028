"""The learning curves of one trial as a figure."""

import math

from matplotlib.figure import Figure

from cnnsearch.core.metrics import COMPUTED, display_name
from cnnsearch.study.trial import Trial


def curves(done: Trial) -> Figure:
    """Loss and accuracy of training and validation images for each epoch, and the other validation metrics."""
    # fixed margins: matplotlib's automatic layout takes longer than drawing
    figure = Figure(figsize=(8, 3))
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.16, top=0.8, wspace=0.18)
    epochs = range(1, len(done.history) + 1)
    more = [name for name in COMPUTED if done.history and name in done.history[0]]
    shown = figure.subplots(1, 3 if more else 2)
    for axes, metric in zip(shown[:2], ("loss", "accuracy"), strict=True):
        for prefix, label in (("", "training"), ("val_", "validation")):
            values = [epoch.get(prefix + metric, math.nan) for epoch in done.history]
            axes.plot(epochs, values, marker="o", markersize=3, label=label)
        axes.set(xlabel="epoch", title=metric)
    for name in more:
        values = [epoch.get(name, math.nan) for epoch in done.history]
        shown[2].plot(epochs, values, marker="o", markersize=3, label=display_name(name).removeprefix("validation "))
        shown[2].set(xlabel="epoch", title="validation")
    for axes in shown:
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    shown[1].legend()
    if more:
        shown[2].legend()
    figure.suptitle(f"trial {done.number} ({done.state})")
    return figure
