"""The top of a report in words: the result, the confidence in it, its cost, and the next steps."""

from cnnsearch.core.metric_names import SHARES_RIGHT
from cnnsearch.results.majority import Majority
from cnnsearch.results.report.facts import Facts, duration
from cnnsearch.results.report.page import Command, Tile
from cnnsearch.spaces.prior import ORIGIN as PRIOR
from cnnsearch.study.confirmation import Confirmed, optimism
from cnnsearch.study.trial import Trial


def headline(known: Facts) -> str:
    """The result in one line."""
    if known.best is None:
        return f"None of {known.cost.trials} trials is complete"
    mean, reached = known.best_mean, f"{known.score_text(known.best.score)} {known.metric}"
    if mean is not None:
        reached = f"{known.mean_text(mean)} {known.metric} over {_seeds(mean.n)}"
    value, name = known.test_score
    # the metric's name is not repeated
    test = f", {value}{'' if known.metric.endswith(name) else f' {name}'} on test" if known.best_on_test else ""
    which = f"best of {known.cost.trials} trials" if known.cost.trials > 1 else "only trial"
    return f"The {which} reaches {reached} on {known.study.info['data']['name']}{test}"


def tiles(known: Facts) -> tuple[Tile, ...]:
    """The figures at the top."""
    cost = known.cost
    found = _tiles_of_best(known, known.best) if known.best else []
    states = ", ".join(f"{state.trials} {state.state}" for state in cost.states if state.trials)
    found.append(Tile(str(cost.trials), "trials", states))
    trained = f"{duration(cost.seconds)} of training in total"
    found.append(Tile(duration(known.elapsed), "from first start to last end", trained))
    if cost.saved_epochs:
        note = f"{cost.saved_epochs} of {cost.saved_epochs + cost.epochs} epochs"
        found.append(Tile(duration(cost.saved_seconds), "saved by pruning", note))
    return tuple(found)


def points(known: Facts) -> tuple[tuple[str, str], ...]:
    """Result, confidence, cost and next steps: a heading and a short paragraph each."""
    found = [("Result", _result(known)), ("Confidence", _confidence(known)), ("Cost", _cost(known))]
    if advice := _advice(known):
        found.append(("Next", advice))
    return tuple(found)


def next_steps(known: Facts) -> tuple[Command, ...]:
    """The commands to run next, the most useful first."""
    name = f"{known.study.name}{known.options}"
    if known.best is None:
        return (Command("Show every trial with the reason of its end:", f"cnnsearch leaderboard {name}"),)
    number, found = known.best.number, []
    if known.best_mean is None:
        line = f"cnnsearch confirm {name}"
        found.append(Command("Train the best few with new seeds, and rank them by their means:", line))
    if known.best_on_test is None and known.has_test_images:
        line = f"cnnsearch export --trial {number} {name}"
        found.append(Command("Export the best model, and evaluate it once on the test set:", line))
    found.append(Command("Train the best trial again from its seed:", f"cnnsearch reproduce {number} {name}"))
    return tuple(found)


def _tiles_of_best(known: Facts, best: Trial) -> list[Tile]:
    mean, test, default = known.best_mean, known.best_on_test, known.default_trial
    score, note = best.score, "search score, one training"
    if mean is not None:
        ends = " to ".join(map(known.score_text, mean.interval or ()))
        score, note = mean.mean, f"mean over {_seeds(mean.n)}" + (f", 95% interval {ends}" if ends else "")
    found = [Tile(known.score_text(score), known.metric, note)]
    if test is not None:
        (low, high), (value, name) = test.interval, known.test_score
        if name != "accuracy":
            found.append(Tile(value, f"test {name}", f"of {test.n:,} images"))
        found.append(Tile(f"{test.accuracy:.2%}", "test accuracy", f"95% interval {low:.2%} to {high:.2%}"))
    if known.majority is not None:
        found.append(_constant_answer(known, known.majority))
    if default is not None and default != best:
        found += _gain_over_default(known, default, best)
    if best.weights:
        macs = f"{best.macs:,} multiply-adds per image" if best.macs else ""
        found.append(Tile(f"{best.weights:,}", "parameters", macs))
    return found


def _constant_answer(known: Facts, found: Majority) -> Tile:
    """The score of always predicting the most frequent class."""
    images = f"{found.share:.1%} of the validation images are of class '{found.name}'"
    if found.constant is None:
        return Tile(f"{found.share:.1%}", "of the validation images", f"are of class '{found.name}'")
    return Tile(known.score_text(found.constant), "by a constant answer", images)


def _gain_over_default(known: Facts, default: Trial, best: Trial) -> list[Tile]:
    """How much better the best trial is than the default point: the two means, or the two search scores."""
    both = default.number in known.means and best.number in known.means
    theirs, ours = (known.mean_or_score(r.number) if both else r.score or 0.0 for r in (default, best))
    gain = (ours - theirs) * (1 if known.study.maximize else -1)
    if gain <= 0:
        return []
    note = f"default point: {known.score_text(theirs)}" + ("" if both else ", search scores")
    if known.study.info["metric"] in SHARES_RIGHT and theirs < 1:
        return [Tile(f"{gain / (1 - theirs):.0%} fewer", "errors than the default point", note)]
    return [Tile(known.difference_text(gain), "better than the default point", note)]


def _seeds(count: int) -> str:
    return f"{count} new seed{'s' * (count > 1)}"


