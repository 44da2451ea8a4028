"""Everything shipped keeps the contracts of plugins; a wrong order of dimensions is found."""

import re
from pathlib import Path
from typing import Any

import pytest

from cnnsearch.cli.check import check
from cnnsearch.spaces import plugins
from cnnsearch.testing import (
    BrokenContract,
    DatasetSuite,
    DimensionSuite,
    HypermodelSuite,
    NotChecked,
    SpaceSuite,
    TrainerSuite,
    check_contracts,
    spaces,
)

ROOT = Path(__file__).parents[2]
SHIPPED = [entry for entry in plugins.load(here=ROOT / "docs").entries if entry.origin == "shipped"]
SUITES: dict[str, tuple[type, str]] = {
    "dimension": (DimensionSuite, "dimension"),
    "dataset": (DatasetSuite, "dataset"),
    "trainer": (TrainerSuite, "trainer"),
    "space": (HypermodelSuite, "space"),
}
OPTIONS: dict[str, dict[str, Any]] = {
    # each of the others takes seconds to be made, and is in test_backbones.py
    "backbone": {"names": ("MobileNetV2",), "weights": "none", "train_last": (0,)},
    # all that they know, not only what they draw by default
    "optimizer": {"names": ("Adam", "AdamW", "Nadam", "RMSprop", "SGD", "Muon")},
    "schedule": {"kinds": ("constant", "exponential", "plateau", "cosine", "one_cycle", "triangular")},
    "initial_filters": {"choices": ("glorot", "dirac", "he", "orthogonal")},
}
FILES = {"npz", "folder", "mnist", "fashion_mnist", "cifar10"}
"""Datasets that read files; tests/datasets makes them."""


def suite(entry: plugins.Entry) -> type:
    """The suite for one shipped thing, as an author would write it."""
    if entry.function is None:
        return type("Shipped", (SpaceSuite,), {"space": entry.name})
    base, attribute = SUITES[entry.kind]
    return type("Shipped", (base,), {attribute: entry.function, "options": OPTIONS.get(entry.name, {})})


for _entry in SHIPPED:
    if _entry.name not in FILES:
        globals()[f"Test_{_entry.kind}_{_entry.name}"] = suite(_entry)


PLAIN = ["conv_depth", "filters", "kernel_size", "norm_dropout", "optimizer", "learning_rate"]


def results(path: Path, dimensions: list[str], more: str = "") -> dict[str, str]:
    path.write_text(f'description = "One."\ninput_shape = [8, 8, 1]\ndimensions = {dimensions}\n{more}')
    subject = spaces.File(str(path), plugins.load(here=path.parent))
    subject.contracts = [each for each in subject.contracts if each.name not in ("trains_a_step", "survives_saving")]
    return {result.contract.name: result.why for result in check_contracts(subject) if result.mark != "ok"}


@pytest.mark.parametrize(
    ("dimensions", "lost"),
    [
        (["filters", "conv_depth"], "filters"),
        (["kernel_size", "conv_depth"], "kernel_size"),
        (["norm_dropout", "conv_depth"], "norm_dropout"),
        (["downsampling", "conv_depth"], "downsampling"),
        (["strided_end", "conv_depth"], "strided_end"),
        (["conv_depth", "weight_decay", "optimizer"], "weight_decay"),
        (["backbone", "denoiser", "head"], "backbone"),
    ],
)
def test_a_dimension_that_comes_too_early_is_named(tmp_path: Path, dimensions: list[str], lost: str) -> None:
    found = results(tmp_path / "one.toml", dimensions)
    assert f"without {lost} the plans are the same. Move it" in found["needs_each_dimension"]


def test_the_right_order_keeps_all(tmp_path: Path) -> None:
    assert results(tmp_path / "one.toml", PLAIN) == {}


def test_a_recipe_outside_the_space_is_named(tmp_path: Path) -> None:
    found = results(tmp_path / "one.toml", PLAIN, '[recipes.wide]\nvalues = { "filters/first" = 1000 }')
    assert set(found) == {"has_recipes_that_are_points"}
    assert "recipe 'wide': filters/first = 1000 is not in " in found["has_recipes_that_are_points"]


def test_a_suite_takes_functions_and_static_methods() -> None:
    (filters,) = [entry.function for entry in SHIPPED if entry.name == "filters"]
    assert filters is not None
    for written in (filters, staticmethod(filters)):
        made: Any = type("Made", (DimensionSuite,), {"dimension": written})
        assert made.subject().function is filters
        made().test_has_a_summary()


def test_a_suite_says_what_is_broken() -> None:
    def narrow(hp: Any, plan: Any, *, width: int) -> Any:
        """How narrow it is."""
        return plan

    made: Any = type("Made", (DimensionSuite,), {"dimension": narrow})
    with pytest.raises(BrokenContract, match=r"^dimension narrow: its option width has no default\. Give it one"):
        made().test_takes_options_by_keyword()
    with pytest.raises(NotChecked, match="It is based on: It takes its options"):
        made().test_trains_a_step()


# -- plugins that are wrong ------------------------------------------------------------------------

BROKEN = ROOT / "tests" / "broken_plugins"
EXPECTED = dict(re.findall(r"(?m)^(\S+)\n  (.+)$", (BROKEN / "expected.txt").read_text()))


def test_each_broken_plugin_has_its_line() -> None:
    assert set(EXPECTED) == {path.name for path in BROKEN.iterdir() if path.suffix in (".py", ".toml")}
    assert len(EXPECTED) >= 20 and len(set(EXPECTED.values())) == len(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_broken_plugin_gives_its_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    said: list[str] = []
    assert check(name, (), (), said.append) == 1
    assert [line.strip() for line in said if line.startswith("  !!")] == [EXPECTED[name]]
    assert said[-1].endswith("1 broken") or " 1 broken, " in said[-1]
