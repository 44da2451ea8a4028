import pytest

from cnnsearch.spaces.cost import cost


def kernels(plan):
    return [block.kernel for block in plan.blocks]


def test_one_size_for_all(draw, body):
    assert kernels(draw("kernel_size", body)[0]) == [3, 3]
    plan, drawn = draw("kernel_size", body, {"size": 5})
    assert kernels(plan) == [5, 5] and drawn == {"size": 5}
    assert cost(plan).params > cost(body).params


def test_one_size_for_each(draw, body):
    plan, drawn = draw("kernel_size", body, {"block2": 5}, per_block=True)
    assert kernels(plan) == [3, 5] and drawn == {"block1": 3, "block2": 5}


@pytest.mark.parametrize("choices", [(0,), (3, -1), ()])
def test_bad_options(draw, body, choices):
    with pytest.raises(ValueError, match=r"kernel_size/size has no values|choices must be sides"):
        draw("kernel_size", body, choices=choices)
