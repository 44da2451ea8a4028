"""The data of a report's charts and of its leaderboard, as one JSON object."""

import json
import math
from collections.abc import Sequence
from typing import Any

from cnnsearch.results.comparison.effect_table import Row as EffectRow
from cnnsearch.results.report import trial_records
from cnnsearch.results.report.facts import Facts
from cnnsearch.spaces import layer_specs
from cnnsearch.spaces.plan import Plan
from cnnsearch.study.trial import Trial

TRIALS = 5000
"""So many trials are on the page; 10,000 would be 3 MB."""

CURVES = 200
"""So many trials have their learning curves on the page."""

HISTORIES = 20
"""So many of the best trials have all metrics of all epochs on the page."""

PLANS = 100
"""So many of the best trials have their layers on the page."""

LINES = 1500
"""So many complete trials are lines of the parallel coordinates."""

Payload = dict[str, Any]


def to_json(payload: Any) -> str:
    """Compact JSON for a script element: no text in it can end the element, and no number is NaN."""
    text = json.dumps(_plain(payload), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def payload(known: Facts, effects: Sequence[EffectRow], mistakes: Payload | None) -> Payload:
    """All data of one study; see `report.js`, which reads it."""
    info, shown = known.study.info, _shown(known)
    names = sorted({name for record in shown for name in record.choices})
    rows = {row["trial"]: row for row in known.rows}
    return {
        "study": known.study.name,
        "options": known.options,
        "metric": known.metric,
        "maximize": known.study.maximize,
        "share": known.is_share,
        "tested": known.has_test_images,
        "all_trials": len(known.trials),
        "lines": LINES,
        "best": known.best.number if known.best else None,
        "names": names,
        "default": {name: _value(value) for name, value in info.get("default", {}).items()},
        "trials": _columns(known, shown, rows),
        "choices": {name: [_value(record.choices.get(name)) for record in shown] for name in names},
        "curves": _curves(known, shown),
        "histories": {record.number: _history(record) for record in known.complete[:HISTORIES] if record.history},
        "plans": {record.number: layers(record.plan) for record in known.complete[:PLANS] if record.plan},
        "logs": trial_records.logs(known),
        "runs": trial_records.mlflow_runs(known),
        "importance": [{**row._asdict(), "above": row.above_chance} for row in known.importances],
        "effects": [dict(row) for row in effects],
        "mistakes": mistakes,
    }


def layers(plan: str) -> list[list[Any]]:
    """The layers of a plan, by its stages: the name of a stage and its layers as text."""
    drawn = Plan.from_json(plan)
    stages: list[list[Any]] = [["input", [" x ".join(map(str, drawn.input_shape))]]]
    if drawn.augment:
        stages.append(["augmentation (training only)", [_layer(spec) for spec in drawn.augment]])
    for kind, blocks in (("stem", drawn.stem), ("block", drawn.blocks)):
        for number, block in enumerate(blocks, 1):
            stages.append([f"{kind} {number}", [_layer(spec) for spec in layer_specs.specs(block) if spec]])
    head = [_layer(layer_specs.REDUCTIONS[drawn.head.reduce])]
    for width in drawn.head.widths:
        head += [_layer(spec) for spec in layer_specs.specs(drawn.head, width) if spec]
    stages.append(["head", [*head, f"Dense {drawn.classes}, softmax"]])
    stages.append(["training", [_layer(drawn.loss), _layer(drawn.optimizer), f"batches of {drawn.batch_size}"]])
    return stages


def _layer(spec: Any) -> str:
    kind, config = spec
    return f"{kind} {', '.join(f'{key} {_value(value)}' for key, value in config.items())}".strip()


def _shown(known: Facts) -> list[Trial]:
    """The trials on the page, in the order of their numbers: all, or the first rows of the leaderboard."""
    if len(known.trials) <= TRIALS:
        return list(known.trials)
    first = {row["trial"] for row in known.rows[:TRIALS]}
    return [record for record in known.trials if record.number in first]


def _columns(known: Facts, shown: Sequence[Trial], rows: dict[int, dict[str, Any]]) -> dict[str, list[Any]]:
    """Each fact of the trials as one list."""
    ties, times = set(known.ties), known.times
    columns: dict[str, list[Any]] = {
        "number": [record.number for record in shown],
        "state": [record.failure or record.state for record in shown],
        "origin": [record.origin for record in shown],
        "score": [record.score for record in shown],
        "best_epoch": [record.best_epoch or None for record in shown],
        "epochs": [record.epochs for record in shown],
        "seconds": [round(record.seconds, 1) for record in shown],
        "params": [record.weights or None for record in shown],
        "macs": [record.macs or None for record in shown],
        "reason": [record.reason for record in shown],
        "seed": [record.seed for record in shown],
    }
    for name in ("rank", "mean", "low", "high", "n", "latency_1"):
        columns[name] = [rows.get(record.number, {}).get(name) for record in shown]
    columns["tie"] = [record.number in ties for record in shown]
    columns["start"], columns["end"] = ([times.get(r.number, (None, None))[at] for r in shown] for at in (0, 1))
    return columns


def _curves(known: Facts, shown: Sequence[Trial]) -> dict[int, list[float | None]]:
    """The metric after each epoch: of the best trials, and of others that were trained, evenly spaced."""
    best = [record for record in known.complete if record.history][: CURVES // 2]
    chosen = {record.number for record in best}
    others = [record for record in shown if record.history and record.number not in chosen]
    step = max(1, len(others) // (CURVES // 2))
    metric = str(known.study.info["metric"])
    return {r.number: [each.get(metric) for each in r.history] for r in [*best, *others[::step][: CURVES // 2]]}


def _history(record: Trial) -> dict[str, list[float | None]]:
    # a metric that was not finite in an epoch is missing there
    names = dict.fromkeys(name for epoch in record.history for name in epoch)
    return {name: [epoch.get(name) for epoch in record.history] for name in names}


def _value(value: Any) -> Any:
    """A hyperparameter's value as JSON; what is no number, text or truth value becomes text."""
    if isinstance(value, bool | str | int) or value is None:
        return value
    return float(f"{value:.4g}") if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Data without NaN and infinity, which JSON does not have, and with floats of six digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
