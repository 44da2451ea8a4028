"""The optimizer."""

from cnnsearch import dimension

_NAMES = ("Adam", "AdamW", "Nadam", "RMSprop", "SGD", "Muon")


@dimension
def optimizer(hp, plan, *, names=("Adam", "AdamW", "RMSprop", "SGD"), momentum=0.9, rho=0.9):
    """Which optimizer trains the network.

    Its place is before `learning_rate` and `weight_decay`, which complete it. SGD begins with a learning rate of
    0.05, the others keep the plan's.

    Args:
        names: `Adam`, `AdamW`, `Nadam`, `RMSprop`, `SGD`, or Keras' `Muon`, which is Muon for dense layers and
            AdamW for convolutions.
        momentum: Nesterov momentum of SGD; 0 for plain SGD.
        rho: the decay of RMSprop's moving average.
    """
    if not set(names) <= set(_NAMES):
        raise ValueError(f"names must be among {', '.join(_NAMES)}, got {names}")
    if not (0 <= momentum < 1 and 0 <= rho < 1):
        raise ValueError(f"expected momentum and rho in [0, 1), got momentum={momentum} and rho={rho}")
    settings = {
        # Keras' own default, written to the plan so that weight_decay can remove it
        "AdamW": {"weight_decay": 0.004},
        "Muon": {"weight_decay": 0.004},
        "RMSprop": {"rho": rho},
        "SGD": {"learning_rate": 0.05, "momentum": momentum, "nesterov": momentum > 0},
    }
    name = hp.Choice("name", names)
    rate = plan.optimizer[1].get("learning_rate", 0.001)
    return plan.replace(optimizer=(name, {"learning_rate": rate, **settings.get(name, {})}))
