"""The card of an exported model as plain data, and the tables and notes that are made from it."""

from pathlib import Path
from typing import Any

from cnnsearch.core import metrics
from cnnsearch.core.metric_names import SHARES_RIGHT
from cnnsearch.core.version import VERSION
from cnnsearch.data.dataset import Dataset
from cnnsearch.results.export.evaluation import Evaluation, from_stored
from cnnsearch.results.export.formats import BATCH
from cnnsearch.results.export.gain import Gain
from cnnsearch.study.confirmation import confirmed
from cnnsearch.study.study import FORMAT, Study
from cnnsearch.study.trial import Trial


def card(
    study: Study,
    chosen: Trial,
    dataset: Dataset,
    validation: Evaluation,
    evaluations: list[dict[str, Any]],
    facts: dict[str, Any],
    options: str = "",
) -> dict[str, Any]:
    """The card as plain data.

    Args:
        study: the study.
        chosen: the best of the exported trials.
        dataset: the study's dataset.
        validation: the evaluation on the validation images.
        evaluations: all evaluations on the test set so far, that of this model last.
        facts: further entries: how the model was made and written.
        options: the options of the export command.
    """
    info, test = study.info, evaluations[-1]
    return {
        "format": FORMAT,
        "study": study.name,
        "metric": info["metric"],
        **_trial_facts(chosen),
        "classes": list(dataset.classes),
        "input_shape": list(dataset.input_shape),
        "data": {**info["data"], "options": info["dataset"][1]},
        "seed": info["seed"],
        "validation": validation.to_dict(),
        "test": from_stored(test).to_dict(),
        "confirmed": _confirmed(study, chosen, facts),
        "test_looks": len(evaluations),
        "test_again": bool(test.get("again")),
        # empty: trained without Keras
        "precision": info["machine"].get("precision", "float32"),
        "versions": _versions(),
        "commands": [str(info.get("command", "")), _export_command(study, chosen, options)],
        **facts,
    }


def _confirmed(study: Study, chosen: Trial, facts: dict[str, Any]) -> dict[str, Any] | None:
    """The mean over new seeds with its interval; None if there is none, or the model was made in another way."""
    found = confirmed(study).get(chosen.number)
    other = facts.get("refit") or len(facts.get("members", ())) > 1 or (facts.get("views") or {}).get("better")
    # an interval about the same validation images says nothing about new ones
    if found is None or found.interval is None or found.seeds_only or other:
        return None
    return {"mean": found.mean, "interval": list(found.interval), "n": found.n}


def disagreement(card: dict[str, Any]) -> str:
    """A sentence if the interval over new seeds and that of the test accuracy have no point in common; else empty."""
    found = card.get("confirmed")
    if not found or card["metric"] not in SHARES_RIGHT:
        return ""
    (low, high), (test_low, test_high) = found["interval"], card["test"]["interval"]
    if test_low <= high and low <= test_high:
        return ""
    return (
        f"The test accuracy does not agree with the training on new seeds, which expected {low:.2%} to {high:.2%}: the "
        "test images may be of another kind than the others"
    )


def _trial_facts(chosen: Trial) -> dict[str, Any]:
    return {
        "trial": chosen.number,
        "origin": chosen.origin,
        "score": chosen.score,
        "best_epoch": chosen.best_epoch,
        "epochs": chosen.epochs,
        "params": chosen.weights,
        "macs": chosen.macs,
        "hyperparameters": chosen.params,
    }


def _versions() -> dict[str, str]:
    import keras

    return {"cnnsearch": VERSION, "keras": keras.__version__, "backend": keras.backend.backend()}


def _export_command(study: Study, chosen: Trial, options: str) -> str:
    runs, here = study.folder.parent, Path.cwd()
    shown = runs.relative_to(here) if runs.is_relative_to(here) else runs
    places = "" if runs == here / "runs" else f" --runs {shown}"
    trial = "" if "--ensemble" in options else f" --trial {chosen.number}"
    return f"cnnsearch export{trial}{options} {study.name}{places}"


