"""The sections of a report that are tables: leaderboard, recipes, effects, best trial, versions, commands."""

from dataclasses import replace
from typing import Any

from cnnsearch.results.comparison.effect_table import EffectTable
from cnnsearch.results.report.facts import Facts, brief, duration
from cnnsearch.results.report.page import Chart, Command, Section, table
from cnnsearch.spaces.prior import ORIGIN as PRIOR
from cnnsearch.study import mlflow_values
from cnnsearch.study.trial import Trial

HEADER = (
    *("rank", "trial", "score", "mean over seeds", "seeds", "tie", "parameters", "multiply-adds"),
    *("1 image, ms", "best epoch", "time", "origin", "differs from the first in"),
)

TOP = 10
"""The number of leaderboard rows that are shown where scripts do not run."""


def board(known: Facts) -> Section:
    """The leaderboard: its top as a table, and the whole of it as a table that sorts and filters."""
    text = f"Trials by {known.metric} in their best epoch, the best first."
    if known.best_mean is not None:
        text = (
            "Confirmed trials come first, by their mean over new seeds, with its 95% interval. A tie is a trial that "
            "may be as good as the first."
        )
    if taken := [record for record in known.trials if record.origin.startswith(PRIOR)]:
        plural = "s were" if len(taken) > 1 else " was"
        text += f" {len(taken)} trial{plural} taken from a prior: points that were good in other studies (see origin)."
    ended = [row for row in known.rows if row["state"] == "complete"]
    tables = []
    if known.best is not None:
        best = known.best
        rows = [(*_board_row(known, row), _differences(known, row, best)) for row in ended[:TOP]]
        caption = f"The last column has the hyperparameters that differ from those of the first, trial {best.number}."
        tables.append(table(HEADER, rows, caption))
    found = Section("leaderboard", "Leaderboard", (text if ended else "No trial is complete.",), tables=tuple(tables))
    return replace(found, widget="leaderboard") if known.rows else found


def _board_row(known: Facts, row: dict[str, Any]) -> tuple[Any, ...]:
    mean, first = known.means.get(row["trial"]), known.best
    record = known.by_number[row["trial"]]
    tie = "first" if first and record.number == first.number else "tie" if record.number in known.ties else ""
    return (
        row["rank"],
        row["trial"],
        known.score_text(row["score"]),
        known.mean_text(mean) if mean else None,
        mean.n if mean else None,
        tie if known.ties else None,
        f"{row['params']:,}" if row["params"] else None,
        f"{row['macs']:,}" if row["macs"] else None,
        f"{1000 * row['latency_1']:.2f}" if row["latency_1"] else None,
        f"{row['best_epoch']} of {row['epochs']}" if row["best_epoch"] else None,
        duration(row["seconds"]) if row["seconds"] else None,
        "" if record.origin == "sampler" else record.origin,
    )


def _differences(known: Facts, row: dict[str, Any], first: Trial) -> str:
    """The hyperparameters of a row that differ from those of the first."""
    record = known.by_number[row["trial"]]
    return "" if record.number == first.number else known.differing_choices(record, first.choices, 2)


def recipes(known: Facts) -> Section:
    """The recipes and the default point, next to the best trial that the search drew."""
    title, tuned = "Recipes and the search", known.study.info["space"].get("recipes", {})
    if not known.recipe_trials and not tuned:
        return Section("recipes", title, ("This space has no recipes: no points that were tuned by hand.",))
    text = "A recipe is a point of the space that was tuned by hand. It is trained here like any other trial."
    if not known.recipe_trials:
        text = f"None of this space's {len(tuned)} recipes was trained. With --recipes a search trains them, too."
    drawn = next((record for record in known.complete if record.origin == "sampler"), None)
    shown = [record for record in (drawn, known.default_trial, *known.recipe_trials) if record is not None]
    header = ("what", "trial", "state", "score", "mean over seeds", "reported", "parameters", "multiply-adds", "time")
    return Section("recipes", title, (text,), tables=(table(header, [_recipe_row(known, record) for record in shown]),))


def _recipe_row(known: Facts, record: Trial) -> tuple[Any, ...]:
    name = record.origin.partition(" ")[2]
    reported = known.study.info["space"].get("recipes", {}).get(name, {}).get("reported", {}) if name else {}
    mean = known.means.get(record.number)
    return (
        {"sampler": "best of the search", "default": "default point"}.get(record.origin, record.origin),
        record.number,
        record.failure or record.state,
        known.score_text(record.score),
        known.mean_text(mean) if mean else None,
        ", ".join(f"{key} {value}" for key, value in reported.items()),
        f"{record.weights:,}" if record.weights else None,
        f"{record.macs:,}" if record.macs else None,
        duration(record.seconds),
    )


