"""What `cnnsearch spaces`, `plugins`, `datasets` and `ui` say."""

import contextlib
import math
import os
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

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

FALLBACK = (28, 28, 1)
CLASSES = 10
"""What sizes are shown for: no data is read to show a space."""


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


def space(name: str, known: Catalog) -> str:
    """A space in words: dimensions, ranges, default point, size, recipes.

    Raises:
        CnnsearchError: if there is none, or it is wrong.
    """
    found = space_files.check(space_files.load(name, known), known)
    if found.model:
        lines = [f"{found.name}: {found.description or 'a hypermodel'}", "Its ranges show when it is built: run it."]
        return "\n".join([*lines, *_recipe_lines(found)])
    height, width, channels = found.input_shape or FALLBACK
    start = space_files.start_plan(found, (height, width, channels), CLASSES)
    hp = HyperParameters(defaults)
    plan = space_files.draw(found, known, hp, start, as_space_error=(Exception,))
    seen = _ranges(found, known, start)
    lines = [
        f"{found.name}: {found.description}",
        f"dataset: {found.dataset.name if found.dataset else 'none'}",
        f"sizes are those for images of {height}x{width}x{channels} and {CLASSES} classes",
        "",
        "ranges (the default first or in brackets)",
    ]
    lines += [f"  {name:<28} {_range(distribution)}" for name, distribution in seen.items() if distribution.size > 1]
    lines += ["", f"size: {_size(seen)}", "", "default point", *_plan_lines(plan)]
    lines += ["", "defaults: " + ", ".join(f"{k}={_brief(v)}" for k, v in found.defaults.items())]
    return "\n".join([*lines, *_recipe_lines(found)])


def recipes(name: str | None, known: Catalog) -> list[tuple[str, str, str, str, str]]:
    """The recipes of one space, or of every space that can be read.

    Raises:
        CnnsearchError: if the named space is not there or wrong.
    """
    if name:
        return listing(space_files.check(space_files.load(name, known), known), known)
    usable = [entry.name for entry in known.of("space") if entry.path and not entry.problem]
    rows = []
    for each in usable:
        with contextlib.suppress(CnnsearchError):
            rows += recipes(each, known)
    return rows


def ui(host: str, port: int, runs: Path, storage: str) -> int:
    """Serve MLflow's pages until they are stopped; gives the exit code.

    The runs of studies that were moved without their store are written first, from the studies.

    Raises:
        CnnsearchError: if there is nothing to show yet.
    """
    from cnnsearch.study.mlflow_store import check_usable, tracking_uri

    uri = tracking_uri()
    check_usable(uri)
    if uri.startswith("sqlite:///"):
        from cnnsearch.tuning.callbacks import mlflow

        mlflow.write_moved(runs, storage, print)
    path = uri.removeprefix("sqlite:///")
    if uri.startswith("sqlite:///") and not os.path.exists(path):  # noqa: PTH110
        raise CnnsearchError(f"There is no {path} here yet. Search first: cnnsearch run --space digits_cnn --trials 10")
    check_free(host, port)
    print(f"MLflow on {address(host, port, path)} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port), "--backend-store-uri", uri]
    if os.name == "posix":
        os.execv(sys.executable, command)  # so that a signal reaches MLflow itself
    return subprocess.run(command, check=False).returncode


def address(host: str, port: int, store: str) -> str:
    """The page of the experiment that was last worked on, in MLflow's view of model training.

    MLflow 3.17 opens its view of GenAI unless the address names the other one.
    """
    query = (
        "select e.experiment_id from runs r join experiments e on e.experiment_id = r.experiment_id "
        "where e.name like 'cnnsearch/%' order by r.start_time desc limit 1"
    )
    page = "experiments"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(store, timeout=5)) as database:
        if found := database.execute(query).fetchone() if os.path.exists(store) else None:  # noqa: PTH110
            page = f"experiments/{found[0]}/runs"
    return f"http://{host}:{port}/#/{page}?workflowType=machine_learning"


def check_free(host: str, port: int) -> None:
    """Refuse an address on which nothing can be served.

    Raises:
        CnnsearchError: it says why.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        # TypeError: a name that is none
        except (OSError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CnnsearchError(
                f"{host}:{port} cannot be used: {reason}. Name another with --port or --host."
            ) from error


def _recipe_lines(found: Space) -> list[str]:
    if not found.recipes:
        return []
    return ["", "recipes", *(f"  {k:<20} {v.get('description', '')}" for k, v in found.recipes.items())]


def _ranges(found: Space, known: Catalog, start: Plan) -> dict[str, Distribution]:
    """Every hyperparameter that 200 random points drew."""
    seen: dict[str, Distribution] = {}
    for seed in range(200):
        hp = HyperParameters(by_chance(seed))
        # a point that cannot be drawn to its end costs a search one trial
        with contextlib.suppress(SpaceError):
            space_files.draw(found, known, hp, start, as_space_error=(Exception,))
        seen.update({name: d for name, d in hp.space.items() if name not in seen})
    order = [use.name for use in found.dimensions]
    return dict(sorted(seen.items(), key=lambda item: order.index(item[0].partition("/")[0])))


def _range(distribution: Distribution) -> str:
    if distribution.kind == "choice":
        rest = tuple(choice for choice in distribution.choices if choice != distribution.default)
        text = str(replace(distribution, choices=(distribution.default, *rest)))
        return text
    return f"{distribution} [{_brief(distribution.default)}]"


def _size(seen: dict[str, Distribution]) -> str:
    sizes = [d.size for d in seen.values()]
    points = math.prod(size for size in sizes if math.isfinite(size))
    continuous = sum(not math.isfinite(size) for size in sizes)
    text = f"up to {points:,.0f} points" if points < 1e15 else f"up to {points:.1e} points"
    return text + (f", times {continuous} continuous range{'s' * (continuous > 1)}" if continuous else "")


def _plan_lines(plan: Plan) -> list[str]:
    lines = [
        f"  {name} {n}: {_sentence(b)}"
        for name, blocks in (("stem", plan.stem), ("block", plan.blocks))
        for n, b in enumerate(blocks, 1)
    ]
    head = f"  head: {plan.head.reduce}" + "".join(f", dense {width}" for width in plan.head.widths)
    lines += [
        head,
        f"  {plan.optimizer[0]} {plan.optimizer[1]}, batch {plan.batch_size}, {plan.epochs} epochs",
    ]
    try:
        price = cost(plan)
    except ValueError as error:
        return [*lines, f"  it cannot be built: {error}"]
    return [*lines, f"  {price.params:,} parameters, {price.macs:,} multiply-adds an image"]


def _sentence(block: Block) -> str:
    words = " ".join(item if isinstance(item, str) else _spec(*item) for item in sentence(block.layers))
    items = list(each_item(sentence(block.layers)))
    sized = any(item in ("conv", "down") if isinstance(item, str) else "=filters" in item[1].values() for item in items)
    return f"{words} ({block.filters} filters, {block.kernel}x{block.kernel})" if sized else words


def _spec(name: str, config: dict[str, object]) -> str:
    if ways := paths((name, config)):
        told_ways = (
            " ".join(item if isinstance(item, str) else _spec(*item) for item in way) or "as it is" for way in ways
        )
        return f"{name}({' | '.join(told_ways)})"
    # a reference to the block's own number is written `=filters`
    told = (f"{key}={str(value).removeprefix('=')}" for key, value in config.items())
    return f"{name}({', '.join(told)})"


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
