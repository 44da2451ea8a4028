"""Checks in a process of its own that a file holds the weights of a network: `weights_check NETWORK FILE`."""

import os
import sys

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.training import pretrained
from cnnsearch.training.device import import_keras


def main() -> None:
    """Load the file. If that fails, print why in one line, and end with exit code 2."""
    network, path = sys.argv[1:]
    import_keras()
    try:
        pretrained.load(network, path)
    except CnnsearchError as error:
        print(error.message, flush=True)
        os._exit(2)
    os._exit(0)


if __name__ == "__main__":
    main()
