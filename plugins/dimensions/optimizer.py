"""The optimizer."""

from cnnsearch import dimension

_NAMES = ("Adam", "AdamW", "Nadam", "RMSprop", "SGD", "Muon")


@dimension
def optimizer(hp, plan, *, names=("Adam", "AdamW", "RMSprop", "SGD"), momentum=0.9, rho=0.9):
    """Which optimizer trains the network.

    Its place is before `learning_rate` and `weight_decay`, which complete it. SGD begins with a learning rate of
    0.05, the others keep the plan's.

    Args:
        names: `Adam` (Kingma & Ba 2014, arXiv:1412.6980), `AdamW` (Loshchilov & Hutter 2017, arXiv:1711.05101),
            `Nadam`, `RMSprop`, `SGD`, or Keras' `Muon`, which is Muon (github.com/KellerJordan/Muon; Liu et al. 2025,
            arXiv:2502.16982) for hidden dense layers, and AdamW for convolutions and the output layer.
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
        # Keras: the output layer is not for Muon
        "Muon": {"weight_decay": 0.004, "exclude_layers": ["probabilities"]},
        "RMSprop": {"rho": rho},
        "SGD": {"learning_rate": 0.05, "momentum": momentum, "nesterov": momentum > 0},
    }
    name = hp.Choice("name", names)
    rate = plan.optimizer[1].get("learning_rate", 0.001)
    return plan.replace(optimizer=(name, {"learning_rate": rate, **settings.get(name, {})}))
