"""Points of a study's space, drawn again without training: simpler points of the same plan, and changed points."""

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
from cnnsearch.study.trial import Trial

Values = dict[str, Any]


class Point(NamedTuple):
    """The values of all hyperparameters, their distributions, and the key of the plan."""

    values: Values
    space: dict[str, Distribution]
    key: str


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
        if data and self.can_draw:
            shape, classes = tuple(data["input_shape"]), len(data["classes"])
            values = tuple(data.get("value_range", pixel_values.BYTES))
            self._start = spaces.start_plan(self._space, shape, classes, info["epochs"], values)

    def draw(self, values: Values) -> Point | None:
        """The point with these values and the defaults of all others; None if it cannot be drawn."""
        hp = HyperParameters(replay(values))
        try:
            plan = spaces.draw(self._space, self._known, hp, self._start, as_space_error=(Exception,))
        except CnnsearchError:
            return None
        return Point(dict(hp.values), dict(hp.space), plan.key)

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
        if before is None or after is None or after.key != before.key:
            return after
        middles = {
            new: levels.value_at(distribution, 0.5)
            for new, distribution in after.space.items()
            if new not in values and distribution.kind != "choice"
        }
        after = self.draw({**values, name: value, **middles})
        return after if after is not None and after.key != before.key else None

    def _same_plan(self, point: Point, name: str) -> list[Point]:
        """`point`, then the points with another value of this hyperparameter and the same plan."""
        return [point, *(other for other in self._other_values(point, name) if other.key == point.key)]

    def _is_parent(self, point: Point, name: str) -> bool:
        """Whether other hyperparameters depend on this one. It is computed once, as each point costs a millisecond."""
        if name not in self._parents:
            names = point.values.keys()
            self._parents[name] = any(other.values.keys() != names for other in self._other_values(point, name))
        return self._parents[name]

    def _other_values(self, point: Point, name: str) -> list[Point]:
        choices = (choice for choice in point.space[name].choices if choice != point.values[name])
        return [other for choice in choices if (other := self.draw({**point.values, name: choice}))]