def score_rows(card: dict[str, Any], part: str = "test") -> list[tuple[str, str]]:
    """The names and values measured on `test` or `validation`: the search's metric, if it is another, and accuracy."""
    found, name = card[part], card["metric"].removeprefix("val_")
    rows = [(f"{part} accuracy", str(Evaluation(found["accuracy"], 0, found["n"])))]
    if name in found and name != "accuracy":
        value = f"{found[name]:.2%}" if metrics.is_share(name) else f"{found[name]:.4f}"
        rows.insert(0, (f"{part} {metrics.DISPLAY_NAMES[name]}", f"{value} (n = {found['n']:,})"))
    return rows


def confirmed_rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    """The name and value of the mean over new seeds, with its interval; empty if the trial was not confirmed."""
    found = card.get("confirmed")
    if not found:
        return []
    share = metrics.is_share(card["metric"])
    mean, low, high = (f"{value:.2%}" if share else f"{value:.4f}" for value in (found["mean"], *found["interval"]))
    seeds = f"{found['n']} new seed{'s' * (found['n'] > 1)}"
    name = "expected" if card["metric"] in SHARES_RIGHT else f"{card['metric'].removeprefix('val_')} expected"
    return [(f"{name} on new images", f"{mean} (95% interval {low} to {high}, from {seeds})")]


def format_table(card: dict[str, Any]) -> list[tuple[str, ...]]:
    """A header, and a row for each format: its file, how it compares with Keras, its bytes and its latencies."""
    header = ("format", "file", "largest difference", "equal decisions", "bytes", "one image", f"batch of {BATCH}")
    rows = [
        (
            name,
            facts["file"],
            f"{facts['difference']:.1g}",
            f"{facts['equal']} of {facts['images']}",
            f"{facts['bytes']:,}",
            _milliseconds(facts, 1),
            _milliseconds(facts, BATCH),
        )
        for name, facts in card["measured"].items()
    ]
    return [header, *rows]


def _milliseconds(facts: dict[str, Any], count: int) -> str:
    low, high = (1000 * seconds for seconds in facts[f"quartiles_{count}"])
    return f"{1000 * facts[f'latency_{count}']:.3g} ms ({low:.3g} to {high:.3g})"


def accuracy_losses(card: dict[str, Any]) -> list[str]:
    """One line for each format that changes predictions: how much accuracy it loses."""
    lines = []
    for name, facts in card["measured"].items():
        if "accuracy" in facts:
            loss = facts["accuracy_before"] - facts["accuracy"]
            lines.append(
                f"{name}: {facts['accuracy']:.2%} of the {facts['n']:,} validation images are correct, Keras "
                f"{facts['accuracy_before']:.2%}: a loss of {100 * loss:.2f} points"
            )
    return lines


def model_notes(card: dict[str, Any]) -> list[str]:
    """Notes on a model that is an ensemble or a refit, without a final period."""
    notes, stored = [], card.get("ensemble")
    if sentence := disagreement(card):
        notes.append(sentence)
    if stored:
        gain = Gain(*(stored[name] for name in Gain._fields))
        change = f"on validation the mean of the best {gain.models} models differs from the best model by {gain}"
        members = f"An ensemble of trials {', '.join(map(str, card['members']))}"
        notes.append(
            f"{members}: {change}"
            if stored["better"]
            else f"The best model alone was exported: {change}, which may be chance"
        )
    if found := card.get("views"):
        gain, names = Gain(*(found[name] for name in Gain._fields)), ", ".join(found["names"])
        change = f"on validation the mean over {gain.models} views of each image differs from one view by {gain}"
        notes.append(
            f"Averages test-time views ({names}): {change}. One prediction takes {gain.models} times as long"
            if found["better"]
            else f"Test-time views are not used: {change}, which may be chance"
        )
    if card.get("refit"):
        notes.append(
            "Trained again on the training and validation images together, for its best number of epochs. Its "
            "validation scores are from the training before, or on images that it was trained on"
        )
    return notes
