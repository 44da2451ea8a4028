"""The parts of a report that a study's records give by themselves."""

from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.results.comparison import worth
from cnnsearch.results.report.drawing import brief
from cnnsearch.results.report.facts import Facts, duration
from cnnsearch.results.report.page import Command, Section, table
from cnnsearch.study import mlflow_store
from cnnsearch.study.trial import Record

HEADER = (
    *("rank", "trial", "score", "on fresh seeds", "seeds", "tie", "parameters", "multiply-adds"),
    *("1 image, ms", "best epoch", "time", "origin", "unlike the first"),
)

TOP = 10
"""Rows of the leaderboard that are shown unfolded."""


def board(known: Facts) -> Section:
    """The leaderboard: the top, and all of it folded."""
    words = f"The best first, by {known.metric} in their best epoch."
    if known.repeats:
        words = "Confirmed trials first, by their mean on fresh seeds, with its 95% interval. Ties overlap the first."
    ended = [row for row in known.rows if row["state"] == "complete"]
    tables = []
    if known.best is not None:
        words += f" Choices are named where they differ from those of trial {known.best.number}, which stand below."
        tables.append(table(HEADER, [_row(known, row) for row in ended[:TOP]]))
    if len(known.rows) > len(ended[:TOP]):
        rows = [(*_row(known, row)[:-1], row["state"], row["choices"], row["reason"]) for row in known.rows]
        header = (*HEADER[:-1], "state", "unlike the default point", "reason")
        tables.append(table(header, rows, f"All {len(rows)} rows", folded=True))
    return Section("leaderboard", "Leaderboard", (words if ended else "No trial is complete.",), tables=tuple(tables))


def _row(known: Facts, row: dict[str, Any]) -> tuple[Any, ...]:
    again, first = known.repeats.get(row["trial"]), known.best
    record = next(record for record in known.records if record.number == row["trial"])
    tie = "first" if record == first else "tie" if record.number in known.tied else ""
    return (
        row["rank"],
        row["trial"],
        known.score(row["score"]),
        known.interval(again) if again else None,
        again.n if again else None,
        tie if known.tied else None,
        f"{row['params']:,}" if row["params"] else None,
        f"{row['macs']:,}" if row["macs"] else None,
        f"{1000 * row['latency_1']:.2f}" if row["latency_1"] else None,
        f"{row['best_epoch']} of {row['epochs']}" if row["best_epoch"] else None,
        duration(row["seconds"]) if row["seconds"] else None,
        "" if record.origin == "sampler" else record.origin,
        known.unlike(record, first.choices, 2) if first and record != first else "",
    )


def against_recipes(known: Facts) -> Section:
    """The recipes and the default point beside the best that was found."""
    title, tuned = "Recipes against found", known.study.info["space"].get("recipes", {})
    if not known.recipes and not tuned:
        return Section("recipes", title, ("This space has no recipes: no hand-tuned points to compare with.",))
    words = "A recipe is a hand-tuned point of the space, trained here like any other trial."
    if not known.recipes:
        words = f"None of this space's {len(tuned)} recipes was trained; --recipes trains them beside the search."
    found = next((record for record in known.complete if record.origin == "sampler"), None)
    shown = [record for record in (found, known.default, *known.recipes) if record is not None]
    header = ("what", "trial", "state", "score", "on fresh seeds", "reported", "parameters", "multiply-adds", "time")
    return Section("recipes", title, (words,), tables=(table(header, [_beside(known, record) for record in shown]),))


def _beside(known: Facts, record: Record) -> tuple[Any, ...]:
    name = record.origin.partition(" ")[2]
    reported = known.study.info["space"].get("recipes", {}).get(name, {}).get("reported", {}) if name else {}
    again = known.repeats.get(record.number)
    return (
        {"sampler": "best found by the search", "default": "default point"}.get(record.origin, record.origin),
        record.number,
        record.failure or record.state,
        known.score(record.score),
        known.interval(again) if again else None,
        ", ".join(f"{key} {value}" for key, value in reported.items()),
        f"{record.weights:,}" if record.weights else None,
        f"{record.macs:,}" if record.macs else None,
        duration(record.seconds),
    )


