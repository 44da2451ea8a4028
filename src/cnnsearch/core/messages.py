"""The messages between the parent and its workers, as frozen dataclasses.

Each message carries the number of the trial that it is about. A worker that needs an answer
sends a `Question`; the answer carries the question's `id`. A launcher only carries them.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

NO_TRIAL = -1
"""The trial number of a message that is about no trial."""


def own_key(trial: int) -> str:
    """The key of a candidate that cannot be compared with others before its training."""
    return f"trial {trial}"


class Decision(Enum):
    """What happens to a trial after a report."""

    CONTINUE = "continue"
    """It trains its next epoch."""

    PAUSE = "pause"
    """It pauses at a rung. A worker may resume it later."""

    STOP = "stop"
    """It ends here."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message between the parent and a worker.

    Attributes:
        trial: the number of the trial, NO_TRIAL if it is about none.
    """

    trial: int = NO_TRIAL


@dataclass(frozen=True, kw_only=True)
class Question(Message):
    """A message of a worker that then waits for the answer.

    Attributes:
        id: is different for each question of the worker.
    """

    id: int = 0


@dataclass(frozen=True, kw_only=True)
class Answer(Message):
    """The parent's answer to the question with this `id`."""

    id: int


# -- from a worker to the parent, about itself --------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Loading(Message):
    """`done` of `total` images of the dataset are decoded."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Ready(Message):
    """The worker has loaded the data, and the backend if the space needs Keras.

    Attributes:
        dataset: what the study records about the data.
        low_fidelity: whether a trial can first be evaluated on a part of the images.
        lean: whether plans are trained by compiled epochs.
        devices: the backend's devices, such as `cpu:0`. It is empty without Keras, and so are `backend`, `keras` and
            `precision`.
    """

    dataset: dict[str, Any]
    low_fidelity: bool
    backend: str
    keras: str
    precision: str
    lean: bool
    devices: list[str]
    python: str


@dataclass(frozen=True, kw_only=True)
class Described(Message):
    """The answer to Describe.

    Attributes:
        values: the default point of the space.
        recipes: the complete point of each recipe that was asked for, by its name.
        controlled: the complete point of each controlled trial, by its origin.
        metrics: the names of the metrics that the default point's model reports; empty if not known.
        machine: `backend`, `keras`, `precision` and `devices` as in Ready; here Keras may have been imported since.
        prior: for each point of a prior the nearest complete point of the space; empty if there is none.
        batch_size: images in a training step of the default point; 0 if it is no plan.
    """

    values: dict[str, Any]
    recipes: dict[str, Any]
    controlled: dict[str, Any]
    metrics: list[str]
    machine: dict[str, Any]
    prior: list[dict[str, Any]] = field(default_factory=list)
    batch_size: int = 0


@dataclass(frozen=True, kw_only=True)
class Fatal(Message):
    """The worker cannot continue, and another worker could not either. `message` is for the user."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Logged(Message):
    """The answer to LogModel. `problem` says why the model could not be logged; empty if it was."""

    problem: str


# -- from a worker to the parent, about a trial -------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Draw(Question):
    """Which value does the hyperparameter `name`, with this distribution, have? Answered by Drawn."""

    name: str
    distribution: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Used(Message):
    """The trial uses the certain values of these hyperparameters, in this order; see `Drawn`."""

    names: list[str]


@dataclass(frozen=True, kw_only=True)
class Proposed(Question):
    """A candidate is drawn. Is it to be trained? Answered by Verdict.

    Attributes:
        key: equal for equal candidates.
        plan: the plan as JSON; empty for the model of a hypermodel.
        params: the number of its weights.
        macs: the number of its multiply-adds for one image; 0 if not known.
        epochs: the number of epochs that it asks for.
        resumable: whether its training can be paused and resumed.
        begun: whether a part of it is trained already.
    """

    key: str
    plan: str
    params: int
    macs: int
    epochs: int
    resumable: bool
    begun: bool = False


@dataclass(frozen=True, kw_only=True)
class Resumed(Question):
    """Earlier epochs were read from the checkpoint: their metrics. Answered by Go."""

    history: list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class EpochEnded(Question):
    """An epoch ended, counted from 1, with these metrics. Answered by Go."""

    epoch: int
    metrics: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trained(Message):
    """What is known about a trial that was trained, to its end or up to a pause.

    Attributes:
        score: the best value of the metric.
        best_epoch: the epoch of that value, counted from 1; 0 after a low-fidelity evaluation.
        epochs: how many epochs were trained in total; 0 after a low-fidelity evaluation.
        seconds: how long the worker trained it this time.
        params: the number of weights.
        rss: the worker's memory in bytes.
        reads: how the model's answers become probabilities; empty for softmax.
    """

    score: float
    best_epoch: int
    epochs: int
    seconds: float
    params: int
    rss: int
    reads: str


@dataclass(frozen=True, kw_only=True)
class Evaluated(Trained):
    """A low-fidelity evaluation ended."""


