"""`search` and `load`: the functions for notebooks and scripts."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnsearch.api.inputs import SearchInputs
from cnnsearch.api.keywords import changed, known_keywords, parsed
from cnnsearch.api.result import Result, import_optuna
from cnnsearch.core.checkpoint_address import redacted
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces.objective import OptunaObjective

Found = Result
"""The old name of `Result`."""

GIVEN = ("space", "dataset", "validation_data", "test_data")
"""The parameters of `search` that can be Python objects. The others are options of `run`."""

OF_OPTUNA = {
    "n_trial": "Did you mean n_trials?",
    "n_jobs": "Say with jobs=2 how many trials run at the same time.",
    "catch": "A trial that raises an error fails, and the search continues.",
    "show_progress_bar": "Each trial is a line; quiet=True shows none.",
}
"""Keywords of Optuna's `optimize` that are none here, and what to do."""


@known_keywords
def search(
    space: Any,
    dataset: Any = None,
    *,
    validation_data: Any = None,
    test_data: Any = None,
    trials: int = 50,
    study: str | None = None,
    epochs: int | None = None,
    timeout: str | float = "0",
    trial_timeout: str | float = "0",
    memory: str | int = "",
    jobs: int | str | None = None,
    sampler: str = "tpe",
    pruner: str | None = None,
    scheduler: str = "auto",
    launcher: str = "local",
    address: str = "",
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    callback: str | Sequence[str] = (),
    seed: int = 0,
    metric: str | Sequence[str] | None = None,
    direction: str | Sequence[str] | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    weights: str | Path | None = None,
    image_size: str | int | None = None,
    skip_unreadable: bool = False,
    group_by: str | None = None,
    max_params: int | None = None,
    max_macs: int | None = None,
    max_latency: float = 0,
    objective: str | None = None,
    precision: str = "auto",
    compiled: bool = True,
    cost_aware: bool = False,
    keep: int = 5,
    confirm: str | int = "auto",
    prior: str | Path = "none",
    recipe: str | Sequence[str] = (),
    recipes: bool = False,
    default: bool = True,
    space_from_study: bool = False,
    quiet: bool = False,
    json: bool = False,
    ui: bool = False,
    runs: str | Path = "runs",
    storage: str = "",
    checkpoints: str | Path = "",
    plugins: str | Path | Sequence[str | Path] = (),
) -> Result:
    """Search: train candidates of a space and rank them. The same call resumes the study.

    Args:
        space: a function `build(hp)`, a HyperModel class or instance, a function of an Optuna `trial`, a space's
            name, a TOML file, or file.py:NAME. A function can use names of its module: cloudpickle sends them to the
            workers.
        dataset: `(images, labels)`, a tf.data.Dataset, a PyTorch-style dataset of (image, label), a
            cnnsearch.Dataset, or a dataset's name or path as `--dataset` takes it; None: the space's. Images have
            the shape (n, height, width) or (n, height, width, channels) and any type of number; labels are as in
            `cnnsearch.Dataset`.
        validation_data: images and labels for validation; None: a part of the data, chosen by the seed.
        test_data: images and labels for test. Only an export uses them. None: a fifth of the data.
        trials: how many trials the study has at the end. Those of earlier calls count.
        study: the study's name; None: the space's.
        epochs: maximum number of epochs of a trial; None: the space's.
        timeout: end this call after this time: seconds, or such as "30m" or "2h"; 0: no limit.
        trial_timeout: end a trial after this time; 0: no limit.
        memory: maximum memory of a worker, such as "2g"; empty: an equal share of 90% of the machine's.
        jobs: how many trials train at the same time; None or "auto": up to 4 on each GPU; without one, up to 4 by
            cores and memory; on a cluster as many as it has room for.
        sampler: "tpe", "random", "gp", "cmaes", "qmc", "grid", or a plugin's.
        pruner: "median", "percentile", "halving", "hyperband" or "none"; None: "median", and "none" with
            rungs.
        scheduler: "halving", "topk", "none", or a plugin's; "auto": "halving", and "none" with a pruner or costs.
        launcher: "local", "ray" for a Ray cluster, or a plugin's.
        address: the Ray cluster, such as "ray://head:10001"; empty: that of this machine, else a new one on it.
        cpus_per_trial: how many cores a trial gets; None: 1 on a cluster, here a share of the cores.
        gpus_per_trial: how many GPUs a trial gets, such as 0.25; None: 0.25 if there are GPUs.
        callback: a plugin's callback, or several.
        seed: the random seed of the data split, the sampler and each trial.
        metric: the metric to optimize, such as "val_accuracy" or "val_loss"; None: the space's. For an Optuna
            objective: the name of its value, or a list of names.
        direction: "minimize" or "maximize", for an Optuna objective or a metric of your own model, or a list, one for
            each value of an objective; None: "minimize", or what the metric's name says.
        set: changes of the space: `{"filters.first": [8, 16]}`.
        weights: Keras' file of the weights of the space's pretrained network, without its top; None: ImageNet's, which
            Keras downloads. Hash and shapes are checked first.
        image_size: resize the pictures of a folder to this width and height, such as "96x64"; 96: 96x96; None: the
            space's size, else the pictures' one size, else their median.
        skip_unreadable: leave out pictures of a folder that cannot be read.
        group_by: a regular expression. Pictures whose file names give the same match stay in one split.
        max_params: do not train candidates with more parameters; 0: no limit; None: the space's.
        max_macs: do not train candidates with more multiply-adds; 0: no limit; None: the space's.
        max_latency: do not train candidates that take more milliseconds for one image; 0: no limit.
        objective: optimize the metric and costs together, such as "val_accuracy,params".
        precision: "auto", "float32", "mixed_bfloat16" or "mixed_float16".
        compiled: True: train with compiled epochs; False: with Keras' `fit`.
        cost_aware: skip most of the expensive candidates at first, and fewer later.
        keep: how many of the best models stay on disk.
        confirm: "KxS": train the best K trials again on S new seeds; 0: do not; "auto": 3x3, or 0 with `recipe`.
        prior: what other studies teach: "auto": the shipped prior and the finished studies of this storage with the
            same dimensions; the name of a study of this storage; or a .json file. Its points are trained first.
        recipe: train only this recipe of the space, or these.
        recipes: train all recipes of the space first.
        default: whether the space's default point is trained first.
        space_from_study: resume with the space that is stored in the study.
        quiet: show no progress.
        json: print one JSON object per line instead of the progress.
        ui: serve the report as a page while the search runs, for this machine alone.
        runs: the folder of studies and checkpoints.
        storage: Optuna's storage address; empty: a SQLite file in `runs`.
        checkpoints: where checkpoints of trials in training are written: a folder, or such as "s3://bucket/folder";
            empty: where the study wrote them before, else in `runs`.
        plugins: folders or files of your own plugins; their code is run.

    Returns:
        The study, with its leaderboard, best model, report and export.

    Raises:
        CnnsearchError: for a mistake that the user can correct; the message is one line.
        KeyboardInterrupt: if the search was stopped. Every finished trial is kept; the same call resumes it.
    """
    options = {name: value for name, value in locals().items() if name not in GIVEN}
    return _search(space, (dataset, validation_data, test_data), changed(search, options))


