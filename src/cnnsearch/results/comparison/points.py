"""Points of a study's space, drawn again without training: what else gives the same plan, and what a change gives."""

from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data import pixel_values
from cnnsearch.results.comparison import levels
from cnnsearch.spaces import plugins as catalog
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Record

Values = dict[str, Any]


class Point(NamedTuple):
    """A whole point, the distributions it was drawn from, and the key of its plan."""

    values: Values
    space: dict[str, Distribution]
    key: str


class Points:
    """Draws points of a study's space. It cannot where the space has a model, which only a worker builds.

    Raises:
        CnnsearchError: if a plugin that the space names is not there.
    """

    def __init__(self, study: Study, plugins: tuple[Path, ...]) -> None:
        info = study.info
        self._space, self._known = spaces.Space.from_dict(info["space"]), catalog.load(plugins)
        for use in self._space.dimensions:
            self._known.get("dimension", use.name, f"Study '{study.name}': ")
        data = info.get("data")
        self.can_draw = bool(data) and not self._space.model
        self._parents: dict[str, bool] = {}
        if data and self.can_draw:
            shape, classes = tuple(data["input_shape"]), len(data["classes"])
            values = tuple(data.get("value_range", pixel_values.BYTES))
            self._start = spaces.start_plan(self._space, shape, classes, info["epochs"], values)

    def draw(self, values: Values) -> Point | None:
        """The point with these values, what they leave open at its default; None if it cannot be drawn."""
        hp = HyperParameters(replay(values))
        try:
            plan = spaces.draw(self._space, self._known, hp, self._start, told=(Exception,))
        except CnnsearchError:
            return None
        return Point(dict(hp.values), dict(hp.space), plan.key)

    def simplest(self, record: Record) -> Values:
        """The choices of a trial, or those of the same plan that are fewer: dropout of rate 0 is no dropout.

        As they were drawn where the plugins of today would make another plan of them.
        """
        point = self.draw(record.params) if self.can_draw else None
        if point is None or point.key != record.key:
            return record.params
        return self.simplified(point).values

    def simplified(self, point: Point) -> Point:
        """The point of the same plan with the fewest choices."""
        for name, distribution in point.space.items():
            if distribution.kind == "choice" and name in point.values and self._is_parent(point, name):
                point = min(self._same(point, name), key=lambda each: len(each.values))
        return point

    def changed(self, values: Values, name: str, value: Any) -> Point | None:
        """The point with one choice changed; None if that cannot be drawn, or changes nothing.

        What hangs on the new value takes its default, or the middle of its range where its default changes nothing.
        """
        before, after = self.draw(values), self.draw({**values, name: value})
        if before is None or after is None or after.key != before.key:
            return after
        fresh = {new: levels.at(d, 0.5) for new, d in after.space.items() if new not in values and d.kind != "choice"}
        after = self.draw({**values, name: value, **fresh})
        return after if after is not None and after.key != before.key else None

    def _same(self, point: Point, name: str) -> list[Point]:
        """The points of the same plan that another value of this choice gives; `point` itself first."""
        return [point, *(other for other in self._others(point, name) if other.key == point.key)]

    def _is_parent(self, point: Point, name: str) -> bool:
        """Whether it hangs on this choice what else is drawn; asked once, since each point costs a millisecond."""
        if name not in self._parents:
            names = point.values.keys()
            self._parents[name] = any(other.values.keys() != names for other in self._others(point, name))
        return self._parents[name]

    def _others(self, point: Point, name: str) -> list[Point]:
        choices = (choice for choice in point.space[name].choices if choice != point.values[name])
        return [other for choice in choices if (other := self.draw({**point.values, name: choice}))]
