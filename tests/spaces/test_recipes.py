"""Recipes: points of their space, the reports' parameter counts, trained by name, marked on the leaderboard."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnsearch.core.errors import CnnsearchError, SpaceError
from cnnsearch.data.splits import Split
from cnnsearch.spaces import plugins, pretrained, recipes
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
from cnnsearch.spaces.point_check import points_checked
from cnnsearch.spaces.space import Space, check, from_file, hypermodel, load, trainer
from cnnsearch.training import fitting, model_io, training_data
from cnnsearch.training.candidate import Candidate, from_hypermodel, from_plan
from tests.conftest import Run

KNOWN = plugins.load()


def space_of(name: str) -> Space:
    return check(load(name, KNOWN), KNOWN)


SHIPPED = [(name, recipe) for name in KNOWN.names("space") for recipe in space_of(name).recipes]
SPACE = """
dataset = { use = "digits", limit = 300 }
input_shape = [8, 8, 1]
dimensions = [{ use = "conv_depth", max = 2 }, { use = "filters", first = [4, 8] }]
[defaults]
epochs = 1
max_params = 1300
[recipes.wide]
description = "Eight filters."
reported = { accuracy = 0.9 }
values = { "filters/first" = 8, "conv_depth/blocks" = 1 }
[recipes.deep]
values = { "conv_depth/convs" = 2 }
"""


@pytest.mark.parametrize(("space", "recipe"), [(s, r) for s, r in SHIPPED if not space_of(s).model])
def test_a_shipped_recipe_is_a_point_with_the_reported_parameters(space: str, recipe: str) -> None:
    found = space_of(space)
    values, plan = recipes.point(found, KNOWN, recipe)
    assert set(found.recipes[recipe]["values"]) <= set(values)
    assert found.recipes[recipe]["description"] and found.recipes[recipe]["source"]
    reported = found.recipes[recipe].get("reported", {})
    if "parameters" in reported:
        assert cost(plan).params == reported["parameters"]


def test_the_points_of_the_fast_space_are_within_its_limit() -> None:
    found = space_of("cifar10_fast")
    start = spaces.start_plan(found, (32, 32, 3), 10)
    points = {"default": spaces.draw(found, KNOWN, HyperParameters(defaults), start)}
    points["airbench94"] = recipes.point(found, KNOWN, "airbench94")[1]
    macs = {name: cost(plan).macs for name, plan in points.items()}
    assert all(40e6 < each <= found.defaults["max_macs"] == 150e6 for each in macs.values()), macs


def candidate(space: Space, recipe: str, images: int) -> Candidate:
    """The recipe's candidate, for batches of all images; a backbone without the weights that need a network."""
    if space.model:
        made = hypermodel(space, KNOWN, space.input_shape, 10)
        return recipes.whole(space, recipe, lambda hp: from_hypermodel(made, hp, images))[1]
    plan = recipes.point(space, KNOWN, recipe)[1].replace(batch_size=images, epochs=1)
    return from_plan(pretrained.without_weights(plan), images)


def features(space: Space, recipe: str) -> set[str]:
    """What a recipe's plan is made of, and its space; a model has no plan and is of a kind of its own."""
    if space.model:
        return {space.name, recipe}
    plan = recipes.point(space, KNOWN, recipe)[1]
    blocks = [*plan.stem, *plan.blocks]
    layers = {each if isinstance(each, str) else each[0] for block in blocks for each in block.layers}
    parts = (plan.head.layers, plan.head.reduce, plan.optimizer[0], plan.stem_rate > 0)
    return {space.name, *layers, *(name for name, _ in plan.augment), *map(str, parts)}


COMBINED = ("vgg16_tuned", "plain", "small_vgg")
"""Recipes whose features others have, too, but not together."""


def by_features() -> list[Any]:
    """The shipped recipes; those that add no feature to the others are further cases, but for COMBINED."""
    left = {(space, recipe): features(space_of(space), recipe) for space, recipe in SHIPPED}
    chosen, known = {case for case in SHIPPED if case[1] in COMBINED}, set[str]()
    while left and left[first := max(left, key=lambda case: len(left[case] - known))] - known:
        chosen.add(first)
        known |= left.pop(first)
    return [pytest.param(*case, marks=[] if case in chosen else [pytest.mark.slow]) for case in SHIPPED]


@pytest.mark.parametrize(("space", "recipe"), by_features())
def test_a_shipped_recipe_builds_trains_a_step_and_exports(space: str, recipe: str, tmp_path: Path) -> None:
    found, generator = space_of(space), np.random.default_rng(0)
    x = generator.integers(0, 256, (16, *found.input_shape), "uint8")
    y = np.arange(16) % 10
    parts = Split(x[:8], y[:8], x[8:], y[8:], x[:0], y[:0], x[:8])
    made = candidate(found, recipe, 8)
    data = training_data.for_candidate(made, parts, 10)
    outcome = fitting.train(made, trainer(found, KNOWN), None, data, 1, "val_accuracy", lambda epoch, metrics: True)
    assert np.isfinite(outcome.history[0]["loss"])
    for suffix in model_io.formats(made.core):
        path = tmp_path / f"model.{suffix}"
        model_io.save(made.core, path)
        again = model_io.opened(path, lambda: candidate(found, recipe, 8).core)
        np.testing.assert_allclose(again(x), model_io.predict(made.core, x), atol=1e-5)
    keras.backend.clear_session()