@known_keywords
def load(
    study: str | None = None,
    *,
    runs: str | Path = "runs",
    storage: str = "",
    plugins: str | Path | Sequence[str | Path] = (),
) -> Result:
    """The result of an earlier search, from Python or from the command line.

    Args:
        study: the study's name; None: the latest.
        runs: the folder of studies and checkpoints.
        storage: Optuna's storage address; empty: a SQLite file in `runs`.
        plugins: folders or files of your own plugins; their code is run.

    Raises:
        CnnsearchError: if there is no such study.
    """
    options = {"runs": runs, "storage": storage, "plugins": plugins}
    given = parsed("leaderboard", changed(load, options))
    return Result(study, given["runs"], given["storage"], given["plugins"])


def optimize(
    objective: Callable[[Any], float | Sequence[float]],
    n_trials: int = 50,
    directions: Sequence[str] | None = None,
    **options: Any,
) -> Result:
    """Run an Optuna objective, a function of one `trial` that trains for itself and returns a number or several.

    It may use `trial.suggest_*`, `report`, `should_prune` and `set_user_attr`, raise `optuna.TrialPruned`, and use the
    pruning callback of optuna-integration. It is called in worker processes. The same call resumes the study.

    Args:
        objective: the function; cloudpickle sends it to the workers.
        n_trials: how many trials the study has at the end. Those of earlier calls count.
        directions: "minimize" or "maximize" for each value, if it returns several.
        options: keywords of `search`, such as `direction`, `metric`, `study`, `timeout`, `jobs`, `sampler`, `pruner`.

    Returns:
        The study. Its `optuna` is the Optuna study, with `best_params` and `best_value`; with `best_trials` if the
        objective returns several values.

    Raises:
        CnnsearchError: for a mistake that the user can correct; the message is one line.
        KeyboardInterrupt: if the search was stopped. Every finished trial is kept; the same call resumes it.
    """
    if directions is not None:
        if "direction" in options:
            raise CnnsearchError("optimize() got direction and directions; leave one out.")
        options["direction"] = [directions] if isinstance(directions, str) else list(directions)
    if "trials" in options:
        raise CnnsearchError("optimize() calls the number of trials n_trials; it got trials.")
    if other := [name for name in OF_OPTUNA if name in options]:
        raise CnnsearchError(f"optimize() has no {other[0]}. {OF_OPTUNA[other[0]]}")
    return search(OptunaObjective(objective), trials=n_trials, **options)


