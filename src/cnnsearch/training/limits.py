"""What a candidate may cost: refused before it is built where that can be known, else before it is trained."""

from typing import Any

from cnnsearch.core.errors import TrialFailure
from cnnsearch.core.host import free_memory
from cnnsearch.spaces.cost import Cost


class Limits:
    """The limits of a search, zero for none: `max_params`, `max_macs`, and `max_latency` in milliseconds."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._most = settings

    def check_cost(self, price: Cost) -> None:
        """Refuse a plan that costs more than the limits.

        Raises:
            TrialFailure: `too_large`.
        """
        self.check_params(price.params)
        self._check("multiply-adds", price.macs, "max_macs")

    def check_params(self, params: int) -> None:
        """Refuse a model of too many parameters.

        Raises:
            TrialFailure: `too_large`.
        """
        self._check("params", params, "max_params")

    def check_latency(self, core: Any, image: Any) -> None:
        """Refuse a network that takes too long for `image`, an array of one.

        Raises:
            TrialFailure: `too_large`.
        """
        most = self._most["max_latency"]
        if not most:
            return
        from cnnsearch.training import model_io

        found = 1000 * model_io.latency(core, image)
        if found > most:
            raise TrialFailure("too_large", f"{found:.2f} ms for one image; the limit max_latency is {most:g}")

    def _check(self, what: str, value: int, limit: str) -> None:
        most = self._most[limit]
        if most and value > most:
            raise TrialFailure("too_large", f"{value:,} {what}; the limit {limit} is {most:,}")


def check_memory(price: Cost, batch_size: int) -> None:
    """Refuse a plan whose training does not fit into the free memory.

    Raises:
        TrialFailure: `too_large`.
    """
    needed, free = price.training_bytes(batch_size), free_memory()
    if needed > free:
        message = f"training it needs about {needed / 2**20:,.0f} MiB and {free / 2**20:,.0f} MiB are free"
        raise TrialFailure("too_large", message)
