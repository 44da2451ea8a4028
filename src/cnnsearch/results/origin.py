"""The origin of a trial: its study, space and data, read again, so that its model can be opened or trained again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from cnnsearch.core.errors import StudyError
from cnnsearch.data import image_cache, loading
from cnnsearch.data.dataset import Dataset, Images
from cnnsearch.data.splits import Split
from cnnsearch.spaces import plugins as catalog
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.pretrained import without_weights
from cnnsearch.study import ranking
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.training.dataset_loading import load_dataset, loading_context
from cnnsearch.tuning.reproducer import data_changed


class Source(NamedTuple):
    """A trial with its space and plugins. That is enough to open its model; no data is read."""

    study: Study
    chosen: Trial
    space: spaces.Space
    known: catalog.Catalog

    def candidate(self, pretrained: bool = False, x: Images | None = None) -> Any:
        """A new candidate of the trial, to be trained on the images `x`; None if its weights are loaded.

        Pretrained weights of the plan are loaded only if `pretrained`.
        """
        from cnnsearch.training.candidate import from_hypermodel, from_plan

        data = self.study.info["data"]
        if self.chosen.plan:
            plan = Plan.from_json(self.chosen.plan)
            plan = plan if pretrained else without_weights(plan)
            count = int(data["images"]["train"]) if x is None else len(x)
            return from_plan(plan, count, bool(self.study.info["machine"].get("lean")), x=x)
        shape, classes = tuple(data["input_shape"]), len(data["classes"])
        hypermodel = spaces.hypermodel(self.space.located(self.study.folder), self.known, shape, classes)
        hp = HyperParameters(replay(self.chosen.params))
        return from_hypermodel(hypermodel, hp, self.study.info["batch_size"], shape, classes)

    @property
    def precision(self) -> str:
        """The precision that the trial is trained in again: the study's, or float32 for the model of an author.

        Some gradients in bfloat16 are wrong on a CPU. Plans avoid them, and an author's model may not
        (`device.auto_precision`).
        """
        return (self.chosen.plan and self.study.precision) or "float32"

    def in_float32(self, network: Any) -> Any:
        """`network`, which was trained in `precision`, in float32."""
        if self.precision == "float32":
            return network
        with dtype_policy("float32"):
            single = self.candidate().core
        single.set_weights(network.get_weights())
        return single

    def predict(self, model: Any, x: Images) -> NDArray[Any]:
        """The predictions of `model`, a model of this trial, for images: probabilities (n, classes)."""
        from cnnsearch.training import model_io

        return model_io.predict(model, x, self.chosen.reads, len(self.study.info["data"]["classes"]))


class Origin(NamedTuple):
    """A trial with its space, plugins and data: enough to train it again."""

    study: Study
    chosen: Trial
    space: spaces.Space
    known: catalog.Catalog
    parts: Split
    dataset: Dataset

    def candidate(self, pretrained: bool = False) -> Any:
        """A new candidate of the trial; pretrained weights of the plan are loaded only if `pretrained`."""
        return self.source.candidate(pretrained, self.parts.x)

    @property
    def epochs(self) -> int:
        """The epochs of the trial at full length; what it trained may be less."""
        return Plan.from_json(self.chosen.plan).epochs if self.chosen.plan else int(self.study.info["epochs"])

    @property
    def source(self) -> Source:
        """The same trial without the data."""
        return Source(self.study, self.chosen, self.space, self.known)

    def predict(self, model: Any, x: Images) -> NDArray[Any]:
        """The predictions of `model`, a model of this trial, for images: probabilities (n, classes)."""
        return self.source.predict(model, x)

    def train(self) -> Any:
        """The network of the trial in float32, trained again from its seed in the trial's precision."""
        import keras

        from cnnsearch.training import fitting, training_data

        chosen = self.chosen

        def should_continue(epoch: int, metrics: dict[str, float]) -> bool:
            return epoch < chosen.epochs

        hp, metric = HyperParameters(replay(chosen.params)), self.study.info["metric"]
        trainer = spaces.trainer(self.space, self.known)
        with dtype_policy(self.source.precision):
            keras.utils.set_random_seed(chosen.seed)
            candidate = self.candidate(pretrained=True)
            data = training_data.for_candidate(candidate, self.parts, len(self.dataset.classes))
            larger = self.study.maximize
            fitting.train(candidate, trainer, hp, data, self.epochs, metric, should_continue, maximize=larger)
        return self.source.in_float32(candidate.core)


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Within it, new layers of Keras have the precision `name`."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def source_of(study: Study, chosen: Trial, plugins: tuple[Path, ...]) -> Source:
    """The trial with its space and plugins. This also registers the classes of a pickled model with Keras.

    Raises:
        CnnsearchError: if the space's model cannot be read.
    """
    known = catalog.load(plugins)
    space = spaces.Space.from_dict(study.info["space"])
    if space.trains_itself:
        raise StudyError(
            f"Study '{study.name}' is of a function that trains for itself, with data of its own: cnnsearch cannot "
            "open its models. A tuner of cnnsearch.keras_tuner does: get_best_models()."
        )
    spaces.register(space.located(study.folder))
    return Source(study, chosen, space, known)


def origin_of(study: Study, chosen: Trial, plugins: tuple[Path, ...]) -> Origin:
    """The trial with its space, plugins and data; the dataset is read again.

    Raises:
        CnnsearchError: if the dataset has changed.
    """
    _, _, space, known = source_of(study, chosen, plugins)
    with loading.within(loading_context(space, study.folder.parent)):
        dataset = load_dataset(known, spaces.Use(*study.info["dataset"]).located(study.folder))
    if image_cache.fingerprint(dataset) != study.info["data"]["fingerprint"]:
        raise data_changed(dataset.name, study)
    parts = image_cache.parts(dataset, study.info["seed"], space.defaults["validation"])
    return Origin(study, chosen, space, known, parts, dataset)


def trained_trial(study: Study, number: int) -> Trial:
    """The trial of this number, if it has a score.

    Raises:
        StudyError: if there is no such trial.
    """
    ranked = ranking.ranked(study)
    for record in ranked:
        if record.number == number and record.score is not None and record.epochs:
            return record
    trained = ", ".join(str(number) for number in sorted(r.number for r in ranked if r.score is not None and r.epochs))
    raise StudyError(f"Study '{study.name}' has no trained trial {number}; there are {trained or 'none'}.")
