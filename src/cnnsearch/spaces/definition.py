"""A search space as frozen plain data: its dimensions, or its model, with their options and defaults."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

DEFAULTS: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 128,
    "max_params": 0,
    "max_macs": 0,
    "metric": "val_accuracy",
    "validation": 1 / 6,
}

STUDY = "{study}/"
"""The prefix of a file name that stands for the study's own folder, because that folder may be moved."""


NO_DATA = "own data"
"""The dataset of a space whose function trains for itself. No dataset plugin can have this name."""


class Use(NamedTuple):
    """A plugin by name, with the options that a space gives it."""

    name: str
    options: dict[str, Any]

    def located(self, folder: Path) -> "Use":
        """A copy whose paths with the prefix STUDY point into `folder`."""
        paths = {k: _located(v, folder) for k, v in self.options.items() if isinstance(v, str)}
        return Use(self.name, {**self.options, **paths})


@dataclass(frozen=True)
class Space:
    """A search space. Files and messages to workers hold it as plain data (`to_dict`, `from_dict`).

    Attributes:
        model: an import string (`file.py:build`, `module:HyperModel`) or the name of a `@space` plugin. A space with
            a model has no dimensions.
        where: the file or name that it was read from, for messages.
        input_shape: (height, width, channels) of the images that the space is made for. With it the space can be
            shown and checked before data is read. It is empty if the data has another shape.
        image_size: (height, width) of `input_shape`, kept if `input_shape` is empty.
    """

    name: str
    description: str = ""
    dataset: Use | None = None
    dimensions: tuple[Use, ...] = ()
    model: str = ""
    trainer: Use | None = None
    defaults: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    recipes: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    input_shape: tuple[int, ...] = ()
    image_size: tuple[int, ...] = ()

    @property
    def trains_itself(self) -> bool:
        """Whether the model is a function that trains for itself, such as an Optuna objective (`self_training`)."""
        return self.dataset is not None and self.dataset.name == NO_DATA

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """(width, height) of the images that the space is made for; None if any size will do."""
        sides = self.image_size or self.input_shape[:2]
        return (sides[1], sides[0]) if sides else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without `where`."""
        return {**dataclasses.asdict(self), "where": ""}

    def located(self, folder: Path) -> "Space":
        """A copy whose model, if its path has the prefix STUDY, is in `folder`."""
        return dataclasses.replace(self, model=_located(self.model, folder))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Space":
        """The space that `to_dict` wrote, also after JSON, which turns tuples into lists."""
        dataset = _use(fields["dataset"]) if fields["dataset"] else None
        dimensions = tuple(_use(use) for use in fields["dimensions"])
        given = fields["trainer"]
        if given and isinstance(given, str):
            # older studies have only the name of a trainer
            given = (given, {})
        trainer = _use(given) if given else None
        shape, size = tuple(fields.get("input_shape", ())), tuple(fields.get("image_size", ()))
        changed = {"dataset": dataset, "dimensions": dimensions, "trainer": trainer, "input_shape": shape}
        changed["image_size"] = size
        return cls(**fields | changed)


def _use(fields: Any) -> Use:
    name, options = fields
    return Use(name, tuples(options))


def _located(path: str, folder: Path) -> str:
    return f"{folder}{os.sep}{path.removeprefix(STUDY)}" if path.startswith(STUDY) else path


def tuples(given: dict[str, Any]) -> dict[str, Any]:
    """Options as a plugin gets them: each list, as JSON and TOML have it, becomes a tuple."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
