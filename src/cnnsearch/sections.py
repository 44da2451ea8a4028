"""The parts of a report that a study's records give by themselves."""

from typing import Any

from cnnsearch import mlflow_store
from cnnsearch.drawing import brief
from cnnsearch.facts import Facts, duration
from cnnsearch.page import Command, Section, table
from cnnsearch.record import Record

HEADER = (
    *("rank", "trial", "state", "score", "on fresh seeds", "seeds", "tie", "parameters", "multiply-adds"),
    *("1 image, ms", "best epoch", "time", "origin", "differs from the default point in"),
)

TOP = 10
"""Rows of the leaderboard that are shown unfolded."""


def board(known: Facts) -> Section:
    """The leaderboard: the top, and all of it folded."""
    words = f"The best first, by {known.metric} in their best epoch."
    if known.repeats:
        words = "Confirmed trials first, by their mean on fresh seeds, with its 95% interval. Ties overlap the first."
    rows = [_row(known, row) for row in known.rows]
    ended = [cells for cells, row in zip(rows, known.rows, strict=True) if row["state"] == "complete"]
    tables = [table(HEADER, ended[:TOP])] if ended else []
    if len(rows) > len(ended[:TOP]):
        tables.append(table((*HEADER, "reason"), _with_reasons(known, rows), f"All {len(rows)} rows", folded=True))
    return Section(
        "leaderboard", "Leaderboard", tuple(words if ended else ["No trial is complete."]), tables=(*tables,)
    )


def _row(known: Facts, row: dict[str, Any]) -> tuple[Any, ...]:
    again = known.repeats.get(row["trial"])
    best = known.best
    tie = "first" if best and row["trial"] == best.number else "tie" if row["trial"] in known.tied else ""
    return (
        row["rank"],
        row["trial"],
        row["state"],
        known.score(row["score"]),
        known.interval(again) if again else None,
        again.n if again else None,
        tie if known.tied else None,
        f"{row['params']:,}" if row["params"] else None,
        f"{row['macs']:,}" if row["macs"] else None,
        _milliseconds(row),
        f"{row['best_epoch']} of {row['epochs']}" if row["best_epoch"] else None,
        duration(row["seconds"]) if row["seconds"] else None,
        row["origin"],
        row["choices"],
    )


def _with_reasons(known: Facts, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(*cells, row["reason"]) for cells, row in zip(rows, known.rows, strict=True)]


def _milliseconds(row: dict[str, Any]) -> str | None:
    """What a row says of the time for one image, where an export measured it."""
    return f"{row['latency_1']:.2f}" if row.get("latency_1") else None


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


def winner(known: Facts) -> Section:
    """Every choice of the best trial beside the default point's."""
    title = "The best trial's choices"
    if known.best is None:
        return Section("winner", title, ("No trial is complete.",))
    default, choices = known.study.info.get("default", {}), known.best.choices
    rows = [(name, brief(value), brief(default[name]) if name in default else "") for name, value in choices.items()]
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
        ("data's fingerprint", data["fingerprint"]),
        ("seed", info["seed"]),
        ("most epochs", info["epochs"]),
        ("devices", ", ".join(machine.get("devices", []))),
        ("precision", machine.get("precision", "")),
        *mlflow_store.versions(known.study).items(),
    ]
    words = "Training, validation and test were split once, by the seed; this report never looks at test itself."
    return Section("versions", "Made with", (words,), tables=(table(("what", "which"), rows),))


def commands(known: Facts) -> Section:
    """How to get all of this again."""
    name, info = f"{known.study.name}{known.where}", known.study.info
    found = [Command("The search, as it was started last:", str(info.get("command", "")) or "not recorded")]
    if known.best is not None:
        found.append(Command("The best as files:", f"cnnsearch export --trial {known.best.number} {name}"))
        found.append(Command("The best trained again:", f"cnnsearch reproduce {known.best.number} {name}"))
    found += [
        Command("The whole leaderboard:", f"cnnsearch leaderboard {name} --format csv"),
        Command("This page:", f"cnnsearch report {name} -o report.html"),
        Command("Every trial in MLflow:", "cnnsearch ui"),
    ]
    return Section("commands", "Commands", commands=tuple(found))
