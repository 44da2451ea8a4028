"""Writes docs/benchmarks/overhead.md from what scaling.py, overhead.py and where_time_goes.py measured.

python benchmarks/overhead_page.py
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import overhead
import peak
import scaling
import shared_programs
import where_time_goes

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "overhead.md"

HEAD = """# What does the search itself cost?

Nothing in training time on these tasks: trials as shipped take about a third less time than a bare `model.fit` in
float32. As shipped an epoch is one compiled program, here in half precision. With Keras' `fit` in float32 the
difference is +3% on digits and +1% on MNIST, with intervals that contain 0. The start takes 1.2 to 1.3 seconds longer
than a bare script, the end 1.7 to 1.8 seconds.

A trial that takes no time to train costs 0.08 seconds, at 5,000 trials as at 500. With TPE it costs 0.13 seconds, and
0.15 seconds at the end of 5,000 trials.

Cells have the median, with the least and the most in brackets. n is the number of runs. Command to write this page
from the results: `python benchmarks/overhead_page.py`.
"""

SECTIONS = (
    (
        "How much slower or faster than a bare `model.fit` is it?",
        "overhead",
        """\
The trials as shipped are 33% faster on digits and 32% faster on MNIST. With Keras' `fit` they take as long as in a
bare script.

Method: the same plans are trained by a bare script (`bare`), by `cnnsearch run --no-lean` (`fit`) and by cnnsearch as
shipped (`shipped`), with one worker. `fit` is in float32, as the bare script. `shipped` is in half precision, which
was the default on that CPU. `start` is the time from the launch to the first trial: Python, Keras
and the data, and for cnnsearch two processes. `end` is the time after the last trial. A negative number beside `bare`
is time saved.

This was measured before workers shared the data and before a step of Adam was one operation. Both have made cnnsearch
faster since.""",
    ),
    (
        "Where does the time go?",
        "where_time_goes",
        """\
Into training, compiling and starting: these are three quarters of the worker's time as shipped on digits, and 91% on
MNIST.

Method: seconds, and shares of the worker's time, with Keras' `fit` (`--no-lean`) and as shipped, both in half
precision where that is the default. MLflow is written by a thread of the parent while the worker trains. The rows of
MNIST are older, as above.""",
    ),
    (
        "How near is an epoch to what a core can compute?",
        "peak",
        """\
On CIFAR-10 84% of the peak, on MNIST about half, on 8x8 digits 29%. On CIFAR-10 little is left. On MNIST the layers
with weights take 71% of an epoch and reach 75% of the peak: the first convolution has one channel. The rest of the
epoch is pooling, activations, normalisation, dropout and the optimizer. On digits the layers are so small that starting
an operation takes longer than computing it, so that alone they take longer than in the epoch's one program.

Method: the default point of each space, in float32 on one core. `of the peak` is the epoch's operations a second
divided by those of the fastest large operation, a product of matrices or a 1x1 convolution. Only operations of layers
with weights count. These layers are also timed alone, forward and backward. Operations on padding are counted and not
computed: where images are small, numbers are a little too high.""",
    ),
    (
        "How many programs does a search compile?",
        "shared_programs",
        """\
One for each architecture and each set of numbers that are not 0. 24 trials of one architecture compiled 6 programs
instead of 24, and took 0.87 of the CPU seconds. 12 trials with low-fidelity evaluations compiled 11 instead of 17, and
took 0.95. In `mnist_cnn` every trial had an architecture of its own, so nothing is shared there. These are single runs
(n = 1): the ratios of time are rough.

Method: the same search with one worker, once as shipped (`shared`) and once so that only equal plans share a program
(`own`), as it was before. `numbers` has one architecture, of which only rates, strengths, smoothing, the learning rate
and its schedule are searched. `mnist_cnn on digits` is a shipped space, for 20 trials. `low-fidelity` has enough images
that a trial is first evaluated on a part of them; such an evaluation counts as a training. Other work ran beside the
searches: read the CPU seconds of the worker, not its seconds.""",
    ),
    (
        "Does it get slower as a study grows?",
        "scaling",
        """\
Hardly: from 500 to 5,000 trials the time of a trial stays the same. Only the draws of TPE take longer.

Method: trials that take no time to train, of three epochs each, with one worker. The first table has the time from
trial to trial over all trials, in the first tenth and in the last tenth; the memory from the first trial to the end
of the last one; the stored kilobytes for each trial; and the time of `cnnsearch leaderboard`. The second table has
the parent's milliseconds of CPU for a trial, from the first tenth to the last tenth.

The rows `rungs` (`run --rungs`) are small Keras models of six epochs. They pause at a rung of two epochs and are
resumed if they are among the best. Other work ran beside them: read their milliseconds of CPU and their memory, not
their time from trial to trial.""",
    ),
)


def main() -> None:
    """Write the page."""
    modules = {module.__name__: module for module in (overhead, where_time_goes, peak, shared_programs, scaling)}
    PAGE.write_text("\n".join([HEAD, *(section(title, modules[name], about) for title, name, about in SECTIONS)]))


def section(title: str, module: ModuleType, about: str) -> str:
    """What one script measured."""
    every: list[dict[str, Any]] = module.rows()
    machines = "; ".join(sorted({row["machine"] for row in every})) or "Not measured yet"
    tables = [module.tables(every), ""] if every else []
    command = f"`CNNSEARCH_DATA=DIR python benchmarks/{module.__name__}.py run`"
    return "\n".join([f"## {title}", "", about, "", f"Command: {command}. Machine: {machines}.", "", *tables])


if __name__ == "__main__":
    main()