def _search(space: Any, data: tuple[Any, Any, Any], options: dict[str, Any]) -> Result:
    """`search` with its options as a dict."""
    import_optuna()
    from cnnsearch.api import notebook
    from cnnsearch.cli import search_config
    from cnnsearch.cli.live_process import LivePage
    from cnnsearch.results import leaderboard
    from cnnsearch.tuning import outcome, run
    from cnnsearch.tuning.trial_source import EndReason

    inputs = SearchInputs(space, *data)
    given = parsed("run", {**inputs.named, **options})
    shown = notebook.display(given.pop("json_lines"), given.pop("quiet"))
    with_page = given.pop("ui")
    config = search_config.search_config(**{**given, **inputs.objects()})
    line = _call(inputs, options)
    with shown, inputs.in_folder(config):
        pages = (LivePage(config),) if with_page else ()
        opened, end = run.run(config, (shown, inputs.study, leaderboard.LeaderboardFiles(), *pages), line)
    if end.reason is EndReason.INTERRUPTED:
        raise KeyboardInterrupt(f"{outcome.stopped(opened)} The same call resumes it.")
    outcome.check_ended(opened, end)
    if end.reason is EndReason.TIMEOUT:
        shown.on_note("The time is up. The same call resumes the study.")
    if end.reason is EndReason.EXHAUSTED:
        shown.on_note("Every candidate of the space that the sampler can find was tried.")
    return Result(opened.name, given["runs"], given["storage"], given["plugins"])


def _call(inputs: SearchInputs, options: dict[str, Any]) -> str:
    """The call as a line of Python, for the study's record. An object is a name."""
    from cnnsearch.study import address

    hidden = {"storage": address.redacted, "checkpoints": redacted}
    shown = {name: hidden[name](str(value)) if name in hidden else value for name, value in options.items()}
    parts = [*inputs.arguments, *(f"{name}={value!r}" for name, value in shown.items())]
    return f"cnnsearch.search({', '.join(parts)})"
