"""`search` and `load`: what the command line does, for notebooks and scripts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnsearch.api.brought import Brought
from cnnsearch.api.keywords import changed, known_keywords, parsed
from cnnsearch.api.result import Result, import_optuna

Found = Result
"""The name that `Result` had before."""

GIVEN = ("space", "dataset", "validation_data", "test_data")
"""The parameters of `search` that may be Python objects."""

ENDS = {
    "timeout": "The time is up. The same call resumes the study.",
    "exhausted": "Every candidate of the space that the sampler can find was tried.",
}


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
    jobs: int | None = None,
    sampler: str = "tpe",
    pruner: str | None = None,
    scheduler: str = "auto",
    seed: int = 0,
    metric: str | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    image_size: str | int | None = None,
    skip_unreadable: bool = False,
    group_by: str | None = None,
    max_params: int | None = None,
    max_macs: int | None = None,
    max_latency: float = 0,
    objective: str | None = None,
    precision: str = "auto",
    lean: bool = True,
    cost_aware: bool = False,
    keep: int = 5,
    confirm: str | int = "auto",
    recipe: str | Sequence[str] = (),
    recipes: bool = False,
    default: bool = True,
    space_from_study: bool = False,
    quiet: bool = False,
    json: bool = False,
    runs: str | Path = "runs",
    storage: str = "",
    plugins: str | Path | Sequence[str | Path] = (),
) -> Result:
    """Search: train candidates of a space and rank them. The same call again resumes the study.

    Args:
        space: a function `build(hp)`, a HyperModel class or instance, a function of an Optuna `trial`, a space's
            name, a TOML file, or file.py:NAME. A function may use whatever it sees; workers get it with cloudpickle.
        dataset: `(images, labels)`, a tf.data.Dataset, a PyTorch-style dataset of (image, label), a
            cnnsearch.Dataset, or a dataset's name or path as `--dataset` takes it; None: the space's. Images are of
            shape (n, height, width) or (n, height, width, channels), in any numbers; labels as in `cnnsearch.Dataset`.
        validation_data: the same for validation; None: a part is split off by the seed.
        test_data: the same for test, which only an export measures on; None: a fifth is split off.
        trials: trials of the study in all, earlier runs counted.
        study: the study's name; None: the space's.
        epochs: most epochs of a trial; None: the space's.
        timeout: end this call after so long: seconds, or such as "30m" or "2h"; 0: no limit.
        trial_timeout: end a trial after so long; 0: no limit.
        memory: most memory of a worker, such as "2g"; empty: its share of nine tenths of the machine's.
        jobs: trials side by side; None: up to 4 a GPU, else one a core and a GB of memory, up to 4.
        sampler: "tpe", "random", "gp", "cmaes", "qmc" or "grid".
        pruner: "median", "percentile", "halving", "hyperband" or "none"; None: median, with rungs none.
        scheduler: "auto", "halving", "topk" or "none".
        seed: fixes the split, the sampler and each trial.
        metric: what is searched for, such as "val_accuracy" or "val_loss"; None: the space's.
        set: changes of the space: `{"filters.first": [8, 16]}`.
        image_size: width and height of a folder's pictures, such as "96x64"; 96: 96x96; None: chosen by the pictures.
        skip_unreadable: leave out pictures of a folder that cannot be read.
        group_by: a regular expression; pictures of a folder whose names match alike are never split.
        max_params: refuse larger candidates; 0: no limit; None: the space's.
        max_macs: refuse candidates of more multiply-adds; 0: no limit; None: the space's.
        max_latency: refuse candidates that take more milliseconds for an image; 0: no limit.
        objective: a metric and costs at once, such as "val_accuracy,params".
        precision: "auto", "float32", "mixed_bfloat16" or "mixed_float16".
        lean: epochs as compiled programs, or Keras' `fit`.
        cost_aware: pass over most expensive draws early on.
        keep: how many of the best models stay on disk.
        confirm: "KxS": train the best K again with S new seeds; 0: not; "auto": 3x3, unless a recipe is named.
        recipe: train only this recipe of the space, or these.
        recipes: train all recipes of the space first.
        default: whether the space's default point is trained first.
        space_from_study: resume under the space that the study began with.
        quiet: show no progress.
        json: print one JSON object a trial instead of the progress.
        runs: the folder of studies and checkpoints.
        storage: Optuna's storage address; empty: a SQLite file in `runs`.
        plugins: folders or files of your own plugins; their code is run.

    Returns:
        The study, with its leaderboard, best model, report and export.

    Raises:
        CnnsearchError: for what a user can mend, in one line.
        KeyboardInterrupt: if the search was stopped; every finished trial is kept, and the same call resumes.
    """
    options = {name: value for name, value in locals().items() if name not in GIVEN}
    return _searched(space, (dataset, validation_data, test_data), changed(search, options))


@known_keywords
def load(
    study: str | None = None,
    *,
    runs: str | Path = "runs",
    storage: str = "",
    plugins: str | Path | Sequence[str | Path] = (),
) -> Result:
    """A study that was searched before, from Python or by the command line.

    Args:
        study: its name; None: the latest.
        runs: the folder of studies and checkpoints.
        storage: Optuna's storage address; empty: a SQLite file in `runs`.
        plugins: folders or files of your own plugins; their code is run.

    Raises:
        CnnsearchError: if there is none.
    """
    options = {"runs": runs, "storage": storage, "plugins": plugins}
    given = parsed("leaderboard", changed(load, options))
    return Result(study, given["runs"], given["storage"], given["plugins"])


def _searched(space: Any, data: tuple[Any, Any, Any], options: dict[str, Any]) -> Result:
    import_optuna()
    from cnnsearch.api import notebook
    from cnnsearch.cli import search_config
    from cnnsearch.results import leaderboard
    from cnnsearch.tuning import run

    brought = Brought(space, *data)
    given = parsed("run", {**brought.named, **options})
    shown = notebook.display(given.pop("json_lines"), given.pop("quiet"))
    settings = search_config.settings(**{**given, **brought.objects()})
    line = search_config.redacted(_call(brought, options), settings.storage)
    with brought.in_folder(settings):
        opened, ended = run.run(settings, shown, line, leaderboard.write_files)
    if ended == "interrupted":
        raise KeyboardInterrupt(f"{run.stopped(opened)} The same call resumes.")
    run.check_ended(opened, ended)
    if ended in ENDS:
        shown.note(ENDS[ended])
    return Result(opened.name, given["runs"], given["storage"], given["plugins"])


def _call(brought: Brought, options: dict[str, Any]) -> str:
    """The call as a line of Python, to be recorded: objects by a name."""
    parts = [*brought.said, *(f"{name}={value!r}" for name, value in options.items())]
    return f"cnnsearch.search({', '.join(parts)})"