def test_recipes_go_first_are_not_limited_and_are_marked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SPACE)
    one = run("run", "--space", "mine.toml", "--recipe", "wide", "--jobs", "1")
    assert one.returncode == 0, one.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert [row["origin"] for row in rows] == ["recipe wide"]
    # more parameters than the space's limit: it was asked for by name
    assert rows[0]["params"] > 1300
    more = run("run", "--space", "mine.toml", "--recipes", "--trials", "4", "--jobs", "1")
    assert more.returncode == 0, more.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    origins = sorted(row["origin"] for row in rows if row["state"] in ("complete", "pruned"))
    assert origins == ["default", "recipe deep", "recipe wide", "sampler"]
    again = run("run", "--space", "mine.toml", "--recipe", "wide", "--jobs", "1")
    assert again.returncode == 0 and "already" in again.stdout


def test_listing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SPACE)
    said = run("recipes", "mine.toml").stdout
    assert "wide" in said and "accuracy 0.9" in said and "Eight filters." in said
    said = run("recipes").stdout
    assert all(recipe in said for _, recipe in SHIPPED)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"filters/first": 7}, r"recipe 'odd': filters/first = 7 is not in 4 \| 8"),
        ({"filters/frist": 8}, r"no hyperparameter 'filters/frist' is drawn there\. Did you mean 'filters/first'\?"),
        ({"conv_depth/blocks": 9}, r"conv_depth/blocks = 9 is not in 1 to 2"),
    ],
)
def test_what_is_no_point_of_the_space_is_refused(tmp_path: Path, values: dict[str, int], message: str) -> None:
    path = tmp_path / "mine.toml"
    table = "".join(f'"{key}" = {value}\n' for key, value in values.items())
    path.write_text(f"{SPACE}\n[recipes.odd.values]\n{table}")
    space = check(from_file(path), KNOWN)
    with pytest.raises(SpaceError, match=message):
        recipes.point(space, KNOWN, "odd")


def test_an_unknown_recipe_is_told_with_the_nearest() -> None:
    with pytest.raises(CnnsearchError, match=r"has no recipe 'plian'\. Did you mean 'plain'\?"):
        recipes.chosen(space_of("mnist_cnn"), ("plian",), False)


def test_grey_images_go_into_the_fast_space_and_airbench94(run: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (150, 28, 28, 1), "uint8")
    np.savez(tmp_path / "grey.npz", x=x, y=np.arange(150) % 10)
    small = ("--set", "filters.first=[4]", "--set", "filters.growth=[2.0]", "--jobs", "1")
    line = ("--space", "cifar10_fast", "--dataset", "grey.npz", "--epochs", "1", *small, "--confirm", "0")
    done = run("run", *line, "--trials", "1", "--study", "default")
    assert done.returncode == 0, done.stderr
    done = run("run", *line, "--recipe", "airbench94", "--study", "recipe")
    assert done.returncode == 0, done.stderr
    for study, origin in (("default", "default"), ("recipe", "recipe airbench94")):
        (row,) = json.loads(run("leaderboard", study, "--format", "json").stdout)
        assert (row["origin"], row["state"], row["epochs"]) == (origin, "complete", 1)
        exported = run("export", study, "-o", study)
        assert exported.returncode == 0, exported.stderr
        model = keras.saving.load_model(tmp_path / study / "model.keras", safe_mode=True)
        assert model.input_shape == (None, 28, 28, 1) and model.predict(x[:3], verbose=0).shape == (3, 10)
        (first,) = [layer for layer in model.layers if layer.name == "block1_1_conv2d"]
        kernel = first.get_weights()[0].reshape(4, 8)
        # a whitened stem has a filter and its negative for each of the four numbers of a patch of 2x2 pixels
        assert np.allclose(kernel[:, :4], -kernel[:, 4:]) == (study == "recipe")


def test_a_recipe_is_checked_for_images_of_the_size_that_the_space_is_made_for(tmp_path: Path) -> None:
    """With `--dataset` the shape of the images is not known yet."""
    path = tmp_path / "deep.toml"
    path.write_text(
        'dataset = "digits"\ninput_shape = [128, 128, 3]\n'
        'dimensions = [{ use = "conv_depth", min = 1, max = 6 }, "filters", "head"]\n'
        '[recipes.deep.values]\n"conv_depth/blocks" = 6\n'
    )
    unknown = replace(from_file(path), input_shape=(), image_size=(128, 128))
    with points_checked(unknown, (), ["deep"]):
        pass
    with pytest.raises(SpaceError, match="conv_depth/blocks = 6 is not in"):
        with points_checked(replace(unknown, image_size=(16, 16)), (), ["deep"]):
            pass
