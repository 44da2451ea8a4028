"""What a study found, how sure that is, what it cost and what to do next, in words."""

from cnnsearch.results.majority import ACCURACIES, Majority
from cnnsearch.results.report.facts import Facts, duration
from cnnsearch.results.report.page import Command, Tile
from cnnsearch.study.confirmation import Confirmed, optimism
from cnnsearch.study.trial import Record


def headline(known: Facts) -> str:
    """One line that says what was found."""
    if known.best is None:
        return f"No trial of {known.spent.trials} was trained to its end"
    again, reached = known.again, f"{known.score(known.best.score)} {known.metric}"
    if again is not None:
        reached = f"{known.interval(again)} {known.metric} on {_seeds(again.n)}"
    value, name = known.on_test
    # the metric's name stands already before the dataset's
    test = f", {value}{'' if known.metric.endswith(name) else f' {name}'} on test" if known.test else ""
    which = f"best of {known.spent.trials} trials" if known.spent.trials > 1 else "only trial"
    return f"The {which} reaches {reached} on {known.study.info['data']['name']}{test}"


def tiles(known: Facts) -> tuple[Tile, ...]:
    """The figures that stand on top."""
    spent = known.spent
    found = _of_the_best(known, known.best) if known.best else []
    states = ", ".join(f"{part.trials} {part.state}" for part in spent.parts if part.trials)
    found.append(Tile(str(spent.trials), "trials", states))
    trained = f"{duration(spent.seconds)} of training in all"
    found.append(Tile(duration(known.elapsed), "from first start to last end", trained))
    if spent.saved_epochs:
        all_epochs = spent.saved_epochs + spent.epochs
        note = f"{spent.saved_epochs} of {all_epochs} epochs"
        found.append(Tile(duration(spent.saved_seconds), "saved by pruning", note))
    return tuple(found)


def points(known: Facts) -> tuple[tuple[str, str], ...]:
    """Found, how sure, cost, next: each a short paragraph."""
    found = [("Found", _found(known)), ("How sure", _sureness(known)), ("Cost", _cost(known))]
    if advice := _advice(known):
        found.append(("Next", advice))
    return tuple(found)


def next_steps(known: Facts) -> tuple[Command, ...]:
    """The commands that come next, the most useful first."""
    name = f"{known.study.name}{known.where}"
    if known.best is None:
        return (Command("Every trial with the reason of its end:", f"cnnsearch leaderboard {name}"),)
    number, found = known.best.number, []
    if known.again is None:
        found.append(Command("The best few on fresh seeds, ranked by their means:", f"cnnsearch confirm {name}"))
    if known.test is None:
        line = f"cnnsearch export --trial {number} {name}"
        found.append(Command("The best as files, and its accuracy on test, once:", line))
    found.append(Command("The best trained again from its seed:", f"cnnsearch reproduce {number} {name}"))
    return tuple(found)


def _of_the_best(known: Facts, best: Record) -> list[Tile]:
    again, test, default = known.again, known.test, known.default
    figure = known.score(best.score) if again is None else known.interval(again)
    note = "one training, which chose it" if again is None else f"mean of {_seeds(again.n)}"
    found = [Tile(figure, known.metric, note)]
    if test is not None:
        (low, high), (value, name) = test.interval, known.on_test
        if name != "accuracy":
            found.append(Tile(value, f"test {name}", f"of {test.n:,} images"))
        found.append(Tile(f"{test.accuracy:.2%}", "test accuracy", f"95% interval {low:.2%} to {high:.2%}"))
    if known.majority is not None:
        found.append(_constant(known, known.majority))
    if default is not None and default != best:
        found += _against(known, default, best)
    if best.weights:
        macs = f"{best.macs:,} multiply-adds an image" if best.macs else ""
        found.append(Tile(f"{best.weights:,}", "parameters", macs))
    return found


def _constant(known: Facts, found: Majority) -> Tile:
    """What a constant answer reaches."""
    images = f"{found.share:.1%} of the validation images are of class '{found.name}'"
    if found.constant is None:
        return Tile(f"{found.share:.1%}", "of the validation images", f"are of class '{found.name}'")
    return Tile(known.score(found.constant), "by a constant answer", images)


def _against(known: Facts, default: Record, best: Record) -> list[Tile]:
    """By how much the best beats the default point, mean against mean or first score against first."""
    both = default.number in known.repeats and best.number in known.repeats
    theirs, ours = (known.reached(r.number) if both else r.score or 0.0 for r in (default, best))
    gain = (ours - theirs) * (1 if known.study.maximize else -1)
    if gain <= 0:
        return []
    note = f"default point: {known.score(theirs)}" + ("" if both else ", first scores")
    if known.study.info["metric"] in ACCURACIES and theirs < 1:
        return [Tile(f"{gain / (1 - theirs):.0%} fewer", "errors than the default point", note)]
    return [Tile(known.gap(gain), "better than the default point", note)]


