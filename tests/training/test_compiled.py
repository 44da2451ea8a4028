"""The trainer of plans: the same losses as Keras' `fit`, callbacks around epochs, one program for equal plans."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.spaces.sentences import Spec
from cnnsearch.training import compiled, fitting
from cnnsearch.training.candidate import Candidate, from_plan
from cnnsearch.training.compiled import fused, programs
from cnnsearch.training.compiled.programs import MOST, CompiledCandidates
from cnnsearch.training.compiled.tensorflow import Program
from tests.conftest import TINY, Run
from tests.training.equal_training import PLANS, Told, candidate, check, images


@pytest.mark.parametrize("name", PLANS)
def test_its_losses_and_weights_are_those_of_fit(name: str) -> None:
    check(name)


@pytest.mark.parametrize(("channels", "kind"), [(8, "float32"), (16, "bfloat16")])
def test_few_channels_are_normalised_in_float32_where_half_precision_is_slow(channels: int, kind: str) -> None:
    layer = keras.layers.BatchNormalization(dtype="mixed_bfloat16")
    layer.build((None, 4, 4, channels))
    with fused.operations():
        images = tf.TensorSpec((2, 4, 4, channels), "bfloat16")
        program = tf.function(lambda x: layer(x, training=True)).get_concrete_function(images)
    found = [each.inputs[0].dtype.name for each in program.graph.get_operations() if each.type == "FusedBatchNormV3"]
    assert found == [kind] and program.outputs[0].dtype == "bfloat16"


@pytest.mark.parametrize(
    ("name", "options", "one"),
    [
        ("Adam", {}, True),
        ("Adam", {"beta_1": 0, "epsilon": 1}, True),
        ("AdamW", {}, True),
        ("Adam", {"amsgrad": True}, False),
        ("Nadam", {}, False),
    ],
)
def test_a_step_is_one_operation_where_it_is_plain_adams(name: str, options: dict[str, Any], one: bool) -> None:
    weights = keras.layers.Dense(2)
    weights.build((None, 3))
    optimizer = getattr(keras.optimizers, name)(**options)
    optimizer.build(weights.trainable_variables)
    gradients = [tf.ones(each.shape) for each in weights.trainable_variables]
    with fused.operations():
        program = tf.function(lambda: optimizer.apply(gradients)).get_concrete_function()
    kinds = [each.type for each in program.graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == (2 if one else 0)


@pytest.mark.parametrize("mixing", [(), (("MixUp", {}),), (("CutMix", {}),)], ids=str)
def test_in_half_precision_its_losses_are_nearly_those_of_fit(
    mixing: tuple[Spec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan((8, 8, 1), 10, (Block("conv norm act pool", filters=4, bias=False),), mixing=mixing)
    monkeypatch.setattr(compiled, "order", lambda seed, epoch, count: np.arange(count, dtype="int32"))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        data, told, model = images(), Told(), candidate(plan).model
        compiled.fit(model, data, epochs=2, callbacks=[told])
        fitted = candidate(plan).model
        fitted.fit(data.x, data.y, 32, 2, verbose=0, shuffle=False)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[2 + len(mixing)].compute_dtype == "bfloat16"
    theirs = fitted.evaluate(data.x_val, data.y_val, verbose=0)[0]
    assert told.logs[-1]["val_loss"] == pytest.approx(theirs, rel=0.02)


def curve(one: Candidate) -> list[dict[str, Any]]:
    """What each epoch of `one` is, trained as the seed of `candidate` left it."""
    told = Told()
    compiled.fit(one.model, images(), epochs=2, callbacks=[told])
    return told.logs


def test_an_equal_plan_takes_over_the_program_and_is_trained_as_if_it_had_its_own() -> None:
    plan, kept = PLANS["all"], CompiledCandidates()
    alone = curve(candidate(plan))
    first = kept.reuse(plan, candidate(plan))
    curve(first)
    again = kept.reuse(plan, candidate(plan))
    assert again.model is first.model and again.core is first.core
    assert curve(again) == alone


def test_plans_that_differ_in_numbers_alone_share_one_program(monkeypatch: pytest.MonkeyPatch) -> None:
    first, kept, traced = PLANS["all"], CompiledCandidates(), []
    other = first.each_block(rate=0.5).replace(
        augment=(("RandomAffine", {"rotation": 25.0, "shift": 0.02}), ("GaussianNoise", {"stddev": 0.2})),
        loss=("CategoricalCrossentropy", {"label_smoothing": 0.02}),
        optimizer=("AdamW", {"learning_rate": 0.002}),
        schedule=(1.0, 0.5, 0.0),
    )
    plain = Program._trained
    monkeypatch.setattr(Program, "_trained", lambda *given: traced.append(1) or plain(*given))
    alone = {plan: curve(candidate(plan)) for plan in (first, other)}
    assert len(traced) == 2 and alone[first] != alone[other]
    for plan in (first, other, first):
        shared = kept.reuse(plan, candidate(plan))
        for mine, theirs in zip(curve(shared), alone[plan], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-6)
    assert len(traced) == 3
    (drop,) = (layer for layer in shared.core.layers if isinstance(layer, keras.layers.Dropout))
    assert drop.rate == 0.3 and shared.model.loss.get_config()["label_smoothing"] == 0.1


def test_a_reused_model_is_trained_by_fit_with_the_numbers_of_its_own_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` trains it if its images do not fit into the memory."""
    monkeypatch.setattr(compiled, "holds", lambda data: False)
    first, kept = PLANS["all"], CompiledCandidates()
    other = first.replace(loss=("CategoricalCrossentropy", {"label_smoothing": 0.4}))

    def loss(made: Candidate) -> float:
        told = Told()
        fitting.fit(None, made.model, images(), epochs=1, callbacks=[told], by_epochs=True)
        return float(told.logs[0]["val_loss"])

    alone, before = loss(candidate(other)), loss(kept.reuse(first, candidate(first)))
    shared = kept.reuse(other, candidate(other))
    assert loss(shared) == pytest.approx(alone, rel=1e-3) and abs(alone - before) > 0.005


