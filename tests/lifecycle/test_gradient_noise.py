"""Tests of the evidence in gradients: noise is known as noise, a signal as a signal."""

import math

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.lifecycle.gradient_noise import gradient_moments, noise_statistic
from kgrow.training.loss import joint_loss

EXAMPLES, PARAMETERS = 64, 4000
SPREAD = math.sqrt(2 / PARAMETERS)


def statistic(gradients):
    return noise_statistic(gradients.mean(axis=0), gradients.var(axis=0, ddof=1), len(gradients))


@pytest.fixture(scope="module")
def noises():
    random = np.random.default_rng(0)
    scales = np.exp(random.normal(size=PARAMETERS))  # the statistic does not care
    return [scales * random.normal(size=(EXAMPLES, PARAMETERS)) for _ in range(40)]


def test_pure_noise_has_the_mean_and_the_spread_of_the_derivation(noises):
    values = [statistic(noise) for noise in noises]
    expected = -2 / (EXAMPLES - 3)
    assert abs(np.mean(values) - expected) < 4 * SPREAD / math.sqrt(len(values))
    assert 0.7 < np.std(values) / SPREAD < 1.4


def test_signal_is_strongly_negative(noises):
    assert statistic(noises[0] + 3.0) < -10


def test_no_gradient_at_all_is_no_evidence():
    assert noise_statistic(np.zeros(5), np.zeros(5), 10) == 1.0


def test_gradient_without_variance_is_a_signal():
    assert noise_statistic(np.array([0.1, 0.0]), np.array([0.0, 1.0]), 10) < -10


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_scale_of_the_loss_does_not_count(noises, factor):
    assert statistic(factor * noises[0]) == pytest.approx(statistic(noises[0]), rel=1e-9)


def test_parameters_that_cannot_move_do_not_count(noises):
    padded = np.concatenate([noises[0], np.zeros((EXAMPLES, 500))], axis=1)
    means, variances = noises[0].mean(axis=0), noises[0].var(axis=0, ddof=1)
    assert statistic(padded) == pytest.approx(noise_statistic(means, variances, EXAMPLES), rel=1e-9)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_moments_are_those_of_gradients_taken_one_by_one(varied_network, noise, smoothing):
    images, labels = noise(varied_network, 7), np.arange(7, dtype=np.int32) % 3
    weights = np.array([0.3, 0.6, 1.0], np.float32)
    means, variances = gradient_moments(
        varied_network, [(images[:4], labels[:4]), (images[4:], labels[4:])], weights, smoothing
    )
    kernels = [kernel.weight for kernel in varied_network.kernels()]
    singles = []
    for index in range(7):
        with tf.GradientTape() as tape:
            logits = varied_network(images[index : index + 1], training=False)
            loss = joint_loss(logits, labels[index : index + 1], weights, smoothing)
        singles.append([gradient.numpy() for gradient in tape.gradient(loss, kernels)])
    for index, (mean, variance) in enumerate(zip(means, variances, strict=True)):
        stacked = np.stack([single[index] for single in singles]).astype(np.float64)
        np.testing.assert_allclose(mean, stacked.mean(axis=0), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(variance, stacked.var(axis=0, ddof=1), rtol=2e-3, atol=1e-5)