def _seeds(count: int) -> str:
    return f"{count} fresh seed{'s' * (count > 1)}"


def _found(known: Facts) -> str:
    best = known.best
    if best is None:
        kinds = ", ".join(f"{failed.trials} {failed.kind}" for failed in known.spent.failures)
        return f"Nothing yet. {f'Failures: {kinds}.' if kinds else 'No trial was trained to its end.'}"
    origins = {"sampler": "drawn by the sampler", "default": "the space's default point"}
    place = f"best in epoch {best.best_epoch} of {best.epochs}"
    if best.origin == "default":
        return f"Trial {best.number}, the space's default point, {place}: the search found nothing better."
    choices = known.unlike(best, known.study.info.get("default", {}), 4)
    said = f"Trial {best.number}, {origins.get(best.origin, best.origin)}, {place}."
    return said + (f" Unlike the default point, the space's plain network: {choices}." if choices else "")


def _sureness(known: Facts) -> str:
    if known.best is None:
        return "There is nothing to be sure of."
    said = [_unconfirmed(known, known.best) if known.again is None else _confirmation(known, known.best, known.again)]
    if known.majority is not None and known.majority.warning:
        said.insert(0, f"WARNING: {known.majority.warning}")
    if known.test is not None:
        value, name = known.on_test
        more = "" if name == "accuracy" else f"{name} {value}, accuracy "
        said.append(f"On test, which had no part in the choice: {more}{known.test}.")
    else:
        said.append("Test was not looked at for this trial.")
    if len(known.looks) > 1:
        said.append(f"Test was looked at for {len(known.looks)} models of this study; to choose by it is optimistic.")
    return " ".join(said)


def _confirmation(known: Facts, best: Record, again: Confirmed) -> str:
    flattery = optimism(best.score or 0.0, again, known.study.maximize)
    sense = f"flattered it by {known.gap(flattery)}" if flattery > 0 else "did not flatter it"
    kind = ", the 95% interval of the mean" if again.half is not None else ""
    said = (
        f"Trained again on {_seeds(again.n)} it reached {known.interval(again)}{kind}; "
        f"the score that chose it, {known.score(best.score)}, {sense}."
    )
    tied = known.tied
    return said + (f" {_trials(tied)} may be as good: the intervals overlap." if tied else "")


def _unconfirmed(known: Facts, best: Record) -> str:
    low, tied = known.lowest, known.tied
    if low is None:
        return "One training of each trial: how much of their differences is luck is not known."
    images = int(known.study.info["data"]["images"]["val"])
    tie = f"{_trials(tied)} came so near that they may be as good" if tied else "No other trial came so near"
    return (
        f"One training, whose score chose it: that is optimistic. With {images:,} validation images chance alone "
        f"moves a score like this by {known.gap((best.score or 0.0) - low)}. {tie}."
    )


def _cost(known: Facts) -> str:
    spent = known.spent
    full, cut, failed = (spent.part(state).trials for state in ("complete", "pruned", "failed"))
    said = [f"{spent.trials} trials: {full} complete, {cut} pruned, {failed} failed."]
    if refused := sum(kind.trials for kind in spent.refused):
        said.append(f"{refused} more plans were refused as too large before they were built.")
    said.append(
        f"{duration(known.elapsed)} from the first start to the last end; {duration(spent.seconds)} of training, "
        "trials side by side counted each."
    )
    if again := known.study.repeats():
        epochs, seconds = (sum(repeat[what] for repeat in again) for what in ("epochs", "seconds"))
        said.append(f"Fresh seeds took {len(again)} trainings more: {epochs} epochs, {duration(seconds)}.")
    if spent.saved_epochs:
        said.append(f"Pruning saved {spent.saved_epochs} epochs, about {duration(spent.saved_seconds)}.")
    return " ".join(said)


def _advice(known: Facts) -> str:
    """What the figures suggest."""
    best = known.best
    if best is None:
        return "Mend what the failures name, then give the same command again; it goes on."
    said = []
    if known.again is None and known.tied:
        said.append("Train the first few again on fresh seeds before their order is believed.")
    ended = [record.number for record in known.records if record.state == "complete"]
    if len(ended) >= 10 and sum(number <= best.number for number in ended) > 0.8 * len(ended):
        said.append("The best came late: a higher --trials is likely to find more.")
    top = known.complete[:5]
    if len(top) == 5 and sum(record.best_epoch == record.epochs for record in top) >= 4:
        said.append("The top trials were best in their last epoch: a study with more --epochs may find more.")
    if known.test is None:
        said.append("Export the best: that measures it on test.")
    return " ".join(said)


def _trials(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:6])) + (f" and {len(numbers) - 6} more" if len(numbers) > 6 else "")
    return f"Trial{'s' * (len(numbers) > 1)} {shown}"
