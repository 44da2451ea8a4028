"""The options of `cnnsearch run`. The keywords of `cnnsearch.search` are derived from them."""

import click

from cnnsearch.cli.options import (
    DATA,
    LENGTH,
    MACHINES,
    MOST_USED,
    OUTPUT,
    PLACES,
    RESULTS,
    SEARCH,
    SPEED,
    Jobs,
    PluginChoice,
    combined,
    option_group,
    spec,
)
from cnnsearch.study.samplers import PRUNERS, SAMPLERS
from cnnsearch.tuning.registry import LAUNCHERS, SCHEDULERS

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

most_used_options = option_group(
    MOST_USED,
    spec(
        "--space",
        required=True,
        metavar="SPACE",
        help="A space's name, a TOML file, or file.py:NAME or module:NAME of a hypermodel or an Optuna objective.",
    ),
    spec(
        "--dataset",
        metavar="DATA",
        shown="the space's",
        help="A dataset's name, a .npz file, a folder of pictures or of .npy files.",
    ),
    spec(
        "--trials",
        default=50,
        metavar="N",
        type=click.IntRange(1),
        help="How many trials the study has at the end. Those of earlier runs count.",
    ),
    spec(
        "--epochs",
        metavar="N",
        type=click.IntRange(1),
        shown="the space's",
        help="The maximum number of epochs of a trial.",
    ),
    spec(
        "--timeout",
        default="0",
        metavar="TIME",
        shown="0, no limit",
        help="End this run after this time: 90 (seconds), 30m, 2h.",
    ),
    spec(
        "--jobs",
        metavar="N",
        type=Jobs(),
        shown="auto: up to 4 on each GPU; without one, up to 4 by cores and memory; all of a cluster",
        help="How many trials train at the same time.",
    ),
)

search_options = option_group(
    SEARCH,
    spec(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change the space: DIMENSION.OPTION=VALUE. May be repeated.",
    ),
    spec(
        "--weights",
        default=None,
        metavar="FILE",
        shown="ImageNet's, which Keras downloads",
        help="Keras' file of the weights of the space's pretrained network, without its top. Hash and shapes are "
        "checked first.",
    ),
    spec(
        "--metric",
        multiple=True,
        metavar="NAME",
        shown="the space's",
        help="The metric to optimize: val_accuracy, val_loss, val_auc, val_f1_macro, val_balanced_accuracy, …; "
        "the name of each value of an Optuna objective. May be repeated.",
    ),
    spec(
        "--direction",
        multiple=True,
        type=click.Choice(("minimize", "maximize")),
        shown="minimize; with --metric, what the name says",
        help="For an Optuna objective or a metric of your own model: whether a smaller or a larger value is better. "
        "May be repeated, for several values.",
    ),
    spec(
        "--objective",
        metavar="NAMES",
        shown="the metric alone",
        help="Optimize the metric and costs together, such as val_accuracy,params. The costs are params and macs.",
    ),
    spec(
        "--max-params",
        metavar="N",
        type=click.IntRange(0),
        shown="the space's",
        help="Do not train candidates with more parameters. 0: no limit.",
    ),
    spec(
        "--max-macs",
        metavar="N",
        type=click.IntRange(0),
        shown="the space's",
        help="Do not train candidates with more multiply-adds. 0: no limit.",
    ),
    spec(
        "--max-latency",
        metavar="MS",
        type=click.FloatRange(0),
        default=0,
        shown="0, no limit",
        help="Do not train candidates that need more milliseconds for one image in Keras.",
    ),
    spec("--sampler", default="tpe", type=PluginChoice(tuple(SAMPLERS)), help="How the next candidate is chosen."),
    spec(
        "--cost-aware/--no-cost-aware",
        default=False,
        help="Skip most expensive candidates early in the search. Not with --sampler grid.",
    ),
    spec("--default/--no-default", default=True, help="Train the space's default point first."),
    spec(
        "--prior",
        default="none",
        metavar="PRIOR",
        help="What other studies teach comes first: none, auto, a study of this storage, or a .json file.",
    ),
    spec("--recipes", is_flag=True, help="Train all recipes of the space first."),
    spec("--recipe", multiple=True, metavar="NAME", help="Train only this recipe of the space. May be repeated."),
    spec(
        "--seed",
        default=0,
        metavar="N",
        type=click.IntRange(0),
        help="The random seed of the data split, the sampler and each trial.",
    ),
    spec("--space-from-study", is_flag=True, help="Resume with the space that is stored in the study."),
)