def test_a_model_that_compiled_epochs_cannot_train_is_not_reused() -> None:
    plan, kept = PLANS["plain"], CompiledCandidates()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert kept.reuse(plan, candidate(plan)).model is not kept.reuse(plan, candidate(plan)).model
    finally:
        keras.config.set_dtype_policy("float32")


def test_without_a_number_the_program_is_another_one() -> None:
    kept, plan = CompiledCandidates(), PLANS["all"]
    model = kept.reuse(plan, candidate(plan)).model
    less = (
        plan.each_block(rate=0.0),
        plan.replace(augment=()),
        plan.replace(loss=("CategoricalCrossentropy", {})),
        plan.replace(schedule=()),
        plan.replace(schedule=(1.0, 0.5)),
    )
    for other in less:
        assert kept.reuse(other, candidate(other)).model is not model


def test_a_low_fidelity_evaluation_shares_the_program_of_the_training_after_it() -> None:
    kept, plan = CompiledCandidates(), PLANS["all"].replace(batch_size=32)
    look = kept.reuse(plan, from_plan(plan, 50, passes=1))
    full = kept.reuse(plan, from_plan(plan, 100))
    assert full.model is look.model
    assert full.model.optimizer._learning_rate.steps_per_epoch == 4


def test_a_rate_alone_is_no_reason_to_compile_and_is_taken_over_too() -> None:
    kept, plan = CompiledCandidates(), PLANS["plain"]
    faster = plan.configure("optimizer", learning_rate=0.05)
    first = kept.reuse(plan, candidate(plan))
    second = kept.reuse(faster, candidate(faster))
    assert second.model is first.model and float(second.model.optimizer.learning_rate) == pytest.approx(0.05)
    for other in (plan.replace(head=Head(widths=(8,))), plan.replace(class_weight="balanced")):
        assert kept.reuse(other, candidate(other)).model is not first.model


