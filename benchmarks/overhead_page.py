"""Writes docs/overhead.md from what scaling.py, overhead.py and where_time_goes.py measured.

python benchmarks/overhead_page.py
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import overhead
import scaling
import where_time_goes

PAGE = Path(__file__).parents[1] / "docs" / "overhead.md"

HEAD = """# What the search itself costs

Written by `python benchmarks/overhead_page.py` from what the scripts named below measured; how is told at the top of
each. Medians stand with the least and the most; n is the number of runs.
"""

SECTIONS = (
    (
        "Beside a bare `model.fit`",
        "overhead",
        """\
The same plans trained by a bare script, by `cnnsearch run --no-lean`, and as shipped, where an epoch is one compiled
program: a negative figure is time saved. `start` is from the launch to the first trial: Python, Keras, the data; for
cnnsearch of two processes, the parent and its worker. `end` is what follows the last trial. `fit` is in float32 as the
bare script, `shipped` in half precision where that is the default, such as on a CPU with AMX. Measured before workers
shared the data and Adam's step was one operation, both of which have made it faster since.""",
    ),
    (
        "Where the time goes",
        "where_time_goes",
        """\
Seconds, and shares of the worker's life, before (`--no-lean`: Keras' `fit`) and after (as shipped), both in half
precision where that is the default. MLflow is written from a thread of the parent while the worker trains. The rows of
mnist are older, as above.""",
    ),
    (
        "As a study grows",
        "scaling",
        """\
Trials that take no time to train, three epochs each, one worker. The first table has the time from trial to trial in
the first and in the last tenth of the trials, memory from the first trial to the last one's end, what is stored for
each trial, and `cnnsearch leaderboard`. The second has the parent's CPU milliseconds a trial, first tenth to last.
`rungs` (`run --rungs`): small Keras models of six epochs, which wait at a rung of two and are trained on if they are
among the best, most of 50 to the end of the search; with other work beside them, so that milliseconds of CPU and memory
tell, not the time from trial to trial.""",
    ),
)


def main() -> None:
    """Write the page."""
    modules = {module.__name__: module for module in (overhead, where_time_goes, scaling)}
    PAGE.write_text("\n".join([HEAD, *(section(title, modules[name], about) for title, name, about in SECTIONS)]))


def section(title: str, module: ModuleType, about: str) -> str:
    """What one script measured."""
    every: list[dict[str, Any]] = module.rows()
    machines = "; ".join(sorted({row["machine"] for row in every})) or "Not measured yet"
    tables = [module.tables(every), ""] if every else []
    command = f"`CNNSEARCH_DATA=DIR python benchmarks/{module.__name__}.py run`"
    return "\n".join([f"## {title}", "", about, "", f"{command}. {machines}.", "", *tables])


if __name__ == "__main__":
    main()
