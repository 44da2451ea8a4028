"""Limits of size and speed. A candidate above them is rejected as infeasible before it is built or trained."""

from typing import Any, NamedTuple

from cnnsearch.core.errors import TrialFailure
from cnnsearch.core.host import free_memory
from cnnsearch.spaces.cost import Cost


class Limits(NamedTuple):
    """The limits of a search, 0 for none: parameters, multiply-adds, and milliseconds for one image."""

    max_params: int = 0
    max_macs: int = 0
    max_latency: float = 0

    def check_cost(self, price: Cost) -> None:
        """Refuse a plan that costs more than the limits.

        Raises:
            TrialFailure: `too_large`.
        """
        self.check_params(price.params)
        _check("multiply-adds", price.macs, "max_macs", self.max_macs)

    def check_params(self, params: int) -> None:
        """Refuse a model with too many parameters.

        Raises:
            TrialFailure: `too_large`.
        """
        _check("params", params, "max_params", self.max_params)

    def check_latency(self, core: Any, image: Any) -> None:
        """Refuse a network that takes too long for `image`, an array of one image.

        Raises:
            TrialFailure: `too_large`.
        """
        if not self.max_latency:
            return
        from cnnsearch.training import model_io

        found = 1000 * model_io.latency(core, image)
        if found > self.max_latency:
            raise TrialFailure(
                "too_large", f"{found:.2f} ms for one image; the limit max_latency is {self.max_latency:g}"
            )


def check_memory(price: Cost, batch_size: int) -> None:
    """Refuse a plan whose training does not fit into the free memory.

    Raises:
        TrialFailure: `too_large`.
    """
    needed, free = price.training_bytes(batch_size), free_memory()
    if needed > free:
        message = f"training it needs about {needed / 2**20:,.0f} MiB and {free / 2**20:,.0f} MiB are free"
        raise TrialFailure("too_large", message)


def _check(what: str, value: int, limit: str, most: int) -> None:
    if most and value > most:
        raise TrialFailure("too_large", f"{value:,} {what}; the limit {limit} is {most:,}")