def effects(known: Facts, found: EffectTable | str) -> Section:
    """The effect of each value against the default's, as `cnnsearch compare` computes it, or why there is none."""
    title = "Effect of each hyperparameter"
    if isinstance(found, str):
        return Section("effects", title, (found,))
    header = ("hyperparameter", "value", "reference", "difference", "95% interval", "n", "method", "verdict")
    clear = [_effect_row(known, row) for row in found.rows if row["verdict"] != "unclear"]
    tables = [table(header, clear, "The intervals of these differences do not contain zero.")] if clear else []
    rows = [_effect_row(known, row) for row in found.rows]
    tables.append(table(header, rows, f"All {len(rows)} comparisons", folded=True))
    alt = f"Differences in {known.metric} of each value against the reference, with their 95% intervals"
    chart = Chart(
        "effects",
        alt,
        "The largest differences. An interval that contains zero is grey, and one at the edge is longer.",
    )
    text = () if clear else ("Every interval contains zero.",)
    return Section("effects", title, (*found.notes, *text), (chart,), tables=tuple(tables))


def _effect_row(known: Facts, row: dict[str, Any]) -> tuple[Any, ...]:
    unit = 100 if known.is_share else 1
    low, high = row["low"], row["high"]
    interval = "" if low is None else f"{unit * low:+.3g} to {unit * high:+.3g}"
    difference = f"{unit * row['difference']:+.3g}" + (" points" if known.is_share else "")
    return row["choice"], row["value"], row["against"], difference, interval, row["n"], row["how"], row["verdict"]


def best_trial(known: Facts) -> Section:
    """Every hyperparameter of the best trial next to the default point's."""
    title = "Hyperparameters of the best trial"
    if known.best is None:
        return Section("best", title, ("No trial is complete.",))
    default, choices = known.study.info.get("default", {}), known.best.choices
    if not default:
        # a function that trains for itself has no default point
        found = [(name, brief(value)) for name, value in choices.items()]
        only = (table(("hyperparameter", f"trial {known.best.number}"), found),) if found else ()
        return Section("best", title, tables=only)
    rows = [(name, brief(value), brief(default.get(name, "not used"))) for name, value in choices.items()]
    header = ("hyperparameter", f"trial {known.best.number}", "default point")
    other = [row for row in rows if row[1] != row[2]]
    tables = [table(header, other, "Different from the default point")] if other else []
    return Section("best", title, tables=(*tables, table(header, rows, "All hyperparameters", folded=True)))


def made_with(known: Facts) -> Section:
    """Data, seed, machine and versions."""
    info = known.study.info
    data, machine, options = info["data"], info.get("machine", {}), info["dataset"][1]
    rows = [
        ("space", info["space"]["name"]),
        ("dataset", data["name"] + (f" ({', '.join(f'{k} = {v}' for k, v in options.items())})" if options else "")),
        ("images", ", ".join(f"{count:,} {part}" for part, count in data["images"].items())),
        ("image", " x ".join(map(str, data["input_shape"])) + f", {len(data['classes'])} classes"),
        ("values", _values(data)),
        ("data's fingerprint", data["fingerprint"]),
        ("seed", info["seed"]),
        ("most epochs", info["epochs"]),
        ("devices", ", ".join(machine.get("devices", [])) or "not recorded: the workers did not import Keras"),
        ("precision", machine.get("precision", "") or "not recorded: the workers did not import Keras"),
        *mlflow_values.versions(known.study).items(),
    ]
    text = "The seed split the images once into training, validation and test. This report never uses the test set."
    if not known.has_test_images:
        text = "The function of this study trains for itself, with data of its own."
    return Section("versions", "Made with", (text,), tables=(table(("what", "which"), rows),))


def _values(data: dict[str, Any]) -> str:
    """The type and the range of the training images' values; empty if they are not recorded."""
    if "value_range" not in data:
        return ""
    low, high = data["value_range"]
    return f"{data['dtype']}, {low:g} to {high:g}"


def commands(known: Facts) -> Section:
    """The commands that give all of this again."""
    name, info = f"{known.study.name}{known.options}", known.study.info
    found = [Command("The last command of the search:", str(info.get("command", "")) or "not recorded")]
    if known.best is not None and (known.has_test_images or known.best.checkpoint):
        found.append(Command("Export the best model:", f"cnnsearch export --trial {known.best.number} {name}"))
    if known.best is not None:
        found.append(Command("Train the best trial again:", f"cnnsearch reproduce {known.best.number} {name}"))
    found += [
        Command("Measure the effect of one hyperparameter:", f"cnnsearch compare {name} --by NAME --controlled"),
        Command("The whole leaderboard:", f"cnnsearch leaderboard {name} --format csv"),
        Command("This page:", f"cnnsearch report {name} -o report.html"),
        Command("Every trial in MLflow:", "cnnsearch ui"),
    ]
    return Section("commands", "Commands", commands=tuple(found))
