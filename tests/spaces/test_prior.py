"""A prior is read from JSON, and its points become the nearest points of another space."""

import json
from pathlib import Path
from typing import Any

import pytest

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import plugins, prior, space
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters

WIDTHS = Distribution("choice", 16, (16, 32, 64))
NAMES = Distribution("choice", "relu", ("relu", "gelu", None))
RATES = Distribution("float", 1e-3, (), 1e-4, 1e-2, None, True)
STEPS = Distribution("int", 1, (), 1, 9, 2)


@pytest.mark.parametrize(
    ("value", "distribution", "expected"),
    [
        (32, WIDTHS, 32),
        (8, WIDTHS, 16),
        (40, WIDTHS, 32),
        ("wide", WIDTHS, None),
        (True, WIDTHS, None),
        ("gelu", NAMES, "gelu"),
        ("elu", NAMES, None),
        (2, NAMES, None),
        (0.5, RATES, 1e-2),
        (0, RATES, 1e-4),
        (float("nan"), RATES, None),
        (["a"], RATES, None),
        (4.4, STEPS, 5),
        (99, STEPS, 9),
        # not 0.30000000000000004, and not 0.3, which is no step
        (0.4, Distribution("float", 0.0, (), 0.0, 0.3, 0.1), 0.3),
        (0.4, Distribution("float", 0.0, (), 0.0, 0.29, 0.1), 0.2),
    ],
)
def test_a_value_becomes_the_nearest_one(value: Any, distribution: Distribution, expected: Any) -> None:
    found = prior.projected(value, distribution)
    assert found == expected and type(found) is type(expected)
    assert found is None or distribution.contains(found)


def test_a_point_of_another_space_leaves_out_what_is_unknown_and_takes_defaults_for_the_rest() -> None:
    catalog = plugins.load()
    digits = space.check(space.load("digits_cnn", catalog), catalog)
    given = {"filters/first": 64, "batch_size/size": 64.0, "head/depth": 0, "head/width1": 32, "backbone/name": "x"}
    hp = HyperParameters(prior.replay_projected(given))
    space.draw(digits, catalog, hp, space.start_plan(digits, (8, 8, 1), 10))
    assert hp.values["filters/first"] == 32
    assert hp.values["conv_depth/blocks"] == hp.space["conv_depth/blocks"].default
    # this depth has no width
    assert hp.values["head/depth"] == 0 and "head/width1" not in hp.values and "backbone/name" not in hp.values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a dict with the keys points and weights"),
        ('{"points": [1]}', "points is a list of dicts"),
        ('{"weights": {"a": [[1]]}}', "weights has a list such as"),
        ('{"weights": {"a": [[1, -2]]}}', "weights has a list such as"),
        ('{"points": []}', "it has neither points nor weights"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(CnnsearchError, match=expected) as caught:
        prior.from_file(path)
    assert str(path) in caught.value.message and "\n" not in caught.value.message
    with pytest.raises(CnnsearchError, match="cannot be read"):
        prior.from_file(tmp_path / "absent.json")


def test_the_shipped_prior_is_for_spaces_with_its_dimensions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "search_spaces" / "priors").mkdir(parents=True)
    monkeypatch.setattr(prior, "shipped_folder", lambda: tmp_path)
    (folder / "small.json").write_text(json.dumps({"points": [{"a/x": 1, "b/y": 2}], "weights": {"c/z": [[1, 1]]}}))
    assert prior.shipped(["a", "b", "c"]).sources == ["small"]
    assert prior.shipped(["a", "b", "other"]).points
    assert not prior.shipped(["a", "other", "another"]).points


def test_the_shipped_prior_fits_the_shipped_spaces_of_its_family() -> None:
    catalog = plugins.load()
    for name in ("digits_cnn", "mnist_cnn", "fashion_mnist_cnn", "cifar10_cnn"):
        found = space.check(space.load(name, catalog), catalog)
        fitting = prior.shipped([use.name for use in found.dimensions])
        assert fitting.sources == ["small_cnn"] and fitting.weights
        nearest = []
        for point in fitting.points:
            hp = HyperParameters(prior.replay_projected(point.values))
            space.draw(found, catalog, hp, space.start_plan(found, found.input_shape, 10))
            nearest.append(hp.values)
        # most points stay different ones in the nearest space
        assert sum(values not in nearest[:at] for at, values in enumerate(nearest)) > len(nearest) / 2
    assert not prior.shipped(["backbone", "head", "learning_rate", "augmentation"]).points
