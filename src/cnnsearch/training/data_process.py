"""The process that loads the data of a search for its workers: those on other machines, and those to be forked.

Forked workers wait until their server has imported Keras. Meanwhile this process loads the data, so that an error in
them is reported at once.
"""

import os
import sys
import traceback
from pathlib import Path

from cnnsearch.core import metrics
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Fatal, Loading
from cnnsearch.data import shared_memory
from cnnsearch.spaces import plugins
from cnnsearch.spaces import space as spaces
from cnnsearch.training.connection import Connection, follow_parent, take_pipes
from cnnsearch.training.dataset_loading import load_parts, loading_context
from cnnsearch.training.lazy_keras import is_imported_by
from cnnsearch.training.worker_context import WorkerConfig


def main() -> None:
    """Load the data that the parent names and end. A problem is sent as the message of a worker.

    With the argument `write` the data is written in any case; else as a worker does it, and only if the dataset imports
    no Keras: workers load that.
    """
    connection = take_pipes()
    follow_parent(os.getppid())
    config = WorkerConfig(**connection.receive_settings())
    try:
        _load(config, connection, "write" in sys.argv[1:])
    except CnnsearchError as error:
        connection.send(Fatal(message=error.message))
    except OSError as error:
        connection.send(Fatal(message=f"{config.shared} cannot be written: {error.strerror or error}"))
    except Exception as error:
        traceback.print_exc()
        connection.send(Fatal(message=f"the data cannot be loaded: {type(error).__name__}: {error}"))
    os._exit(0)


def _load(config: WorkerConfig, connection: Connection, always: bool) -> None:
    """Write the parts of the dataset to the folder `config.shared`.

    Raises:
        CnnsearchError: if it cannot be loaded, or has labels for which the metric has no meaning.
        OSError: if it cannot be written.
    """
    catalog = plugins.load([Path(folder) for folder in config.plugins])
    space = spaces.Space.from_dict(config.space).located(Path(config.folder))
    context = loading_context(space, Path(config.runs), lambda done, total: _tell(connection, done, total))
    use = spaces.Use(*config.dataset).located(Path(config.folder))
    folder, given = Path(config.shared), (space, catalog, use, config.seed, context)
    if always:
        shared_memory.write(folder, *load_parts(*given))
    elif not is_imported_by(catalog.get("dataset", use.name).function):
        split, facts = shared_memory.taken(folder, lambda: load_parts(*given))
        if not space.model:
            metrics.check_labels(config.metric, split.y_val, facts["classes"])


def _tell(connection: Connection, done: int, total: int) -> None:
    connection.send(Loading(done=done, total=total))


if __name__ == "__main__":
    main()