@dataclass(frozen=True, kw_only=True)
class Paused(Trained):
    """The trial was paused at a rung.

    Attributes:
        saved: whether its checkpoint was written.
    """

    saved: bool = True


@dataclass(frozen=True, kw_only=True)
class Completed(Trained, Question):
    """The trial was trained to its end. Answered by Keep.

    Attributes:
        stopped: whether the parent stopped it.
        format: the suffix of a file that can hold its model, such as `keras`.
    """

    stopped: bool
    format: str


@dataclass(frozen=True, kw_only=True)
class Saved(Message):
    """The worker did what Keep asked for.

    Attributes:
        problem: why the file cannot be written; empty if it can.
        unsaved: why this model cannot be saved; empty if it can.
    """

    problem: str
    unsaved: str


@dataclass(frozen=True, kw_only=True)
class Repeated(Message):
    """A trial was trained again with another seed: its score and the metrics of each epoch.

    Attributes:
        images: the number of validation images; 0 if it is not known.
        fresh: whether the images were split anew for this training.
        right: which validation images the model classified right, as `packed_bits`; empty if it is not known.
    """

    score: float
    history: list[dict[str, float]]
    seconds: float
    rss: int
    images: int = 0
    fresh: bool = False
    right: str = ""


@dataclass(frozen=True, kw_only=True)
class SetAttribute(Message):
    """Store this value, plain data, as an attribute of the trial in Optuna's study."""

    name: str
    value: Any


@dataclass(frozen=True, kw_only=True)
class Failed(Message):
    """A trial failed: the kind of failure (a key of `errors.FAILURES`), and why."""

    kind: str
    reason: str
    seconds: float
    rss: int


# -- from the parent to a worker: assignments ---------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Describe(Message):
    """Send the default point of the space, and complete the points that are named. Answered by Described.

    Attributes:
        recipes: the values that each recipe sets, by its name.
        controlled: the incomplete point of each controlled trial, by its origin.
        metric: the metric that the user asked for, empty for none; None if the model's metrics are not wanted.
        own_fit: whether a hypermodel's own `fit` may be called to find out its metrics.
        prior: the values of the points of a prior, which may be of another space.
    """

    recipes: dict[str, Any]
    controlled: dict[str, Any]
    metric: str | None = None
    own_fit: bool = True
    prior: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class UseMetric(Message):
    """Use this metric as the score from now on."""

    metric: str


@dataclass(frozen=True, kw_only=True)
class RunTrial(Message):
    """Draw and train a trial.

    Attributes:
        seed: the seed of its weights and batches.
        limited: whether the limits of size and latency apply to it.
        state: the address of its checkpoint.
        resume: whether to resume from that checkpoint.
        earlier: the address of an older checkpoint, from which to resume if the other does not exist; or empty.
        precision: the study's precision; empty: the worker's own.
    """

    seed: int
    limited: bool
    state: str
    resume: bool
    earlier: str = ""
    precision: str = ""


@dataclass(frozen=True, kw_only=True)
class RepeatTrial(Message):
    """Train the candidate of an earlier trial again, with this seed. Answered by Repeated.

    Attributes:
        plan: its plan as JSON; empty for the model of a hypermodel.
        values: its hyperparameters.
        precision: the study's precision; empty: the worker's own.
        split: the random seed of a new split into training and validation images; None: the study's split.
    """

    seed: int
    plan: str
    values: dict[str, Any]
    precision: str = ""
    split: int | None = None


@dataclass(frozen=True, kw_only=True)
class LogModel(Message):
    """Log the model file `path` to the run `run_id` of the MLflow store at `uri`. Answered by Logged."""

    path: str
    uri: str
    run_id: str


# -- from the parent to a worker: answers -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Drawn(Answer):
    """The value of a hyperparameter.

    Attributes:
        certain: the distribution and the value of others that the sampler has drawn already, by name. The worker need
            not ask for them; it sends `Used`.
    """

    value: Any
    certain: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict(Answer):
    """Whether a proposed candidate is trained.

    Attributes:
        fidelity: the part of the images for a low-fidelity evaluation; 0 for a training on all of them.
    """

    train: bool
    fidelity: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Go(Answer):
    """Whether a trial continues, pauses or stops."""

    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Keep(Answer):
    """The file to save the model of a completed trial to; empty: do not save it."""

    path: str


def answer_without_trial(question: Question) -> Answer | None:
    """The answer to a question about a trial that the worker does not have: the worker ends that trial and continues.

    None if there is no such answer, so that the worker has to be replaced.
    """
    match question:
        case Proposed(trial=trial, id=number):
            return Verdict(trial=trial, id=number, train=False)
        case Resumed(trial=trial, id=number) | EpochEnded(trial=trial, id=number):
            return Go(trial=trial, id=number, decision=Decision.STOP)
        case Completed(trial=trial, id=number):
            return Keep(trial=trial, id=number, path="")
    return None
