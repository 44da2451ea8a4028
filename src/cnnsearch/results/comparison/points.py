"""Points of a study's space, drawn again without training: simpler points of the same plan, and changed points."""

import contextlib
import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data import pixel_values
from cnnsearch.results.comparison import levels
from cnnsearch.spaces import plugins as catalog
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial

Values = dict[str, Any]


CACHED = 10_000
"""At most about so many edits of plans are kept, each a few kB."""


class Point(NamedTuple):
    """The values of all hyperparameters, their distributions, the plan, and the plan as text."""

    values: Values
    space: dict[str, Distribution]
    plan: Plan
    text: str

    @property
    def key(self) -> str:
        """The key of the plan."""
        return self.plan.key


class Edit(NamedTuple):
    """What one dimension made of a plan: the values and distributions that it drew, the plan, and the plan as text."""

    values: Values
    space: dict[str, Distribution]
    plan: Plan
    text: str


class Points:
    """Draws points of a study's space.

    `can_draw` is False if the space has a model: only a worker builds those.

    Raises:
        CnnsearchError: if a plugin that the space names is missing.
    """

    def __init__(self, study: Study, plugins: tuple[Path, ...]) -> None:
        info = study.info
        self._space, self._known = spaces.Space.from_dict(info["space"]), catalog.load(plugins)
        for use in self._space.dimensions:
            self._known.get("dimension", use.name, f"Study '{study.name}': ")
        data = info.get("data")
        self.can_draw = bool(data) and not self._space.model
        self._parents: dict[str, bool] = {}
        # points differ in few values, so most dimensions edit the same plan in the same way
        self._edits: dict[tuple[int, str, str], Edit] = {}
        self._steps = [dataclasses.replace(self._space, dimensions=(use,)) for use in self._space.dimensions]
        if data and self.can_draw:
            shape, classes = tuple(data["input_shape"]), len(data["classes"])
            values = tuple(data.get("value_range", pixel_values.BYTES))
            self._start = spaces.start_plan(self._space, shape, classes, info["epochs"], values)
            self._start_text = _text(self._start)

    def draw(self, values: Values) -> Point | None:
        """The point with these values and the defaults of all others; None if it cannot be drawn."""
        try:
            return self._drawn(values, len(self._steps))
        except CnnsearchError:
            return None

    def _drawn(self, values: Values, steps: int) -> Point:
        """The point with the plan after the first `steps` dimensions.

        Raises:
            CnnsearchError: if a dimension raises an error.
        """
        own = _by_dimension(values)
        drawn: Values = {}
        space: dict[str, Distribution] = {}
        plan, text = self._start, self._start_text
        for step, use in enumerate(self._space.dimensions[:steps]):
            edit = self._edit(step, plan, text, own.get(use.name, {}))
            drawn.update(edit.values)
            space.update(edit.space)
            plan, text = edit.plan, edit.text
        return Point(drawn, space, plan, text)

    def _edit(self, step: int, plan: Plan, text: str, own: Values) -> Edit:
        """What a dimension makes of a plan, which has this text, with its `own` values; the same edit is made once.

        Raises:
            CnnsearchError: if the dimension raises an error.
        """
        place = step, text, repr(sorted(own.items())) if own else ""
        found = self._edits.get(place)
        if found is None:
            if len(self._edits) >= CACHED:
                self._edits.clear()
            hp = HyperParameters(replay(own))
            edited = spaces.draw(self._steps[step], self._known, hp, plan, as_space_error=(Exception,))
            found = self._edits[place] = Edit(hp.values, hp.space, edited, text if edited is plan else _text(edited))
        return found

    def simplest(self, record: Trial) -> Values:
        """The fewest hyperparameters that give the trial's plan: dropout of rate 0 becomes no dropout.

        If the installed plugins make another plan from the trial's values, the values are returned unchanged.
        """
        point = self.draw(record.params) if self.can_draw else None
        if point is None or point.key != record.key:
            return record.params
        return self.simplified(point).values

    def simplified(self, point: Point) -> Point:
        """The point of the same plan with the fewest hyperparameters."""
        for name, distribution in point.space.items():
            if distribution.kind == "choice" and name in point.values and self._is_parent(point, name):
                point = min(self._same_plan(point, name), key=lambda each: len(each.values))
        return point

    def changed(self, values: Values, name: str, value: Any) -> Point | None:
        """The point with one hyperparameter changed; None if it cannot be drawn, or if the plan stays the same.

        Hyperparameters that exist only with the new value take their defaults. If the defaults give the same plan,
        they take the middle of their range.
        """
        before, after = self.draw(values), self.draw({**values, name: value})
        if before is None or after is None or after.text != before.text:
            return after
        middles = {
            new: levels.value_at(distribution, 0.5)
            for new, distribution in after.space.items()
            if new not in values and distribution.kind != "choice"
        }
        after = self.draw({**values, name: value, **middles})
        return after if after is not None and after.text != before.text else None

    def _same_plan(self, point: Point, name: str) -> list[Point]:
        """`point`, then those with another value of this hyperparameter, fewer values and the same plan.

        The plans are compared after the dimension of the hyperparameter, not after those that follow.
        """
        dimension = name.partition("/")[0]
        step = next(step for step, use in enumerate(self._space.dimensions) if use.name == dimension)
        own = _by_dimension(point.values)[dimension]
        before = self._drawn(point.values, step)
        edit = self._edit(step, before.plan, before.text, own)
        same = []
        for choice in _other_choices(point, name):
            with contextlib.suppress(CnnsearchError):
                other = self._edit(step, before.plan, before.text, own | {name: choice})
                if len(other.values) < len(edit.values) and other.text == edit.text:
                    same.append(choice)
        return [point, *self._with(point, name, same)]

    def _is_parent(self, point: Point, name: str) -> bool:
        """Whether other hyperparameters depend on this one. It is computed once, as each point costs a millisecond."""
        if name not in self._parents:
            names = point.values.keys()
            self._parents[name] = any(other.values.keys() != names for other in self._other_values(point, name))
        return self._parents[name]

    def _other_values(self, point: Point, name: str) -> list[Point]:
        return self._with(point, name, _other_choices(point, name))

    def _with(self, point: Point, name: str, choices: Iterable[Any]) -> list[Point]:
        return [other for choice in choices if (other := self.draw({**point.values, name: choice}))]


def _other_choices(point: Point, name: str) -> list[Any]:
    return [choice for choice in point.space[name].choices if choice != point.values[name]]


def _by_dimension(values: Values) -> dict[str, Values]:
    """Values by the name of their dimension."""
    found: dict[str, Values] = defaultdict(dict)
    for name, value in values.items():
        found[name.partition("/")[0]][name] = value
    return found


def _text(plan: Plan) -> str:
    """A text that is the same for equal plans; it takes less time than the key."""
    return json.dumps(vars(plan), sort_keys=True, default=vars)