length_options = option_group(
    LENGTH,
    spec("--trial-timeout", default="0", metavar="TIME", shown="0, no limit", help="End a trial after this time."),
    spec(
        "--scheduler",
        default="auto",
        type=PluginChoice(tuple(SCHEDULERS)),
        shown="halving; none with --pruner or costs",
        help="Train each trial to a first rung. Only the best of each rung are promoted to the next rung.",
    ),
    spec(
        "--pruner",
        type=PluginChoice(PRUNERS),
        shown="median, only for trials without rungs",
        help="The rule that prunes trials, which means it stops them early.",
    ),
)

data_options = option_group(
    DATA,
    spec(
        "--image-size",
        metavar="WIDTHxHEIGHT",
        shown="the space's size, else the size of the pictures, or the median of their sizes",
        help="Resize the pictures of a folder: 96x64, or 96 for 96x96.",
    ),
    spec("--skip-unreadable", is_flag=True, help="Leave out pictures of a folder that cannot be read."),
    spec(
        "--group-by",
        metavar="REGEX",
        help="Keep pictures together in one split if their file names give the same match, such as one patient's.",
    ),
)

result_options = option_group(
    RESULTS,
    spec("--callback", "callbacks", multiple=True, metavar="NAME", help="A plugin's callback. May be repeated."),
    spec("--study", metavar="NAME", shown="the space's name", help="The study's name."),
    spec("--keep", default=5, metavar="N", type=click.IntRange(1), help="How many of the best models stay on disk."),
    spec(
        "--confirm",
        default="auto",
        metavar="KxS",
        shown="3x3; 0 with --recipe or for an Optuna objective",
        help="Train the best K trials again, each on S new seeds. 0: do not.",
    ),
)

speed_options = option_group(
    SPEED,
    spec(
        "--precision",
        default="auto",
        type=click.Choice(PRECISIONS),
        help="The precision of the arithmetic. auto: mixed_bfloat16 on a GPU, and on a CPU where a short measurement "
        "shows that it is faster (TensorFlow, plans); else float32.",
    ),
    spec(
        "--compiled/--no-compiled",
        former="--lean/--no-lean",
        envvar=["CNNSEARCH_RUN_COMPILED", "CNNSEARCH_RUN_LEAN"],
        default=True,
        help="Train plans with compiled epochs. Off: with Keras' fit.",
    ),
    spec(
        "--memory",
        default="",
        metavar="SIZE",
        shown="an equal share of 90% of the machine's",
        help="The maximum memory of a worker: 2g, 800m.",
    ),
)

machine_options = option_group(
    MACHINES,
    spec(
        "--launcher",
        default="local",
        type=PluginChoice(tuple(LAUNCHERS)),
        help="What starts the workers: this machine alone, or a Ray cluster.",
    ),
    spec(
        "--address",
        default="",
        metavar="ADDRESS",
        shown="the cluster of this machine, else a new Ray on it",
        help="The Ray cluster: ray://HOST:10001, HOST:6379, or local for a new Ray on this machine.",
    ),
    spec(
        "--cpus-per-trial",
        metavar="N",
        type=click.FloatRange(0, min_open=True),
        shown="1 on a cluster; here the cores are shared by the workers",
        help="How many cores a trial gets.",
    ),
    spec(
        "--gpus-per-trial",
        metavar="N",
        type=click.FloatRange(0),
        shown="0.25 if there are GPUs",
        help="How many GPUs a trial gets: 0.25 for a quarter of one.",
    ),
)

place_options = option_group(
    PLACES,
    spec(
        "--checkpoints",
        default="",
        metavar="ADDRESS",
        shown="as before; in --runs for a new study",
        help="Where checkpoints of trials in training are written: a folder, or s3://BUCKET/FOLDER. Give credentials "
        "by environment variables or a credentials file.",
    ),
)

output_options = option_group(
    OUTPUT,
    spec("--quiet", is_flag=True, help="Print only the top of the leaderboard."),
    spec("--json", "json_lines", is_flag=True, help="Print one JSON object per line, for programs."),
    spec("--ui", is_flag=True, help="Serve the report as a page while the search runs, for this machine alone."),
)

run_options = combined(
    most_used_options,
    search_options,
    length_options,
    data_options,
    result_options,
    speed_options,
    machine_options,
    place_options,
    output_options,
)