def choices_worth(known: Facts, plugins: tuple[Path, ...]) -> Section:
    """What each value was worth against the default's, as `cnnsearch compare` finds it."""
    title = "What each choice was worth"
    try:
        found = worth.found(known.study, plugins, "")
    except CnnsearchError as error:
        return Section("worth", title, (error.message,))
    header = ("choice", "value", "against", "difference", "95% interval", "n", "how", "verdict")
    clear = [_difference(known, row) for row in found.rows if row["verdict"] != "unclear"]
    said = (
        "Differences whose intervals leave out zero:" if clear else "No interval leaves out zero: none is told apart."
    )
    tables = [table(header, clear)] if clear else []
    rows = [_difference(known, row) for row in found.rows]
    words = (*found.notes, said)
    return Section("worth", title, words, tables=(*tables, table(header, rows, f"All {len(rows)} comparisons", True)))


def _difference(known: Facts, row: dict[str, Any]) -> tuple[Any, ...]:
    unit = 100 if known.is_share else 1
    low, high = row["low"], row["high"]
    interval = "" if low is None else f"{unit * low:+.3g} to {unit * high:+.3g}"
    told = f"{unit * row['difference']:+.3g}" + (" points" if known.is_share else "")
    return row["choice"], row["value"], row["against"], told, interval, row["n"], row["how"], row["verdict"]


def winner(known: Facts) -> Section:
    """Every choice of the best trial beside the default point's."""
    title = "The best trial's choices"
    if known.best is None:
        return Section("winner", title, ("No trial is complete.",))
    default, choices = known.study.info.get("default", {}), known.best.choices
    rows = [(name, brief(value), brief(default.get(name, "not asked"))) for name, value in choices.items()]
    header = ("choice", f"trial {known.best.number}", "default point")
    other = [row for row in rows if row[1] != row[2]]
    tables = [table(header, other, "Where it differs from the default point")] if other else []
    return Section("winner", title, tables=(*tables, table(header, rows, "All of its choices", folded=True)))


def made_with(known: Facts) -> Section:
    """Data, seed, machine and versions."""
    info = known.study.info
    data, machine, options = info["data"], info.get("machine", {}), info["dataset"][1]
    images = data["images"]
    rows = [
        ("space", info["space"]["name"]),
        ("dataset", data["name"] + (f" ({', '.join(f'{k} = {v}' for k, v in options.items())})" if options else "")),
        ("images", ", ".join(f"{count:,} {part}" for part, count in images.items())),
        ("image", " x ".join(map(str, data["input_shape"])) + f", {len(data['classes'])} classes"),
        ("values", _values(data)),
        ("data's fingerprint", data["fingerprint"]),
        ("seed", info["seed"]),
        ("most epochs", info["epochs"]),
        ("devices", ", ".join(machine.get("devices", []))),
        ("precision", machine.get("precision", "")),
        *mlflow_store.versions(known.study).items(),
    ]
    words = "Training, validation and test were split once, by the seed; this report never looks at test itself."
    return Section("versions", "Made with", (words,), tables=(table(("what", "which"), rows),))


def _values(data: dict[str, Any]) -> str:
    """The type of the images' values and what those of training go from and to; nothing where it is not recorded."""
    if "value_range" not in data:
        return ""
    low, high = data["value_range"]
    return f"{data['dtype']}, {low:g} to {high:g}"


def commands(known: Facts) -> Section:
    """How to get all of this again."""
    name, info = f"{known.study.name}{known.where}", known.study.info
    found = [Command("The search, as it was started last:", str(info.get("command", "")) or "not recorded")]
    if known.best is not None:
        found.append(Command("The best as files:", f"cnnsearch export --trial {known.best.number} {name}"))
        found.append(Command("The best trained again:", f"cnnsearch reproduce {known.best.number} {name}"))
    found += [
        Command("What one choice was worth, measured:", f"cnnsearch compare {name} --by CHOICE --controlled"),
        Command("The whole leaderboard:", f"cnnsearch leaderboard {name} --format csv"),
        Command("This page:", f"cnnsearch report {name} -o report.html"),
        Command("Every trial in MLflow:", "cnnsearch ui"),
    ]
    return Section("commands", "Commands", commands=tuple(found))
