from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.sentences import each_item


def kinds(plan):
    return [item if isinstance(item, str) else item[0] for block in plan.blocks for item in each_item(block.layers)]


def test_default_changes_nothing(draw, body):
    assert draw("separable", body) == (body, {"use": False})


def test_all_but_the_first_convolution_are_split(draw, body):
    plan, _ = draw("separable", body, {"use": True})
    assert kinds(plan).count("conv") == 1 and kinds(plan).count("DepthwiseConv2D") == 3
    # 8 and 16 filters: 9 weights a channel, then one a channel and filter, with bias
    whole = 9 * 8 * 8 + 8 + 9 * 8 * 16 + 16 + 9 * 16 * 16 + 16
    split = (9 * 8 + 8 * 8 + 8) + (9 * 8 + 8 * 16 + 16) + (9 * 16 + 16 * 16 + 16)
    assert cost(body).params - cost(plan).params == whole - split


def test_convolutions_behind_a_shortcut_are_split_too(draw, body):
    plan, _ = draw("separable", draw("residual", body, {"convs": 2})[0], {"use": True})
    assert kinds(plan).count("conv") == 1 and kinds(plan).count("DepthwiseConv2D") == 7
    assert cost(plan).params > 0


def test_they_keep_the_kernel_and_padding_of_the_block(draw, body):
    plan, _ = draw("separable", body, {"use": True})
    assert cost(plan.each_block(kernel=5)).params > cost(plan).params
    assert cost(plan.each_block(padding="valid")).activations < cost(plan).activations