def test_a_program_takes_images_with_weights_and_without() -> None:
    model, logs = candidate(PLANS["plain"]).model, []
    for weighted in (False, True, False):
        told = Told()
        compiled.fit(model, images(weighted), epochs=1, callbacks=[told])
        logs.append(told.logs[0]["loss"])
    assert len(set(logs)) == 3 and all(np.isfinite(logs))


def test_what_was_not_used_for_long_is_let_go() -> None:
    kept, plan = CompiledCandidates(), PLANS["plain"]
    first = kept.reuse(plan, candidate(plan))
    for width in range(2, MOST + 2):
        other = plan.replace(head=Head(widths=(width,)))
        kept.reuse(other, candidate(other))
    assert kept.reuse(plan, candidate(plan)).model is not first.model


def test_large_ones_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLANS["plain"]
    monkeypatch.setattr(programs, "MOST_PARAMS", candidate(plan).core.count_params() - 1)
    kept = CompiledCandidates()
    first = kept.reuse(plan, candidate(plan))
    assert kept.reuse(plan, candidate(plan)).model is not first.model


def test_a_program_holds_no_images_once_it_is_done() -> None:
    model = candidate(PLANS["plain"]).model
    compiled.fit(model, images(), epochs=1, callbacks=[])
    assert not model.epoch_program._train and not model.epoch_program._val


def test_an_optimizer_that_scales_its_loss_is_left_to_fit() -> None:
    plan = PLANS["plain"].replace(optimizer=("SGD", {"learning_rate": 0.01, "loss_scale_factor": 1024.0}))
    assert not compiled.suits(candidate(plan).model, [])


def test_callbacks_around_batches_are_left_to_fit() -> None:
    model = candidate(PLANS["plain"]).model
    assert compiled.suits(model, [Told(), keras.callbacks.EarlyStopping(), keras.callbacks.ReduceLROnPlateau()])
    assert not compiled.suits(model, [keras.callbacks.ModelCheckpoint("x.keras")])
    assert not compiled.suits(model, [keras.callbacks.LambdaCallback(on_train_batch_end=print)])


def test_callbacks_stop_it_and_set_its_rate() -> None:
    told, rates = Told(), []

    class Note(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            rates.append(float(self.model.optimizer.learning_rate))
            self.model.stop_training = epoch == 2

    slower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    compiled.fit(candidate(PLANS["plain"]).model, images(), epochs=9, callbacks=[slower, told, Note()])
    assert rates == pytest.approx([0.0005, 0.00025, 0.000125])
    assert len(told.logs) == 3


def test_a_callback_may_monitor_accuracy_without_being_told_which_way_is_better() -> None:
    plan = PLANS["plain"].replace(optimizer=("Adam", {"learning_rate": 0.0}))
    model = candidate(plan).model
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_accuracy", patience=1, factor=0.5)
    early = keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=2)
    told = Told()
    compiled.fit(model, images(), epochs=9, callbacks=[plateau, early, told])
    assert len(told.logs) == 3, "nothing is learnt, so it stops after two epochs without progress"


def test_the_order_is_the_epochs_own() -> None:
    first, second = compiled.order(5, 0, 50), compiled.order(5, 1, 50)
    assert sorted(first) == list(range(50)) and list(first) != list(second)
    assert list(first) == list(compiled.order(5, 0, 50))


@pytest.mark.slow
def test_a_study_is_trained_as_it_began(run: Run) -> None:
    line = ("run", "--space", "digits_cnn", "--jobs", "1", *TINY)
    assert run(*line, "--trials", "1", "--no-compiled", "--precision", "mixed_bfloat16").returncode == 0
    on = run(*line, "--trials", "3", "--precision", "float32")
    said = on.stdout + on.stderr
    assert on.returncode == 0 and "with Keras' fit" in said and "in mixed_bfloat16" in said
    # the second trial of its worker has the precision of the first: Keras forgets it between them
    again = run("reproduce", "2")
    assert "The largest difference is 0." in again.stdout, again.stdout
