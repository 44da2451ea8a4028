"""The contracts of a space file: every dimension has an effect, the default point trains, recipes are valid points."""

from functools import cached_property

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import recipes
from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import Draw, HyperParameters, by_chance, defaults, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.space import Space, check, draw, load, override, start_plan
from cnnsearch.testing import networks
from cnnsearch.testing.contracts import Contract, NotChecked, Subject, contract

POINTS = 200
"""Random points that are drawn."""

COMPARED = 40
"""Points for which a check draws a second plan."""

SHAPE = (28, 28, 1)
"""(height, width, channels) of the images if the space names none."""

CLASSES = 10
CONTRACTS: list[Contract] = []


class File(Subject):
    """A space file by name or path, the catalog with its plugins, and the settings of `--set`."""

    contracts = CONTRACTS

    def __init__(self, reference: str, catalog: Catalog, settings: tuple[str, ...] = ()) -> None:
        super().__init__(lambda: None, {}, "space", ())
        self._settings = settings
        self.name, self.reference, self.catalog = f"space {reference}", reference, catalog

    @cached_property
    def space(self) -> Space:
        """The space, with its options checked.

        Raises:
            BrokenContract: if it is not valid.
        """
        try:
            space = override(load(self.reference, self.catalog), self._settings)
            return check(space, self.catalog)
        except CnnsearchError as error:
            raise self.broken(error.message.removeprefix(f"{self.reference}: "), "") from error

    @cached_property
    def start(self) -> Plan:
        """The plan that its first dimension gets."""
        return start_plan(self.space, self.space.input_shape or SHAPE, CLASSES)

    def drawn(self, source: Draw, without: str = "") -> tuple[Plan, HyperParameters]:
        """The plan of one point and its hyperparameters; the dimension `without` is left out."""
        if self.space.model:
            raise NotChecked(f"(Its model draws its own hyperparameters: cnnsearch check {self.space.model})")
        hp = HyperParameters(source)
        rest = tuple(use for use in self.space.dimensions if use.name != without)
        return draw(Space("", dimensions=rest), self.catalog, hp, self.start, as_space_error=(Exception,)), hp

    @cached_property
    def points(self) -> list[tuple[Plan, HyperParameters]]:
        """Those of POINTS random points that can be drawn."""
        found = []
        for seed in range(POINTS):
            try:
                found.append(self.drawn(by_chance(seed)))
            except CnnsearchError:
                continue
        return found

    @cached_property
    def network(self) -> networks.Networks:
        """The networks of the default point."""
        return networks.build_networks(self.drawn(defaults)[0])


@contract(CONTRACTS, basis=True)
def can_be_read(file: File) -> None:
    """It can be read, and its options fit its dimensions."""
    assert file.space


@contract(CONTRACTS)
def has_a_description(file: File) -> None:
    """It has a description."""
    if not file.space.description:
        raise file.broken("it has no description", 'Begin it with description = "What is searched."')


@contract(CONTRACTS, basis=True)
def has_a_default_point(file: File) -> None:
    """Its default point can be built."""
    plan, _ = file.drawn(defaults)
    try:
        cost(plan)
        for part in networks.keras_objects([plan]):
            networks.make_object(part)
    except ValueError as error:
        mend = "Put the value for a plain network first in each list"
        raise file.broken(f"its default point cannot be built: {error}", mend) from error


@contract(CONTRACTS)
def has_a_size(file: File) -> None:
    """It has two points or more, and each name has one range."""
    seen: dict[str, Distribution] = {}
    for _, hp in file.points:
        for name, one in hp.space.items():
            if seen.setdefault(name, one) != one:
                raise file.broken(f"{name} is drawn from {seen[name]} and from {one}", "Correct its dimension")
    if all(one.size == 1 for one in seen.values()):
        raise file.broken("it has one point only", "Give an option two values or more: first = [16, 32]")


@contract(CONTRACTS)
def can_mostly_be_built(file: File) -> None:
    """At least half of its random points can be built."""
    good, problem = 0, ""
    for plan, _ in file.points:
        try:
            cost(plan)
            good += 1
        except ValueError as error:
            problem = problem or str(error)
    if 2 * good < POINTS:
        mend = "Draw fewer blocks or smaller windows for images of this size"
        raise file.broken(f"{POINTS - good} of {POINTS} random points cannot be built: {problem}", mend)


@contract(CONTRACTS)
def needs_each_dimension(file: File) -> None:
    """Each dimension changes the plans: none comes too early or is overwritten."""
    for use in file.space.dimensions:
        points = [file.drawn(defaults), *file.points[:COMPARED]]
        if not any(_changes(file, use.name, plan, hp) for plan, hp in points):
            mend = "Move it behind the dimension that makes what it edits, and behind any that replaces it"
            raise file.broken(f"without {use.name} the plans are the same", mend)


def _changes(file: File, name: str, plan: Plan, hp: HyperParameters) -> bool:
    try:
        return file.drawn(replay(hp.values), without=name)[0] != plan
    except CnnsearchError:
        return True


@contract(CONTRACTS)
def draws_from_hp_alone(file: File) -> None:
    """It draws from hp only: the same values give an equal plan."""
    for plan, hp in file.points[:COMPARED]:
        if file.drawn(replay(hp.values))[0] != plan:
            raise file.broken("the same values give two plans", "Check its dimensions one by one")


@contract(CONTRACTS)
def has_recipes_that_are_points(file: File) -> None:
    """Its recipes are valid points that can be built."""
    for name in file.space.recipes:
        try:
            cost(recipes.point(file.space, file.catalog, name)[1])
        except (CnnsearchError, ValueError) as error:
            reason = error.message if isinstance(error, CnnsearchError) else f"recipe '{name}': {error}"
            mend = "Use names that its dimensions draw, with values in their ranges"
            raise file.broken(reason.removeprefix(f"{file.space.where}: "), mend) from error


@contract(CONTRACTS, basis=True)
def trains_a_step(file: File) -> None:
    """Its default point trains for a few steps with a finite loss."""
    loss = networks.loss_after_steps(file.network)
    if not abs(loss) < networks.LARGEST_LOSS:
        raise file.broken(
            f"the loss is {loss:g} after {networks.STEPS} steps",
            "Put the values first with which a plain network learns",
        )


@contract(CONTRACTS)
def survives_saving(file: File) -> None:
    """Its default point predicts the same after it is saved and opened."""
    difference = networks.difference_after_saving(file.network.core, file.start.input_shape)
    if not difference < networks.LARGEST_DIFFERENCE:
        raise file.broken(
            f"a saved network predicts differently when it is opened, by {difference:.2g}", "Check its dimensions"
        )
