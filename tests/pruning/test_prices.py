"""Prices of connections against quadratics, single gradients and chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.pruning.gradients import mean_gradients
from kgrow.pruning.prices import batch_gradients, joint_gain, moments, removal_price, revival_gain


@given(st.integers(0, 2**32))
def test_removal_price_bounds_the_loss_of_a_diagonal_quadratic(seed):
    """And equals it at the minimum: L(w) = sum of H (w - w0)^2 / 2."""
    generator = np.random.default_rng(seed)
    curvature, weight, center = generator.random(6), generator.normal(size=6), generator.normal(size=6)

    def loss(at):
        return 0.5 * np.sum(curvature * (at - center) ** 2)

    prices = removal_price(curvature * (weight - center), curvature, weight)
    at_minimum = removal_price(np.zeros(6), curvature, center)
    for index in range(6):
        without = np.where(np.arange(6) == index, 0.0, weight)
        assert loss(without) - loss(weight) <= prices[index] + 1e-12
        without = np.where(np.arange(6) == index, 0.0, center)
        assert loss(without) == pytest.approx(at_minimum[index])


@given(st.integers(0, 2**32))
def test_revival_gain_is_exact_for_a_quadratic_without_damping_and_noise(seed):
    generator = np.random.default_rng(seed)
    curvature, center = 0.1 + generator.random(6), generator.normal(size=6)
    gains = revival_gain(-curvature * center, np.maximum(curvature, (curvature * center) ** 2), 0.0, np.inf)
    for index in range(6):
        if curvature[index] >= (curvature[index] * center[index]) ** 2:  # the curvature is at least g squared
            assert gains[index] == pytest.approx(0.5 * curvature[index] * center[index] ** 2)


def test_what_has_neither_gradient_nor_curvature_gains_nothing():
    nothing = np.zeros(3)
    assert not revival_gain(nothing, nothing, 0.0, 8).any()
    assert not removal_price(nothing, nothing, np.ones(3)).any()
    assert joint_gain(np.zeros((4, 3)), 8, 0.0) == 0.0


def test_noise_promises_nothing_together_and_little_alone():
    generator = np.random.default_rng(0)
    size, number, weights = 16, 8, 5_000
    gradients = generator.normal(size=(number, weights)) / size**0.5
    mean, curvature = moments(gradients, size)
    damping = float(np.median(curvature))
    naive = 0.5 * np.sum(mean**2 / (curvature + damping))
    assert naive > 8  # nats of chance
    assert revival_gain(mean, curvature, damping, size * number).sum() < 0.6 * naive
    assert joint_gain(gradients, size, damping) < 0.01


@given(st.integers(1, 50))
def test_copies_of_a_weight_gain_together_what_one_gains(copies):
    """Of one example in every batch: F is the square of the gradient, without damping a step gains half a nat."""
    one = np.full((4, 1), 0.3)
    assert joint_gain(one, 1, 0.0) == pytest.approx(0.5)
    assert joint_gain(np.repeat(one, copies, axis=1), 1, 0.0) == pytest.approx(0.5)


def test_a_step_that_the_other_half_does_not_confirm_gains_nothing():
    assert joint_gain(np.array([[1.0], [1.0], [-1.0], [-1.0]]), 1, 0.1) == 0.0


def test_moments_are_those_of_single_gradients():
    generator = np.random.default_rng(0)
    size, mean, std = 32, 0.2, 1.5
    found = [moments(generator.normal(mean, std, (6, size, 400)).mean(axis=1), size) for _ in range(20)]
    assert np.mean([each for each, _ in found]) == pytest.approx(mean, abs=0.01)
    assert np.mean([each for _, each in found]) == pytest.approx(mean**2 + std**2, rel=0.03)


def test_gradients_of_batches_add_up_to_that_of_all(varied_network, noise, cross_entropy):
    images = noise(varied_network, 16).astype(np.float32)
    batches = [(images[start : start + 4], np.arange(4) % 3) for start in range(0, 16, 4)]
    weights = [kernel.weight for kernel in varied_network.kernels()]
    found = batch_gradients(varied_network, weights, batches, cross_entropy)
    for own, whole in zip(found, mean_gradients(varied_network, weights, batches, cross_entropy), strict=True):
        assert own.shape == (4, *whole.shape)
        np.testing.assert_allclose(own.mean(axis=0), whole, atol=1e-6)
