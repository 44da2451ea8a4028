"""What a worker needs for every trial: its configuration, the space, the data and the limits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsearch.core import metrics
from cnnsearch.core.errors import DataError, PluginError
from cnnsearch.core.host import process_restored
from cnnsearch.data import shared_memory
from cnnsearch.data.splits import Split, split_again
from cnnsearch.spaces import plugins
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.hyperparameters import HyperParameters
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.self_training import SelfTraining
from cnnsearch.study.config import maximize
from cnnsearch.training.dataset_loading import DRAWN, load_parts, loading_context, own_facts
from cnnsearch.training.failures import with_kind
from cnnsearch.training.keras_session import KerasSession
from cnnsearch.training.lazy_keras import is_imported_by
from cnnsearch.training.limits import Limits

MOST_COPIED = 1 << 30
"""Bytes of images that are copied for another split."""


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """What the parent sends to a worker at its start: plain values and addresses only.

    Attributes:
        space: the space, as `Space.to_dict` gives it.
        dataset: the name of the dataset and its options.
        plugins: folders with plugins.
        epochs: the number of epochs of a trial at full length.
        metric: the metric that is the score; empty if it is not known yet.
        direction: "minimize" or "maximize", as the user says; empty: what the metric's name says.
        compiled: whether plans may be trained by compiled epochs.
        runs: the folder with all studies.
        folder: the folder of this study.
        shared: the folder in which the workers share the data; empty if there is none.
        more: the names of the further values that an Optuna objective returns.
    """

    space: dict[str, Any]
    dataset: list[Any]
    plugins: list[str]
    seed: int
    epochs: int
    metric: str
    precision: str
    compiled: bool
    max_params: int
    max_macs: int
    max_latency: float
    runs: str
    folder: str
    shared: str
    direction: str = ""
    more: tuple[str, ...] = ()


class WorkerContext:
    """Space, data, Keras and limits, loaded once for many trials.

    Keras is loaded only if the space draws plans, or the code of its hypermodel or its trainer imports it.

    Attributes:
        metric: the metric that is the score. The parent may change it.
        split: the data.
        facts: what the study records about the data.
        default_plan: the plan from which dimensions draw.
        hypermodel: the space's hypermodel; None if its dimensions draw plans.
        keras: imports, seeds and clears Keras.
    """

    def __init__(self, config: WorkerConfig, tell: Callable[[int, int], None]) -> None:
        """`tell` is called with the progress of loading: images that are decoded, and all images.

        Raises:
            CnnsearchError: if the space or its data cannot be used.
        """
        self.config, self.metric = config, config.metric
        self.limits = Limits(config.max_params, config.max_macs, config.max_latency)
        self.catalog = plugins.load([Path(folder) for folder in config.plugins])
        self.space = spaces.Space.from_dict(config.space).located(Path(config.folder))
        self.keras = KerasSession(config.precision, not self.space.model, Path(config.runs))
        self._programs: Any = None
        if self.space.trains_itself:
            self._use_own_function()
            return
        # before Keras is imported, so that an error in the dataset is reported within a second
        self.split, self.facts = self._shared_data(tell)
        self.shape, self.classes = tuple(self.facts["input_shape"]), len(self.facts["classes"])
        if not self.space.model:
            metrics.check_labels(config.metric, self.split.y_val, self.facts["classes"])
        low, high = self.facts["value_range"]
        self.default_plan = spaces.start_plan(self.space, self.shape, self.classes, config.epochs, (low, high))
        self.hypermodel = self._hypermodel()
        if self.hypermodel is None or any(map(is_imported_by, (self.hypermodel, self.trainer()))):
            self.keras.start(*self.shape[:2])

    @property
    def maximize(self) -> bool:
        """Whether a larger value of the metric is better."""
        return maximize(self.metric, self.config.direction)

    def _use_own_function(self) -> None:
        """Load a function that trains for itself, which has its own data."""
        self.shape, self.classes = (), 0
        self.hypermodel = self._hypermodel()
        if not isinstance(self.hypermodel, SelfTraining):
            raise PluginError(
                f"{self.space.where or self.space.name} has no data, and its function does not train for itself. Name "
                "a dataset with --dataset."
            )
        self.facts = own_facts(self.hypermodel.images)

    def _hypermodel(self) -> Any:
        made = (self.space, self.catalog, self.shape, self.classes)
        return spaces.hypermodel(*made) if self.space.model else None

    def _shared_data(self, tell: Callable[[int, int], None]) -> tuple[Split, dict[str, Any]]:
        shared = self.config.shared
        return shared_memory.taken(Path(shared), lambda: self._load(tell)) if shared else self._load(tell)

    def _load(self, tell: Callable[[int, int], None]) -> tuple[Split, dict[str, Any]]:
        """The parts of the dataset, and what the study records about it."""
        config = self.config
        use = spaces.Use(*config.dataset).located(Path(config.folder))
        context = loading_context(self.space, Path(config.runs), tell)
        return load_parts(self.space, self.catalog, use, config.seed, context)

    def split_again(self, seed: int | None) -> Split:
        """The data for a training on a new seed: split again with this `seed` where that is possible, else `split`.

        It is not if the dataset has its own validation set, or has more than MOST_COPIED bytes of training images.
        """
        whole = self.split
        own = self.facts.get("validation") != DRAWN
        if seed is None or own or len(whole.x) * whole.x[:1].nbytes > MOST_COPIED:
            return whole
        try:
            return split_again(whole, seed)
        except DataError:
            return whole

    def trainer(self) -> Any:
        """The space's trainer; None for Keras' or the candidate's own `fit`."""
        return spaces.trainer(self.space, self.catalog)

    def draw(self, hp: HyperParameters) -> Any:
        """A Plan, or the compiled Candidate of a hypermodel.

        Raises:
            TrialFailure: if the plugins fail.
        """
        if self.hypermodel is None:
            return with_kind("plugin_error", lambda: spaces.draw(self.space, self.catalog, hp, self.default_plan))
        from cnnsearch.training.candidate import from_hypermodel

        given = (self.hypermodel, hp, self.default_plan.batch_size, self.shape, self.classes)
        with process_restored():
            return with_kind("invalid", lambda: from_hypermodel(*given))

    def build(self, plan: Plan, plain: bool, split: Split, passes: int = 0) -> Any:
        """The Candidate that `plan` describes, with the compiled program of an earlier one if one fits.

        Args:
            plain: whether no trainer will train it.
            passes: a schedule is scaled to so many passes over the images; 0: to the plan's epochs.

        Raises:
            TrialFailure: `invalid` if it cannot be built.
        """
        from cnnsearch.training.candidate import from_plan
        from cnnsearch.training.compiled.programs import CompiledCandidates

        self._programs = self._programs or CompiledCandidates()
        by_epochs = self.config.compiled and plain
        # so few steps cannot begin with smaller images than validation has
        plan = plan.replace(sizes=()) if passes else plan
        made = with_kind("invalid", lambda: from_plan(plan, len(split.x), by_epochs, passes, split.x))
        return self._programs.reuse(plan, made)
