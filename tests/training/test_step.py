"""The step that every training makes, against its formula in NumPy."""

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.training import TrainingDivergedError, TrainingStep, check_finite, half_cosine

IMAGES, LABELS = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32), np.array([0, 1], np.int32)


def step_of(weight, bias, clip_norm=None, **options):
    def loss(images, labels, *inputs):
        scale = inputs[0] if inputs else 1.0
        return scale * tf.reduce_mean(tf.square(images @ weight[:, tf.newaxis] + bias - tf.cast(labels, tf.float32)))

    return TrainingStep(
        {"weight": weight, "bias": bias}, loss, keras.optimizers.SGD(0.1, 0.9, global_clipnorm=clip_norm), **options
    )


def gradient(weight, bias, images=IMAGES):
    """Of the mean over all pairs of an image and a label."""
    errors = (images @ weight)[:, np.newaxis] + bias - LABELS
    return np.mean(2 * errors[..., np.newaxis] * images[:, np.newaxis], axis=(0, 1)), np.mean(2 * errors)


def test_step_is_loss_decay_penalty_momentum_and_what_finishes_it():
    weight, bias = tf.Variable([0.5, -0.2]), tf.Variable(0.1)
    step = step_of(
        weight,
        bias,
        prepare=lambda images, seed: images * tf.cast(seed[1] + 1, tf.float32),
        decay={"weight": 0.3},
        penalty=lambda: 0.2 * bias,
        finish=lambda: weight.assign(weight * [1.0, 0.0]),
        seed=7,
    )
    expected, momentum = (np.array([0.5, -0.2]), 0.1), (np.zeros(2), 0.0)
    for number in range(3):
        found = gradient(*expected, IMAGES * (number + 1))
        found = found[0] + 0.3 * expected[0], found[1] + 0.2
        momentum = tuple(0.9 * before - 0.01 * now for before, now in zip(momentum, found, strict=True))
        expected = (expected[0] + momentum[0]) * [1, 0], expected[1] + momentum[1]
        step.epoch([(IMAGES, LABELS)], lambda _: 0.01)
        assert step.number == number + 1
        np.testing.assert_allclose(weight.numpy(), expected[0], rtol=1e-5)
        np.testing.assert_allclose(bias.numpy(), expected[1], rtol=1e-5)


@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_each_weight_has_a_rate_of_its_own_that_may_change(clip_norm):
    weight, bias, rate = tf.Variable([0.5, -0.2]), tf.Variable(0.1), tf.Variable(3.0)
    step = step_of(weight, bias, clip_norm=clip_norm, rates={"weight": rate, "bias": 0.5})
    expected, momentum = (np.array([0.5, -0.2]), 0.1), (np.zeros(2), 0.0)
    for factor in (3.0, 3.0, 1.5):
        rate.assign(factor)
        found = gradient(*expected)
        norm = np.sqrt(np.sum(np.square(found[0])) + found[1] ** 2)
        share = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
        momentum = tuple(0.9 * before - 0.01 * share * now for before, now in zip(momentum, found, strict=True))
        expected = expected[0] + factor * momentum[0], expected[1] + 0.5 * momentum[1]
        step.epoch([(IMAGES, LABELS)], lambda _: 0.01)
        np.testing.assert_allclose(weight.numpy(), expected[0], rtol=1e-5)
        np.testing.assert_allclose(bias.numpy(), expected[1], rtol=1e-5)


def test_masked_weights_do_not_count_in_the_norm_that_is_clipped():
    weight, bias, clip_norm = tf.Variable([0.5, 0.0]), tf.Variable(0.1), 0.5
    mask = tf.Variable([1.0, 0.0])
    step = step_of(
        weight, bias, clip_norm=clip_norm, masks={"weight": mask}, finish=lambda: weight.assign(weight * mask)
    )
    expected, momentum = (np.array([0.5, 0.0]), 0.1), (np.zeros(2), 0.0)
    for _ in range(3):
        found = gradient(*expected)
        assert abs(found[0][1]) > clip_norm  # it would have shortened the step
        found = found[0] * [1, 0], found[1]
        share = min(1.0, clip_norm / np.sqrt(np.sum(np.square(found[0])) + found[1] ** 2))
        momentum = tuple(0.9 * before - 0.01 * share * now for before, now in zip(momentum, found, strict=True))
        expected = expected[0] + momentum[0], expected[1] + momentum[1]
        step.epoch([(IMAGES, LABELS)], lambda _: 0.01)
        np.testing.assert_allclose(weight.numpy(), expected[0], rtol=1e-5)
        np.testing.assert_allclose(bias.numpy(), expected[1], rtol=1e-5)


def test_epoch_gives_every_step_its_rate_and_the_loss_its_inputs():
    weight, bias, rates = tf.Variable([0.0, 0.0]), tf.Variable(1.0), []
    step, done = step_of(weight, bias), []
    batches = [(IMAGES, LABELS)] * 3
    mean = step.epoch(
        batches,
        lambda number: 0.0 * number,
        inputs=(tf.constant(4.0),),
        before_step=lambda: rates.append(float(step.optimizer.learning_rate)),
        on_step=done.append,
    )
    assert mean == pytest.approx(4 * 0.5)
    assert done == [1, 2, 3]
    assert rates == pytest.approx([0.1, 0.0, 0.0])


def test_slots_and_number_are_all_that_the_next_step_depends_on():
    ends = []
    for is_broken in (False, True):
        weight, bias = tf.Variable([0.5, -0.2]), tf.Variable(0.1)
        step = step_of(weight, bias)
        step.epoch([(IMAGES, LABELS)] * 2, lambda _: 0.05)
        if is_broken:
            state, number, values = step.slots(), step.number, (weight.numpy(), bias.numpy())
            weight, bias = tf.Variable(values[0]), tf.Variable(values[1])
            step = step_of(weight, bias)
            step.load_slots(state)
            step.number = number
        step.epoch([(IMAGES, LABELS)] * 2, lambda _: 0.02)
        ends.append((weight.numpy().tolist(), float(bias), step.number))
    assert ends[0] == ends[1]


def test_what_nothing_reads_stays():
    weight, bias, idle = tf.Variable([0.5, -0.2]), tf.Variable(0.1), tf.Variable(3.0)
    step = TrainingStep(
        {"weight": weight, "idle": idle}, lambda images, labels: tf.reduce_sum(weight), keras.optimizers.SGD(0.1)
    )
    step(IMAGES, LABELS)
    assert (float(idle), weight.numpy().tolist()) == (3.0, pytest.approx([0.4, -0.3]))
    assert bias.numpy() == np.float32(0.1)


def test_rate_falls_from_one_to_zero_over_half_a_cosine():
    assert [half_cosine(progress) for progress in (0.0, 1 / 3, 0.5, 1.0, 2.0)] == pytest.approx([1, 0.75, 0.5, 0, 0])


@pytest.mark.parametrize(("loss", "logits"), [(float("nan"), 0.0), (float("inf"), 0.0), (1.0, np.array([1, np.inf]))])
def test_what_is_not_finite_is_said_with_what_mends_it(loss, logits):
    check_finite(2, 1.0, np.zeros(3))
    with pytest.raises(TrainingDivergedError, match=r"not in epoch 3, .* A lower `learning_rate` usually helps"):
        check_finite(2, loss, logits)
