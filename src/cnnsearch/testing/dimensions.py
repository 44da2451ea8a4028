"""The contracts of a dimension, checked on 200 random points, of which a few are trained and saved."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import Draw, HyperParameters, by_chance, defaults, replay
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.testing import contracts, networks
from cnnsearch.testing.contracts import Subject, contract
from cnnsearch.testing.networks import Networks, build_networks, distinct_plans

POINTS = 200
TRAINED = 3
"""Networks that are trained for a few steps, saved and opened again: with different layers, the default point first."""

CONTRACTS = contracts.of_every_plugin()


class Point(NamedTuple):
    """The plan that a dimension got, the plan that it returned, and what it drew."""

    start: Plan
    plan: Plan
    hp: HyperParameters


def starts(blocks: bool = True) -> tuple[Plan, ...]:
    """Plans for images of 8x8 and 28x28 pixels, as other dimensions make them: with one to three blocks, or without."""
    found = []
    for side in (8, 28):
        for count in (1, 2, 3):
            body = tuple(Block("conv act conv act pool", 4 * 2**at) for at in range(count)) if blocks else ()
            plan = Plan((side, side, 1), 10, body, Head(widths=(16,)))
            found.append(plan.configure("optimizer", learning_rate=0.001))
    sgd = ("SGD", {"learning_rate": 0.05})
    return tuple(plan.replace(optimizer=sgd) if at % 3 == 1 else plan for at, plan in enumerate(found))


class Dimension(Subject):
    """A dimension, its options, and its start plans (by default those of `starts` that it can edit)."""

    contracts = CONTRACTS

    def __init__(
        self, function: Callable[..., Any], given: dict[str, Any] | None = None, on: tuple[Plan, ...] = ()
    ) -> None:
        super().__init__(function, given or {}, "dimension", ("hp", "plan"))
        self._on = on

    def edited(self, start: Plan, draw: Draw) -> Point:
        """One point, drawn as a search does it."""
        hp = HyperParameters(draw)
        with hp.name_scope(self.function.__name__):
            return Point(start, self.function(hp, start, **self.given), hp)

    @cached_property
    def starts(self) -> tuple[Plan, ...]:
        """The start plans: without blocks if it cannot edit plans with blocks."""
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
    def networks(self) -> list[Networks]:
        """A few of its plans as networks."""
        # the default point of each start plan comes first
        return [build_networks(plan) for plan in distinct_plans((point.plan for point in self.points), TRAINED)]

    def at(self, point: Point) -> str:
        """A point as text for a message."""
        drawn = ", ".join(f"{name} = {value!r}" for name, value in point.hp.values.items())
        return f"at {drawn}" if drawn else "without any draw"


@contract(CONTRACTS, basis=True)
def gives_a_plan(dimension: Dimension) -> None:
    """It returns a plan at its default point and at random points."""
    for start in dimension.starts:
        for draw in (defaults, by_chance(0)):
            given = dimension.edited(start, draw).plan
            if not isinstance(given, Plan):
                raise dimension.broken(f"it returns {type(given).__name__}, expected a Plan", "End it with return plan")
    assert dimension.points


@contract(CONTRACTS, basis=True)
def survives_json(dimension: Dimension) -> None:
    """Its plans are the same after JSON."""
    for point in dimension.points:
        try:
            same = Plan.from_json(point.plan.to_json()) == point.plan
        except (TypeError, ValueError) as error:
            mend = "Put plain data into plans: numbers, texts, true or false; Keras objects as a name and its options"
            raise dimension.broken(
                f"its plan cannot be written as JSON {dimension.at(point)}: {error}", mend
            ) from error
        if not same:
            raise dimension.broken(f"its plan changes in JSON {dimension.at(point)}", "Put plain data into plans")


@contract(CONTRACTS)
def searches_something(dimension: Dimension) -> None:
    """It draws at least one hyperparameter with two values or more."""
    drawn = {name: one for point in dimension.points for name, one in point.hp.space.items()}
    mend = "Draw from hp, such as hp.Choice('size', choices), or set fixed values in another dimension"
    if not drawn:
        raise dimension.broken("it draws nothing from hp", mend)
    many = any(isinstance(option, tuple) for option in (dimension.function.__kwdefaults__ or {}).values())
    if not many and all(one.size == 1 for one in drawn.values()):
        raise dimension.broken(
            f"everything that it draws has one value only: {', '.join(drawn)}", "Give it two values or more"
        )


@contract(CONTRACTS, basis=True)
def leaves_the_given_plan(dimension: Dimension) -> None:
    """It does not change the plan that it gets."""
    for start in dimension.starts:
        again = Plan.from_json(start.to_json())
        for seed in range(10):
            dimension.edited(again, by_chance(seed))
            if again != start:
                mend = "Return a copy: plan.replace(field=value), plan.configure('optimizer', name=value)"
                raise dimension.broken("it changes the plan that it gets", mend)


@contract(CONTRACTS)
def draws_from_hp_alone(dimension: Dimension) -> None:
    """It draws from hp only: the same values give an equal plan."""
    for point in dimension.points[:50]:
        for _ in range(2):
            again = dimension.edited(point.start, replay(point.hp.values))
            if again.plan != point.plan or again.hp.values != point.hp.values:
                mend = "Draw everything random from hp; use no random module, clock, files or globals"
                raise dimension.broken(f"the same values give two plans {dimension.at(point)}", mend)


@contract(CONTRACTS)
def keeps_its_choices(dimension: Dimension) -> None:
    """A name has the same choices in every trial of a study."""
    seen: dict[tuple[Any, str], Distribution] = {}
    for point in dimension.points:
        for name, one in point.hp.space.items():
            before = seen.setdefault((point.start.input_shape, name), one)
            if before != one:
                mend = (
                    "Use another name where the range depends on another draw or on the plan, such as rate and sgd_rate"
                )
                raise dimension.broken(f"{name} is drawn from {before} and from {one}", mend)


@contract(CONTRACTS)
def shows_what_it_draws(dimension: Dimension) -> None:
    """Everything that it draws changes the plan."""
    drawn = {name for point in dimension.points for name, one in point.hp.space.items() if one.size > 1}
    for point in dimension.points:
        drawn -= {name for name in drawn & set(point.hp.space) if _matters(dimension, point, name)}
        if not drawn:
            return
    for name in sorted(drawn):
        mend = "Put it into the plan, or do not draw it; equal plans are trained once"
        raise dimension.broken(f"the plan is the same for every value of {name}", mend)


def _matters(dimension: Dimension, point: Point, name: str) -> bool:
    """Whether another value of `name` gives another plan at this point. An error counts as another plan."""
    one, generator = point.hp.space[name], by_chance(1)
    for _ in range(4):
        value = generator(name, one)
        if value != point.hp.values[name]:
            try:
                return dimension.edited(point.start, replay({**point.hp.values, name: value})).plan != point.plan
            except ValueError:
                return True
    return False


@contract(CONTRACTS, basis=True)
def can_be_built(dimension: Dimension) -> None:
    """All of 200 random plans can be built: every layer, loss, optimizer and callback."""
    for point in dimension.points:
        try:
            cost(point.plan)
        except ValueError as error:
            mend = "Draw fewer layers that shrink the image, as conv_depth does"
            raise dimension.broken(f"its plan cannot be built {dimension.at(point)}: {error}", mend) from error
    for part in networks.keras_objects(point.plan for point in dimension.points):
        try:
            networks.make_object(part)
        except ValueError as error:
            mend = "Use a name of Keras, or register your own class with keras.saving.register_keras_serializable"
            raise dimension.broken(f"its plan cannot be built: {error}", mend) from error
    assert dimension.networks


@contract(CONTRACTS)
def costs_what_is_counted(dimension: Dimension) -> None:
    """Its networks have as many parameters as were computed before they were built."""
    for network in dimension.networks:
        counted, real = cost(network.plan).params, network.core.count_params()
        if counted != real:
            mend = "Use words and layers whose cost is known (see the guide); else the limits do not work for it"
            raise dimension.broken(f"a network has {real:,} parameters, but {counted:,} were computed", mend)


@contract(CONTRACTS, basis=True)
def trains_a_step(dimension: Dimension) -> None:
    """It trains for a few steps with a finite loss."""
    for network in dimension.networks:
        loss = networks.loss_after_steps(network)
        if not abs(loss) < networks.LARGEST_LOSS:
            mend = "Choose first values with which a plain network learns: smaller rates, less noise"
            raise dimension.broken(f"the loss is {loss:g} after {networks.STEPS} steps", mend)


@contract(CONTRACTS)
def survives_saving(dimension: Dimension) -> None:
    """Its networks predict the same after they are saved and opened."""
    for network in dimension.networks:
        try:
            difference = networks.difference_after_saving(network.core, network.plan.input_shape)
        except (TypeError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            mend = "A layer class of your own needs get_config and keras.saving.register_keras_serializable"
            raise dimension.broken(f"a saved network cannot be opened: {first}", mend) from error
        if not difference < networks.LARGEST_DIFFERENCE:
            mend = "Store everything that its layers learn in weights, and put random layers into plan.augment"
            raise dimension.broken(f"a saved network predicts differently when it is opened, by {difference:.2g}", mend)
