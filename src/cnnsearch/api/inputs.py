"""The space and the data that a call of `search` gets: as objects, or by their names."""

import platform
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.data import from_python
from cnnsearch.spaces import data_files, pickled_model
from cnnsearch.spaces.definition import STUDY, Use
from cnnsearch.spaces.import_strings import objective_space
from cnnsearch.spaces.objective import OptunaObjective, is_objective
from cnnsearch.spaces.self_training import SelfTraining
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study
from cnnsearch.tuning.callbacks.base import TunerCallback

LATER = "validation_data and test_data"


class Begun(TunerCallback):
    """Whether a study has begun.

    Attributes:
        begun: whether a worker has read its data.
    """

    begun = False

    def on_study_begin(self, study: Study) -> None:
        self.begun = True


class SearchInputs:
    """The space and the data of one call. Objects are written to the study's folder, where the workers read them.

    Attributes:
        study: a callback for the search, which says whether the study has begun.
        named: the options `space` and `dataset` of `run`. A dataset that is an object is not among them.
        arguments: both as they stand in the source of the call.

    Raises:
        CnnsearchError: if an object has an unknown form, or cannot be given to the workers.
    """

    def __init__(self, space: Any, dataset: Any = None, validation: Any = None, test: Any = None) -> None:
        self.study = Begun()
        space = OptunaObjective(space) if is_objective(space) else space
        self._own = space if isinstance(space, SelfTraining) else None
        # a tuner brings the files of its data
        files = getattr(self._own, "files", None)
        self._model = None if isinstance(space, str | Path) else pickled_model.pickled(space, files)
        self._data, self._use = None, ""
        self.named = {"space": self._model.name if self._model else str(space)}
        self.arguments = [self._model.name if self._model else repr(str(space))]
        if self._model and self._own:
            if any(given is not None for given in (dataset, validation, test)):
                raise CnnsearchError(f"{self._model.name} reads its own data. Leave out dataset, {LATER}.")
            return
        if self._model and dataset is None:
            name = self._model.name
            raise CnnsearchError(
                f"{name} needs data. Give arrays, as in search({name}, (images, labels)), or a dataset's name or path."
            )
        if dataset is None or from_python.is_named(dataset):
            if validation is not None or test is not None:
                raise CnnsearchError(
                    f"{LATER} are only for images and labels from Python. The dataset is "
                    f"{'that of the space' if dataset is None else repr(str(dataset))}, which has its own parts."
                )
            self.named |= {} if dataset is None else {"dataset": str(dataset)}
            self.arguments += [] if dataset is None else [repr(str(dataset))]
            return
        self._data = from_python.dataset_of(dataset, validation, test)
        self._use = f"data-{self._data.fingerprint}"
        self.arguments.append("data")

    def objects(self) -> dict[str, Any]:
        """The objects that replace names in the configuration, and the digests that a resumed study compares."""
        found: dict[str, Any] = {}
        digests: dict[str, Any] = {}
        if self._model:
            found["space"], digests["function"] = self._model.space(), self._model.parts
            if self._own:
                found |= {**self._own.settings, "space": objective_space(found["space"], self._own.batch_size)}
            digests["python"] = ".".join(platform.python_version_tuple()[:2])
        if self._data:
            found["dataset"] = Use("stored", {"path": f"{STUDY}{self._use}"})
            digests["data"] = from_python.digests(self._data)
        if self._own and self._own.digests:
            digests["data"] = self._own.digests
        return {**found, "brought": digests}

    @contextmanager
    def in_folder(self, config: SearchConfig) -> Iterator[None]:
        """Write function and data to the study's folder; at the end, remove the files that the study does not use.

        If the study does not accept them (a StudyError before it has begun), those that were written here are removed.
        """
        from cnnsearch.data import stored
        from cnnsearch.study.storage import make_folder

        make_folder(config.study.folder)
        written: list[Path] = []
        if self._model and self._model.file in config.study.space.model:
            written += self._model.write(config.study.folder)
        if self._data and self._use in config.study.dataset.options.get("path", ""):
            written += stored.write(self._data, config.study.folder / self._use)
        # from here on they are read from the disk
        self._data = None
        try:
            yield
        except StudyError:
            if not self.study.begun:
                _remove(written)
            raise
        if self._model and self._model.files is not None:
            data_files.remove_unused(config.study.folder, self._model.files.names)
        data = str(config.study.dataset.options.get("path", ""))
        for prefix, used in ((pickled_model.PREFIX, config.study.space.model), (stored.PREFIX, data)):
            if used.startswith(STUDY):
                _remove(path for path in config.study.folder.glob(f"{prefix}*") if path.name not in used)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
