"""A pretrained network before the head."""

from cnnsearch import dimension
from cnnsearch.spaces import pretrained
from cnnsearch.spaces.plan import Block


@dimension
def backbone(
    hp,
    plan,
    *,
    names=("MobileNetV2", "EfficientNetV2B0", "ConvNeXtTiny", "VGG16"),
    weights="imagenet",
    side=32,
    train_last=(0,),
    rate=0.1,
):
    """Which pretrained network gets the resized colour images, and how many of its layers are trained.

    Args:
        names: Keras' applications: VGG16, MobileNetV2, EfficientNetV2B0, ConvNeXtTiny.
        weights: `imagenet`, `none`, or a file of weights.
        side: images are resized to this side in pixels.
        train_last: how many of its last layers are trained, not counting layers that normalise; 0 for none.
        rate: factor of the learning rate for these layers.
    """
    if rate <= 0:
        raise ValueError(f"rate must be above 0, got {rate}; to train no layer of the backbone say train_last = 0")
    if min(train_last) < 0:
        raise ValueError(f"train_last must be 0 or more, got {min(train_last)}")
    for name in names:
        pretrained.known(name)
    if weights not in ("imagenet", "none") and len(names) > 1:
        raise ValueError(
            f"the weights {weights} are of one network; say which with --set backbone.names=NAME, "
            f"one of {', '.join(names)}"
        )
    name, last = hp.Choice("name", names), hp.Choice("train_last", train_last)
    network = pretrained.spec(name, plan.input_shape, weights, side, last)
    # pixels are 0 to 1 here, and the blocks come after it
    return plan.replace(stem=(Block((network,)),), stem_rate=rate if last else 0.0)