def _result(known: Facts) -> str:
    best = known.best
    if best is None:
        kinds = ", ".join(f"{failure.trials} {failure.kind}" for failure in known.cost.failures)
        return f"No trial is complete.{f' Failures: {kinds}.' if kinds else ''}"
    origins = {"sampler": "drawn by the sampler", "default": "the space's default point"}
    epoch = f"best in epoch {best.best_epoch} of {best.epochs}"
    if best.origin == "default":
        return f"Trial {best.number}, the space's default point, {epoch}: the search found nothing better."
    default = known.study.info.get("default", {})
    choices = known.differing_choices(best, default, 4) if default else ""
    origin = origins.get(best.origin, best.origin)
    if best.origin.startswith(PRIOR):
        origin = f"a point of the prior {best.origin.removeprefix(PRIOR)}"
    text = f"Trial {best.number}, {origin}, {epoch}."
    return text + (f" It differs from the default point, a plain network, in {choices}." if choices else "")


def _confidence(known: Facts) -> str:
    best, mean = known.best, known.best_mean
    if best is None:
        return "There is no result."
    sentences = [_without_new_seeds(known, best) if mean is None else _with_new_seeds(known, best, mean)]
    if known.majority is not None and known.majority.warning:
        sentences.insert(0, f"WARNING: {known.majority.warning}")
    if known.best_on_test is not None:
        value, name = known.test_score
        more = "" if name == "accuracy" else f"{name} {value}, accuracy "
        sentences.append(f"On the test set, which was not used to choose the model: {more}{known.best_on_test}.")
    elif known.other_exports:
        sentences += [
            f"Exported with {how}, it was evaluated on the test set: {found}."
            for how, found in known.other_exports.items()
        ]
    elif known.has_test_images:
        sentences.append("This trial was not evaluated on the test set.")
    if len(known.evaluations) > 1:
        sentences.append(
            f"{len(known.evaluations)} models of this study were evaluated on the test set. If you choose among them "
            "by their test scores, the best of these is too optimistic."
        )
    return " ".join(sentences)


def _with_new_seeds(known: Facts, best: Trial, mean: Confirmed) -> str:
    where = "on these validation images" if mean.seeds_only else "on new images of this kind"
    ends = " and ".join(map(known.score_text, mean.interval or ()))
    interval = f" The {known.metric} of its model {where} is between {ends} (95% interval)." if ends else ""
    too_high = optimism(best.score or 0.0, mean, known.study.maximize)
    bias = f"too optimistic by {known.difference_text(too_high)}" if too_high > 0 else "not too optimistic"
    text = (
        f"The mean over {_seeds(mean.n)} is {known.score_text(mean.mean)}.{interval} "
        f"The search score, {known.score_text(best.score)}, was {bias}."
    )
    ties = known.ties
    return text + (f" {_trials(ties)} may be as good." if ties else "")


def _without_new_seeds(known: Facts, best: Trial) -> str:
    low, ties = known.lower_limit, known.ties
    if low is None:
        return "Each trial was trained once, so it is unknown how much of the differences is chance."
    images = int(known.study.info["data"]["images"]["val"])
    tie = f"{_trials(ties)} may be as good" if ties else "The score of every other trial is further away"
    return (
        "The trial was trained once and was chosen by that score, so the score is too optimistic. With "
        f"{images:,} validation images chance alone changes a score like this by "
        f"{known.difference_text((best.score or 0.0) - low)}. {tie}."
    )


def _cost(known: Facts) -> str:
    cost = known.cost
    complete, pruned, failed = (cost.of(state).trials for state in ("complete", "pruned", "failed"))
    sentences = [f"{cost.trials} trials: {complete} complete, {pruned} pruned, {failed} failed."]
    if infeasible := sum(kind.trials for kind in cost.infeasible):
        sentences.append(f"{infeasible} more plans were infeasible: they were rejected before they were built.")
    sentences.append(
        f"{duration(known.elapsed)} from the first start to the last end; {duration(cost.seconds)} of training "
        "(parallel trials count separately)."
    )
    if repeats := known.study.repeats():
        epochs, seconds = (sum(repeat[what] for repeat in repeats) for what in ("epochs", "seconds"))
        sentences.append(f"New seeds took {len(repeats)} more trainings: {epochs} epochs, {duration(seconds)}.")
    if cost.saved_epochs:
        sentences.append(f"Pruning saved {cost.saved_epochs} epochs, about {duration(cost.saved_seconds)}.")
    return " ".join(sentences)


def _advice(known: Facts) -> str:
    """What to do next, as the figures suggest."""
    best = known.best
    if best is None and not known.cost.trials:
        return "No trial has ended yet. Run the command of the search to begin or to resume it."
    if best is None:
        return "Correct the causes of the failures, then run the same command again."
    sentences = []
    if known.best_mean is None and known.ties:
        sentences.append("Train the first few with new seeds before you trust their order.")
    ended = [record.number for record in known.trials if record.state == "complete"]
    if len(ended) >= 10 and sum(number <= best.number for number in ended) > 0.8 * len(ended):
        sentences.append("The best trial came late: a higher --trials will probably find more.")
    # the epochs of a function that trains for itself are its own, and a `fit` may report one result alone
    top = [record for record in known.complete[:5] if record.epochs > 1]
    if known.study.info["epochs"] and len(top) == 5 and sum(record.best_epoch == record.epochs for record in top) >= 4:
        sentences.append("The top trials were best in their last epoch: a study with more --epochs may find more.")
    if known.best_on_test is None and known.has_test_images:
        sentences.append("Export the best model: that evaluates it on the test set.")
    return " ".join(sentences)


def _trials(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:6])) + (f" and {len(numbers) - 6} more" if len(numbers) > 6 else "")
    return f"Trial{'s' * (len(numbers) > 1)} {shown}"
