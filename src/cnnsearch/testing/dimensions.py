"""What a dimension promises: 200 random points drawn, all their parts made, a few of them trained and saved."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.hyperparameters import Distribution, Draw, HyperParameters, by_chance, defaults, replay
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.testing import built, promises
from cnnsearch.testing.promises import Subject, promise

POINTS = 200
TRAINED = 3
"""Networks that are trained a step, saved and opened again: unlike ones, the default point first."""

PROMISES = promises.of_every_plugin()


class Point(NamedTuple):
    """The plan that a dimension got, the one that it gave, and what it drew."""

    start: Plan
    plan: Plan
    hp: HyperParameters


def starts(blocks: bool = True) -> tuple[Plan, ...]:
    """Plans of 8x8 and 28x28 pixels as other dimensions leave them: with one block to three, or with none."""
    found = []
    for side in (8, 28):
        for count in (1, 2, 3):
            body = tuple(Block("conv act conv act pool", 4 * 2**at) for at in range(count)) if blocks else ()
            plan = Plan((side, side, 1), 10, body, Head(widths=(16,)))
            found.append(plan.configure("optimizer", learning_rate=0.001))
    sgd = ("SGD", {"learning_rate": 0.05})
    return tuple(plan.replace(optimizer=sgd) if at % 3 == 1 else plan for at, plan in enumerate(found))


class Dimension(Subject):
    """A dimension, its options, and the plans it is tried on (by default those of `starts` that it can edit)."""

    promises = PROMISES

    def __init__(
        self, function: Callable[..., Any], given: dict[str, Any] | None = None, on: tuple[Plan, ...] = ()
    ) -> None:
        super().__init__(function, given or {}, "dimension", ("hp", "plan"))
        self._on = on

    def edited(self, start: Plan, draw: Draw) -> Point:
        """One point, drawn as the host does it."""
        hp = HyperParameters(draw)
        with hp.name_scope(self.function.__name__):
            return Point(start, self.function(hp, start, **self.given), hp)

    @cached_property
    def starts(self) -> tuple[Plan, ...]:
        """What it is tried on: without blocks where it cannot follow them."""
        if self._on:
            return self._on
        for tried in (starts(), starts(blocks=False)):
            try:
                for start in tried:
                    cost(self.edited(start, defaults).plan)
                return tried
            except Exception:
                continue
        return starts()

    @cached_property
    def points(self) -> list[Point]:
        """The default point of each start, and random ones, 200 in all."""
        first = [self.edited(start, defaults) for start in self.starts]
        rest = range(len(first), POINTS)
        return first + [self.edited(self.starts[seed % len(first)], by_chance(seed)) for seed in rest]

    @cached_property
    def networks(self) -> list[built.Built]:
        """A few of its plans as networks."""
        # by the plan, so that each start comes with its default point first
        return [built.built(plan) for plan in built.unlike((point.plan for point in self.points), TRAINED)]

    def at(self, point: Point) -> str:
        """A point in words."""
        drawn = ", ".join(f"{name} = {value!r}" for name, value in point.hp.values.items())
        return f"at {drawn}" if drawn else "where it draws nothing"


def subject(function: Callable[..., Any], given: dict[str, Any], catalog: Catalog) -> Dimension:
    """The dimension of a catalog's entry."""
    return Dimension(function, given)


@promise(PROMISES, basis=True)
def gives_a_plan(dimension: Dimension) -> None:
    """It gives a plan at its default point and at random ones."""
    for start in dimension.starts:
        for draw in (defaults, by_chance(0)):
            given = dimension.edited(start, draw).plan
            if not isinstance(given, Plan):
                raise dimension.broken(f"it returns {type(given).__name__}, expected a Plan", "End it with return plan")
    assert dimension.points


@promise(PROMISES, basis=True)
def survives_json(dimension: Dimension) -> None:
    """Its plans survive JSON."""
    for point in dimension.points:
        try:
            same = Plan.from_json(point.plan.to_json()) == point.plan
        except (TypeError, ValueError) as error:
            mend = "Put plain data into plans: numbers, texts, true or false; for Keras' objects a name and its options"
            raise dimension.broken(f"its plan is no JSON {dimension.at(point)}: {error}", mend) from error
        if not same:
            raise dimension.broken(f"its plan changes in JSON {dimension.at(point)}", "Put plain data into plans")


@promise(PROMISES)
def searches_something(dimension: Dimension) -> None:
    """It searches something."""
    drawn = {name: one for point in dimension.points for name, one in point.hp.space.items()}
    mend = "Draw from hp, such as hp.Choice('size', choices), or set what is fixed in another dimension"
    if not drawn:
        raise dimension.broken("it draws nothing from hp", mend)
    many = any(isinstance(option, tuple) for option in (dimension.function.__kwdefaults__ or {}).values())
    if not many and all(one.size == 1 for one in drawn.values()):
        raise dimension.broken(f"all that it draws has one value: {', '.join(drawn)}", "Give it two values or more")


