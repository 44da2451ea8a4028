"""Random shifts, rotations, shears, zooms, flips and noise of training images."""

from cnnsearch import dimension

_BELOW = {"rotate": 360, "shift": 1, "shear": 90, "zoom": 1}
_FILLS = ("nearest", "constant", "reflect", "wrap")


@dimension
def augmentation(
    hp,
    plan,
    *,
    shift=0.1,
    rotate=10.0,
    shear=0.0,
    zoom=0.1,
    flip=False,
    noise=0.0,
    fill_mode=("nearest",),
    strength=(0.0, 0.5, 1.0),
    separate=False,
):
    """How strong the random changes of training images are.

    Args:
        shift: the largest shift, as a fraction of the image's side.
        rotate: the largest rotation to either side, in degrees.
        shear: the largest shear to either side, in degrees.
        zoom: the largest change of size, as a fraction.
        flip: whether horizontal flips are tried; not for digits and letters.
        noise: the largest standard deviation of Gaussian noise, on pixels from 0 to 1; drawn in quarters.
        fill_mode: how new pixels at the edge are filled: `nearest`, `constant`, `reflect` or `wrap`.
        strength: factors of `shift`, `rotate`, `shear` and `zoom`; 0.0 for none of them.
        separate: whether each of the four has its own strength.
    """
    limits = {"rotate": rotate, "shift": shift, "shear": shear, "zoom": zoom}
    _check(limits, noise, fill_mode, strength)
    moves = _moves(hp, limits, strength, separate)
    mirror = bool(flip and hp.Boolean("flip"))
    stddev = round(hp.Float("noise", 0.0, noise, step=noise / 4), 6) if noise else 0.0
    layers = []
    if any(moves.values()) or mirror:
        fill = hp.Choice("fill_mode", fill_mode) if any(moves.values()) else fill_mode[0]
        # one layer for all four: each layer that resamples blurs the image and takes time
        layers.append(("RandomAffine", {**moves, "flip": mirror, "fill_mode": fill}))
    if stddev:
        layers.append(("GaussianNoise", {"stddev": stddev}))
    return plan.replace(augment=(*plan.augment, *layers))


def _moves(hp, limits, strength, separate):
    """The four parts of the affine layer: each is its limit times its strength."""
    used = [name for name, limit in limits.items() if limit]
    if separate:
        factors = {name: hp.Choice(name, strength) for name in used}
    else:
        factors = dict.fromkeys(used, hp.Choice("strength", strength)) if used else {}
    scaled = {name: round(float(limit * factors.get(name, 0)), 6) for name, limit in limits.items()}
    return {"rotation": scaled.pop("rotate"), **scaled}


def _check(limits, noise, fill_mode, strength):
    for name, limit in limits.items():
        if not 0 <= limit < _BELOW[name]:
            raise ValueError(f"{name} must be at least 0 and below {_BELOW[name]}, got {limit}")
    if noise < 0:
        raise ValueError(f"noise must be at least 0, got {noise}")
    if not fill_mode or not set(fill_mode) <= set(_FILLS):
        raise ValueError(f"fill_mode must be among {', '.join(_FILLS)}, got {fill_mode}")
    if any(not 0 <= factor <= 1 for factor in strength):
        raise ValueError(f"strength must be factors from 0 to 1, got {strength}")
