"""What `cnnsearch spaces`, `recipes`, `plugins` and `datasets` print."""

import contextlib
import math
from dataclasses import replace

from cnnsearch.core.errors import CnnsearchError, SpaceError
from cnnsearch.spaces import plugin_options
from cnnsearch.spaces import space as space_files
from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance, defaults
from cnnsearch.spaces.plan import Block, Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.recipes import listing
from cnnsearch.spaces.sentences import each_item, paths, sentence
from cnnsearch.spaces.space import Space

FALLBACK_SHAPE = (28, 28, 1)
"""The images' shape (height, width, channels) for sizes of a space that names none. No data is read to describe it."""

CLASSES = 10
"""The number of classes for sizes of a space."""

POINTS = 200
"""How many random points are drawn to find the hyperparameters of a space."""


def spaces(known: Catalog) -> list[tuple[str, str, str]]:
    """Name, description and origin of every space."""
    rows = []
    for entry in known.of("space"):
        try:
            what = entry.summary if entry.problem else space_files.load(entry.name, known).description
        except CnnsearchError as error:
            what = f"broken: {error.message}"
        rows.append((entry.name, what, entry.origin))
    return rows


def plugins(known: Catalog) -> list[tuple[str, str, str, str]]:
    """Kind, name, summary and origin of every plugin."""
    return [(e.kind, e.name, e.summary, e.origin) for e in known.entries if e.kind != "space" or e.function]


def datasets(known: Catalog) -> list[tuple[str, str, str, str]]:
    """Name, summary, options and origin of every dataset."""
    return [
        (e.name, e.summary, plugin_options.describe(plugin_options.options(e.function)) if e.function else "", e.origin)
        for e in known.of("dataset")
    ]


def recipes(name: str | None, known: Catalog) -> list[tuple[str, str, str, str, str]]:
    """The recipes of one space, or of every space that can be read.

    Raises:
        CnnsearchError: if there is no such space, or it is wrong.
    """
    if name:
        return listing(space_files.check(space_files.load(name, known), known), known)
    usable = [entry.name for entry in known.of("space") if entry.path and not entry.problem]
    rows = []
    for each in usable:
        with contextlib.suppress(CnnsearchError):
            rows += recipes(each, known)
    return rows


def space(name: str, known: Catalog) -> str:
    """A space as text: its dimensions, ranges, default point, size and recipes.

    Raises:
        CnnsearchError: if there is no such space, or it is wrong.
    """
    found = space_files.check(space_files.load(name, known), known)
    if found.model:
        lines = [f"{found.name}: {found.description or 'a hypermodel'}", "Its ranges show when it is built: run it."]
        return "\n".join([*lines, *_recipe_lines(found)])
    height, width, channels = found.input_shape or FALLBACK_SHAPE
    start = space_files.start_plan(found, (height, width, channels), CLASSES)
    plan = space_files.draw(found, known, HyperParameters(defaults), start, as_space_error=(Exception,))
    distributions = _distributions(found, known, start)
    lines = [
        f"{found.name}: {found.description}",
        f"dataset: {found.dataset.name if found.dataset else 'none'}",
        f"sizes are computed for images of {height}x{width}x{channels} and {CLASSES} classes",
        "",
        "ranges (the default first or in brackets)",
    ]
    lines += [f"  {name:<28} {_range(each)}" for name, each in distributions.items() if each.size > 1]
    lines += ["", f"size: {_size(distributions)}", "", "default point", *_plan_lines(plan)]
    lines += ["", "defaults: " + ", ".join(f"{k}={_brief(v)}" for k, v in found.defaults.items())]
    return "\n".join([*lines, *_recipe_lines(found)])


def _recipe_lines(found: Space) -> list[str]:
    if not found.recipes:
        return []
    return ["", "recipes", *(f"  {k:<20} {v.get('description', '')}" for k, v in found.recipes.items())]


def _distributions(found: Space, known: Catalog, start: Plan) -> dict[str, Distribution]:
    """The hyperparameters that POINTS random points drew, in the order of the dimensions."""
    seen: dict[str, Distribution] = {}
    for seed in range(POINTS):
        hp = HyperParameters(by_chance(seed))
        # in a search, a point whose draw fails is one failed trial
        with contextlib.suppress(SpaceError):
            space_files.draw(found, known, hp, start, as_space_error=(Exception,))
        seen.update({name: d for name, d in hp.space.items() if name not in seen})
    order = [use.name for use in found.dimensions]
    return dict(sorted(seen.items(), key=lambda item: order.index(item[0].partition("/")[0])))


def _range(distribution: Distribution) -> str:
    if distribution.kind == "choice":
        rest = tuple(choice for choice in distribution.choices if choice != distribution.default)
        return str(replace(distribution, choices=(distribution.default, *rest)))
    return f"{distribution} [{_brief(distribution.default)}]"


def _size(distributions: dict[str, Distribution]) -> str:
    sizes = [each.size for each in distributions.values()]
    points = math.prod(size for size in sizes if math.isfinite(size))
    continuous = sum(not math.isfinite(size) for size in sizes)
    text = f"up to {points:,.0f} points" if points < 1e15 else f"up to {points:.1e} points"
    return text + (f", times {continuous} continuous range{'s' * (continuous > 1)}" if continuous else "")


def _plan_lines(plan: Plan) -> list[str]:
    lines = [
        f"  {name} {n}: {_block_text(block)}"
        for name, blocks in (("stem", plan.stem), ("block", plan.blocks))
        for n, block in enumerate(blocks, 1)
    ]
    head = f"  head: {plan.head.reduce}" + "".join(f", dense {width}" for width in plan.head.widths)
    training = f"  {plan.optimizer[0]} {plan.optimizer[1]}, batch {plan.batch_size}, {plan.epochs} epochs"
    try:
        price = cost(plan)
        costs = f"  {price.params:,} parameters, {price.macs:,} multiply-adds per image"
    except ValueError as error:
        costs = f"  it cannot be built: {error}"
    return [*lines, head, training, costs]


def _block_text(block: Block) -> str:
    """A block's layers in one line, with filters and kernel if a layer uses them."""
    words = " ".join(item if isinstance(item, str) else _layer_text(*item) for item in sentence(block.layers))
    items = list(each_item(sentence(block.layers)))
    sized = any(item in ("conv", "down") if isinstance(item, str) else "=filters" in item[1].values() for item in items)
    return f"{words} ({block.filters} filters, {block.kernel}x{block.kernel})" if sized else words


def _layer_text(name: str, config: dict[str, object]) -> str:
    if branches := paths((name, config)):
        texts = (
            " ".join(item if isinstance(item, str) else _layer_text(*item) for item in branch) or "as it is"
            for branch in branches
        )
        return f"{name}({' | '.join(texts)})"
    # a plan writes a reference to the block's own number as `=filters`
    settings = (f"{key}={str(value).removeprefix('=')}" for key, value in config.items())
    return f"{name}({', '.join(settings)})"


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
