"""What a space file promises: each dimension counts, its default point works, its recipes are points, it has a size."""

from functools import cached_property

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import recipes
from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.hyperparameters import Distribution, Draw, HyperParameters, by_chance, defaults, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.space import Space, check, draw, load, override, start_plan
from cnnsearch.testing import built
from cnnsearch.testing.promises import Promise, Subject, Unseen, promise

POINTS, LOOKED_AT = 200, 40
SHAPE = (28, 28, 1)
"""Of the images, where the space names none."""

CLASSES = 10
PROMISES: list[Promise] = []


class File(Subject):
    """A space file, by name or path, the catalog that its plugins are in, and what `--set` changes."""

    promises = PROMISES

    def __init__(self, reference: str, catalog: Catalog, settings: tuple[str, ...] = ()) -> None:
        super().__init__(lambda: None, {}, "space", ())
        self._settings = settings
        self.name, self.reference, self.catalog = f"space {reference}", reference, catalog

    @cached_property
    def space(self) -> Space:
        """The space, checked.

        Raises:
            BrokenPromise: if it is none.
        """
        try:
            space = override(load(self.reference, self.catalog), self._settings)
            return check(space, self.catalog)
        except CnnsearchError as error:
            raise self.broken(error.message.removeprefix(f"{self.reference}: "), "") from error

    @cached_property
    def start(self) -> Plan:
        """What its first dimension gets."""
        return start_plan(self.space, self.space.input_shape or SHAPE, CLASSES)

    def drawn(self, source: Draw, without: str = "") -> tuple[Plan, HyperParameters]:
        """One point, and what drew it; a dimension may be left out."""
        if self.space.model:
            raise Unseen(f"(Its model draws for itself: cnnsearch check {self.space.model})")
        hp = HyperParameters(source)
        rest = tuple(use for use in self.space.dimensions if use.name != without)
        return draw(Space("", dimensions=rest), self.catalog, hp, self.start, told=(Exception,)), hp

    @cached_property
    def points(self) -> list[tuple[Plan, HyperParameters]]:
        """The random points that can be drawn."""
        found = []
        for seed in range(POINTS):
            try:
                found.append(self.drawn(by_chance(seed)))
            except CnnsearchError:
                continue
        return found

    @cached_property
    def network(self) -> built.Built:
        """The default point as a network."""
        return built.built(self.drawn(defaults)[0])


@promise(PROMISES, basis=True)
def can_be_read(file: File) -> None:
    """It can be read, and its options fit its dimensions."""
    assert file.space


@promise(PROMISES)
def has_a_description(file: File) -> None:
    """It has a description."""
    if not file.space.description:
        raise file.broken("it has no description", 'Begin it with description = "What is searched."')


@promise(PROMISES, basis=True)
def has_a_default_point(file: File) -> None:
    """Its default point can be built."""
    plan, _ = file.drawn(defaults)
    try:
        cost(plan)
        for part in built.parts([plan]):
            built.make(part)
    except ValueError as error:
        mend = "Put first in each list what makes a sensible plain network"
        raise file.broken(f"its default point cannot be built: {error}", mend) from error


@promise(PROMISES)
def has_a_size(file: File) -> None:
    """It has two points or more, and each name one range, so that they can be counted."""
    seen: dict[str, Distribution] = {}
    for _, hp in file.points:
        for name, one in hp.space.items():
            if seen.setdefault(name, one) != one:
                raise file.broken(f"{name} is drawn from {seen[name]} and from {one}", "Mend its dimension")
    if all(one.size == 1 for one in seen.values()):
        raise file.broken("it has one point only", "Give an option two values or more: first = [16, 32]")


@promise(PROMISES)
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
        mend = "Draw fewer blocks, or smaller windows, than the image bears"
        raise file.broken(f"{POINTS - good} of {POINTS} random points cannot be built: {problem}", mend)


@promise(PROMISES)
def needs_each_dimension(file: File) -> None:
    """Each dimension changes its plans: none comes too early, or is overwritten."""
    for use in file.space.dimensions:
        points = [file.drawn(defaults), *file.points[:LOOKED_AT]]
        if not any(_changes(file, use.name, plan, hp) for plan, hp in points):
            mend = "Move it: behind what makes what it edits, and before nothing that replaces it"
            raise file.broken(f"without {use.name} its plans are the same", mend)


def _changes(file: File, name: str, plan: Plan, hp: HyperParameters) -> bool:
    try:
        return file.drawn(replay(hp.values), without=name)[0] != plan
    except CnnsearchError:
        return True


@promise(PROMISES)
def draws_from_hp_alone(file: File) -> None:
    """It draws from hp alone: the same values give an equal plan."""
    for plan, hp in file.points[:LOOKED_AT]:
        if file.drawn(replay(hp.values))[0] != plan:
            raise file.broken("the same values give two plans", "Check its dimensions one by one")


@promise(PROMISES)
def has_recipes_that_are_points(file: File) -> None:
    """Its recipes are points of it that can be built."""
    for name in file.space.recipes:
        try:
            cost(recipes.point(file.space, file.catalog, name)[1])
        except (CnnsearchError, ValueError) as error:
            reason = error.message if isinstance(error, CnnsearchError) else f"recipe '{name}': {error}"
            mend = "Name what its dimensions draw, with values among theirs"
            raise file.broken(reason.removeprefix(f"{file.space.where}: "), mend) from error


@promise(PROMISES, basis=True)
def trains_a_step(file: File) -> None:
    """Its default point trains a step with finite loss."""
    loss = built.loss(file.network)
    if not abs(loss) < built.LARGE:
        raise file.broken(f"the loss is {loss:g} after {built.STEPS} steps", "Put first what a plain network learns by")


@promise(PROMISES)
def survives_saving(file: File) -> None:
    """Its default point survives being saved and opened again."""
    moved = built.moved(file.network.core, file.start.input_shape)
    if not moved < built.CLOSE:
        raise file.broken(f"a saved and opened network answers differently, by {moved:.2g}", "Check its dimensions")
