"""The weights of the classes in the training loss."""

from cnnsearch import dimension
from cnnsearch.spaces.plan import CLASS_WEIGHTS


@dimension
def class_weight(hp, plan, *, choices=("none", "balanced")):
    """How much the images of a class count in the loss of training.

    `none`: each image has the same weight. `balanced`: each class has the same weight.
    Search for `val_balanced_accuracy`, `val_auc` or `val_f1_macro` with it: by accuracy, `none` is likely to win.

    Args:
        choices: `none` and `balanced`, or one of them.
    """
    if not set(choices) <= set(CLASS_WEIGHTS):
        raise ValueError(f"choices must be among {', '.join(CLASS_WEIGHTS)}, got {choices}")
    return plan.replace(class_weight=hp.Choice("kind", choices))
