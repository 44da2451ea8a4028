"""What a call from Python brings along: a function or its name, and data or their name."""

import platform
import shutil
from pathlib import Path
from typing import Any

from cnnsearch.errors import CnnsearchError
from cnnsearch.settings import Settings
from cnnsearch.space_file import STUDY, Use


class Brought:
    """The space and the data of one call, as options of `run`, and as files of the study's folder.

    Attributes:
        named: what the command line could say too: `space` and `dataset` by name.
        said: both as they stand in a call.

    Raises:
        CnnsearchError: if an object is of no form that is known, or cannot be given to the workers.
    """

    def __init__(self, space: Any, dataset: Any = None, validation: Any = None, test: Any = None) -> None:
        from cnnsearch import given_data, pickled_model

        self._model = None if isinstance(space, str | Path) else pickled_model.pickled(space)
        self._data, self._use = None, ""
        self.named = {"space": self._model.name if self._model else str(space)}
        self.said = [self._model.name if self._model else repr(str(space))]
        if self._model and dataset is None:
            name = self._model.name
            raise CnnsearchError(f"{name} needs data: search({name}, (images, labels)), or a dataset's name or path.")
        if dataset is None or given_data.is_named(dataset):
            if validation is not None or test is not None:
                raise CnnsearchError(
                    f"validation_data and test_data go with images and labels; the dataset is "
                    f"{'that of the space' if dataset is None else repr(str(dataset))}, which has its own parts."
                )
            self.named |= {} if dataset is None else {"dataset": str(dataset)}
            self.said += [] if dataset is None else [repr(str(dataset))]
            return
        self._data = given_data.dataset_of(dataset, validation, test)
        self._use = f"data-{self._data.fingerprint}"
        self.said.append("data")

    def objects(self) -> dict[str, Any]:
        """What replaces the names among the settings."""
        from cnnsearch import given_data

        found: dict[str, Any] = {}
        digests: dict[str, Any] = {}
        if self._model:
            found["space"], digests["function"] = self._model.space(), self._model.parts
            digests["python"] = ".".join(platform.python_version_tuple()[:2])
        if self._data:
            found["dataset"] = Use("stored", {"path": f"{STUDY}{self._use}"})
            digests["data"] = given_data.digests(self._data)
        return {**found, "brought": digests}

    def write(self, settings: Settings) -> None:
        """Write function and data to a study's folder, instead of those of an attempt that trained nothing.

        A study that is resumed with its own function and data keeps them.
        """
        from cnnsearch import pickled_model, stored_data

        folder = settings.folder
        if self._model and self._model.file in settings.space.model:
            _only(folder, pickled_model.PREFIX, self._model.file)
            self._model.write(folder)
        if self._data and self._use in settings.dataset.options.get("path", ""):
            _only(folder, stored_data.PREFIX, self._use)
            stored_data.write(self._data, folder / self._use)
        # they are read from the disk from here on
        self._data = None


def _only(folder: Path, prefix: str, name: str) -> None:
    for path in folder.glob(f"{prefix}*"):
        if path.name != name:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
