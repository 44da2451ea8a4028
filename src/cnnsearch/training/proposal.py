"""Draws a candidate and computes its cost, before the parent decides whether it is trained."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from cnnsearch.data.splits import Split
from cnnsearch.spaces.cost import Cost, cost
from cnnsearch.spaces.hyperparameters import HyperParameters
from cnnsearch.spaces.plan import Plan
from cnnsearch.training import checkpoint
from cnnsearch.training.failures import with_kind
from cnnsearch.training.lazy_keras import is_model
from cnnsearch.training.limits import check_memory
from cnnsearch.training.worker_context import WorkerContext


class Proposal(NamedTuple):
    """A candidate before it is built: its identity, its cost, and how to build it.

    Attributes:
        key: equal for equal candidates; empty if they cannot be compared before their training.
        plan: the plan as JSON; empty for the model of a hypermodel.
        params: the number of its weights.
        macs: the number of its multiply-adds for one image; 0 if not known.
        epochs: the number of epochs that it asks for.
        resumable: whether its training can be paused and resumed.
        build: builds the Candidate for this data.
    """

    key: str
    plan: str
    params: int
    macs: int
    epochs: int
    resumable: bool
    build: Callable[[Split], Any]


def propose(context: WorkerContext, hp: HyperParameters, limited: bool, plain: bool) -> Proposal:
    """Draw a candidate and compute its cost.

    Args:
        limited: whether the limits of size apply. It must always fit into memory.
        plain: whether no trainer will train it.

    Raises:
        TrialFailure: `too_large` above a limit or the free memory, `invalid` if the image vanishes.
    """
    drawn = context.draw(hp)
    if isinstance(drawn, Plan):
        return _of_plan(context, drawn, limited, plain)
    params = int(drawn.model.count_params())
    if limited:
        context.limits.check_params(params)
    values = json.dumps(hp.values, sort_keys=True)
    # its own `fit` may draw more, so that equal values so far are no equal candidates
    key = "" if drawn.fit is not None else hashlib.sha256(values.encode()).hexdigest()[:16]
    resumable = plain and drawn.fit is None and is_model(drawn.model) and checkpoint.can_be_resumed(drawn.model)
    return Proposal(key, "", params, 0, context.config.epochs, resumable, lambda data: drawn)


def _of_plan(context: WorkerContext, plan: Plan, limited: bool, plain: bool) -> Proposal:
    price: Cost = with_kind("invalid", lambda: cost(plan))
    if limited:
        context.limits.check_cost(price)
    check_memory(price, plan.batch_size)

    def build(data: Split) -> Any:
        # a part of the images is a low-fidelity evaluation: one pass
        return context.build(plan, plain, data, passes=0 if data is context.split else 1)

    return Proposal(plan.key, plan.to_json(), price.params, price.macs, plan.epochs, plain, build)
