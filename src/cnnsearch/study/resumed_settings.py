"""The settings of a study that is resumed: as it began, where trials could not be compared otherwise."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cnnsearch.spaces.space import Space, Use
from cnnsearch.study.config import Settings
from cnnsearch.study.study import Study


def as_begun(opened: Study, **others: Any) -> Settings:
    """Settings of a study as it began: its space, dataset, epochs, metric, seed and precision; `others` as told."""
    info = opened.info
    machine = info.get("machine", {})
    return Settings(
        space=Space.from_dict(info["space"]),
        dataset=Use(*info["dataset"]),
        study=opened.name,
        epochs=info["epochs"],
        metric=info["metric"],
        costs=opened.costs,
        seed=info["seed"],
        brought=info.get("brought", {}),
        # studies of before knew Keras' fit alone
        lean=machine.get("lean", False),
        **{"trials": 0, "precision": machine.get("precision", "auto"), **others},
    )


def as_it_trains(opened: Study, settings: Settings, note: Callable[[str], None]) -> Settings:
    """`settings` with the precision and the kind of training that the study began with; `note` is told a change."""
    if "machine" not in opened.info:
        return settings
    machine = opened.info["machine"]
    # studies of before knew Keras' fit alone
    lean, precision = bool(machine.get("lean")), machine.get("precision", settings.precision)
    if lean != settings.lean and not settings.space.model:
        note(
            "This study was started with "
            + ("compiled epochs" if lean else "Keras' fit")
            + ", so its trials keep using that."
        )
    if settings.precision not in (precision, "auto"):
        note(f"This study was started in {precision}, so its trials keep that precision.")
    return replace(settings, lean=lean, precision=precision)
