"""The initial filters of the convolutions."""

from cnnsearch import dimension

_INITIALIZERS = {"dirac": "Dirac", "he": "HeNormal", "orthogonal": "Orthogonal"}


@dimension
def initial_filters(hp, plan, *, choices=("glorot", "dirac", "he")):
    """How the filters of convolutions begin.

    `dirac`: the first filters pass one channel on each, the others are random. From airbench94 (arXiv:2404.00498;
    github.com/KellerJordan/cifar10-airbench).

    Its place is after `whitened_stem`, whose filters it does not change.

    Args:
        choices: `glorot`, which is Keras' own, `he` (He et al. 2015, arXiv:1502.01852), `orthogonal` (Saxe et al.
            2013, arXiv:1312.6120), or `dirac`.
    """
    known = ("glorot", *_INITIALIZERS)
    if not set(choices) <= set(known):
        raise ValueError(f"choices must be among {', '.join(known)}, got {choices}")
    kind = hp.Choice("kind", choices)
    if kind == "glorot":
        return plan
    return plan.replace(initial=(*plan.initial, ("_conv2d$", (_INITIALIZERS[kind], {}))))
