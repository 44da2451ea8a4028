"""The configuration of a study that is resumed: stored values replace those that would make trials incomparable."""

from collections.abc import Callable
from typing import Any

from cnnsearch.spaces.space import Space, Use
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study


def stored_config(opened: Study, **others: Any) -> SearchConfig:
    """The stored configuration of a study, with the fields in `others` changed."""
    info = opened.info
    machine = info.get("machine", {})
    return SearchConfig.of(
        space=Space.from_dict(info["space"]),
        dataset=Use(*info["dataset"]),
        name=opened.name,
        epochs=info["epochs"],
        metric=info["metric"],
        costs=opened.costs,
        direction=str(info.get("direction", "")),
        more=tuple((name, direction) for name, direction in info.get("values", ())),
        seed=info["seed"],
        brought=info.get("brought", {}),
        # older studies were always trained with Keras' fit
        compiled=machine.get("lean", False),
        **{"trials": 0, "precision": machine.get("precision") or "auto", **others},
    )


def with_stored_training(opened: Study, config: SearchConfig, note: Callable[[str], None]) -> SearchConfig:
    """`config` with the study's stored precision and kind of training; `note` is called with each change."""
    if "machine" not in opened.info:
        return config
    machine = opened.info["machine"]
    # older studies were always trained with Keras' fit
    # the precision is empty if the workers did not need Keras
    compiled, precision = bool(machine.get("lean")), machine.get("precision") or config.training.precision
    if compiled != config.training.compiled and not config.study.space.model:
        note(
            "This study was started with "
            + ("compiled epochs" if compiled else "Keras' fit")
            + ", so its trials keep using that."
        )
    if config.training.precision not in (precision, "auto"):
        note(f"This study was started in {precision}, so its trials keep that precision.")
    return config.changed(compiled=compiled, precision=precision)
