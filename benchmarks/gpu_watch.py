"""What `nvidia-smi` says about a GPU while something runs on it."""

import contextlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from statistics import mean
from typing import Any

ASKED = ("--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "500")


class Watch:
    """What was read so far: percent of the time that kernels ran, and MiB taken, twice a second."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float]] = []

    def read(self, lines: Iterable[str]) -> None:
        """Read lines until there are no more. One without two numbers, such as `[N/A], 3`, is left out."""
        for line in lines:
            numbers = re.findall(r"\d+", line)
            if len(numbers) == 2:
                self.told.append((float(numbers[0]), float(numbers[1])))

    @property
    def facts(self) -> dict[str, Any]:
        """The mean share of the time that kernels ran and the most memory; empty without a GPU."""
        if not self.told:
            return {}
        busy, taken = zip(*self.told, strict=True)
        return {"gpu busy %": round(mean(busy), 1), "gpu MiB": round(max(taken))}


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Ask `nvidia-smi` twice a second until the block ends, however it ends; without a GPU nothing is asked."""
    watch = Watch()
    if shutil.which("nvidia-smi") is None:
        yield watch
        return
    with subprocess.Popen(["nvidia-smi", *ASKED], stdout=subprocess.PIPE, text=True) as smi:
        assert smi.stdout is not None
        reader = threading.Thread(target=watch.read, args=(smi.stdout,), daemon=True)
        reader.start()
        try:
            yield watch
        finally:
            smi.kill()
            reader.join()