@promise(PROMISES, basis=True)
def leaves_the_given_plan(dimension: Dimension) -> None:
    """It leaves the plan that it gets as it is."""
    for start in dimension.starts:
        again = Plan.from_json(start.to_json())
        for seed in range(10):
            dimension.edited(again, by_chance(seed))
            if again != start:
                mend = "Give back a copy: plan.replace(field=value), plan.configure('optimizer', name=value)"
                raise dimension.broken("it changes the plan that it gets", mend)


@promise(PROMISES)
def draws_from_hp_alone(dimension: Dimension) -> None:
    """It draws from hp alone: the same values give an equal plan."""
    for point in dimension.points[:50]:
        for _ in range(2):
            again = dimension.edited(point.start, replay(point.hp.values))
            if again.plan != point.plan or again.hp.values != point.hp.values:
                mend = "Take all that is left to chance from hp, and nothing from random, the clock, files or globals"
                raise dimension.broken(f"the same values give two plans {dimension.at(point)}", mend)


@promise(PROMISES)
def keeps_its_choices(dimension: Dimension) -> None:
    """It keeps the choices of a name fixed within a study."""
    seen: dict[tuple[Any, str], Distribution] = {}
    for point in dimension.points:
        for name, one in point.hp.space.items():
            before = seen.setdefault((point.start.input_shape, name), one)
            if before != one:
                mend = "Give what depends on another draw or on the plan a name of its own, such as rate and sgd_rate"
                raise dimension.broken(f"{name} is drawn from {before} and from {one}", mend)


@promise(PROMISES)
def shows_what_it_draws(dimension: Dimension) -> None:
    """It draws nothing that its plans do not show."""
    drawn = {name for point in dimension.points for name, one in point.hp.space.items() if one.size > 1}
    for point in dimension.points:
        drawn -= {name for name in drawn & set(point.hp.space) if _matters(dimension, point, name)}
        if not drawn:
            return
    for name in sorted(drawn):
        mend = "Put it into the plan, or do not draw it: equal plans are trained once"
        raise dimension.broken(f"whatever {name} is, the plan is the same", mend)


def _matters(dimension: Dimension, point: Point, name: str) -> bool:
    """Whether another value of `name` gives another plan there; where it gives none, it does something too."""
    one, generator = point.hp.space[name], by_chance(1)
    for _ in range(4):
        value = generator(name, one)
        if value != point.hp.values[name]:
            try:
                return dimension.edited(point.start, replay({**point.hp.values, name: value})).plan != point.plan
            except ValueError:
                return True
    return False


@promise(PROMISES, basis=True)
def can_be_built(dimension: Dimension) -> None:
    """All of 200 random plans can be built: every layer, loss, optimizer and callback."""
    for point in dimension.points:
        try:
            cost(point.plan)
        except ValueError as error:
            mend = "Draw less where the image bears no more, as conv_depth does"
            raise dimension.broken(f"its plan cannot be built {dimension.at(point)}: {error}", mend) from error
    for part in built.parts(point.plan for point in dimension.points):
        try:
            built.make(part)
        except ValueError as error:
            mend = "Name it as Keras does, or register your own with keras.saving.register_keras_serializable"
            raise dimension.broken(f"its plan cannot be built: {error}", mend) from error
    assert dimension.networks


@promise(PROMISES)
def costs_what_is_counted(dimension: Dimension) -> None:
    """Its networks have the parameters that are counted before they are built."""
    for network in dimension.networks:
        counted, real = cost(network.plan).params, network.core.count_params()
        if counted != real:
            mend = "Write it with words and layers that are counted (see the guide), or the limits do not hold for it"
            raise dimension.broken(f"a network has {real:,} parameters, and {counted:,} are counted", mend)


@promise(PROMISES, basis=True)
def trains_a_step(dimension: Dimension) -> None:
    """It trains a step with finite loss."""
    for network in dimension.networks:
        loss = built.loss(network)
        if not abs(loss) < built.LARGE:
            mend = "Make its first values such that a plain network learns: smaller rates, less noise"
            raise dimension.broken(f"the loss is {loss:g} after {built.STEPS} steps", mend)


@promise(PROMISES)
def survives_saving(dimension: Dimension) -> None:
    """Its networks survive being saved and opened again."""
    for network in dimension.networks:
        try:
            moved = built.moved(network.core, network.plan.input_shape)
        except (TypeError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            mend = "A layer of your own needs get_config and keras.saving.register_keras_serializable"
            raise dimension.broken(f"a saved network cannot be opened: {first}", mend) from error
        if not moved < built.CLOSE:
            mend = "Keep all that its layers learn in weights, and put what is by chance into plan.augment"
            raise dimension.broken(f"a saved and opened network answers differently, by {moved:.2g}", mend)
