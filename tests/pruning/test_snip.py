"""Tests of connection sensitivity against finite differences, and of what scoring must leave alone."""

import dataclasses

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.lifecycle import Preset
from kgrow.lifecycle.trainer import Trainer
from kgrow.network import GrowingNetwork
from kgrow.network.block_layer import seed_of
from kgrow.pruning import SNIP, Magnitude, prune
from kgrow.pruning.select import select
from kgrow.task import Augmentation

STEP = 1e-5
pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def batches(tiny_task):
    """Two batches of different sizes."""
    images, labels = tiny_task.train.images, tiny_task.train.labels
    return [(images[:8], labels[:8]), (images[8:12], labels[8:12])]


@pytest.fixture(scope="module")
def exact_network(varied_architecture, varied_network):
    """The first two blocks in double precision."""
    keras.backend.set_floatx("float64")
    try:
        architecture = dataclasses.replace(varied_architecture, blocks=varied_architecture.blocks[:2])
        network = GrowingNetwork(architecture, seed=3)
        network.load_state(varied_network.state())
    finally:
        keras.backend.set_floatx("float32")
    return network


@pytest.fixture(scope="module")
def sensitivity(eagerly, exact_network, batches, cross_entropy):
    return SNIP().saliency(exact_network, batches, cross_entropy)


def test_sensitivity_is_the_slope_of_the_loss_in_a_factor_on_the_weight(
    exact_network, sensitivity, batches, cross_entropy
):
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))

    def loss_with(kernel, values):
        kernel.weight.assign(values)
        return float(cross_entropy(exact_network(images), labels))

    generator = np.random.default_rng(0)
    for kernel, scores in zip(exact_network.kernels(), sensitivity, strict=True):
        weights = kernel.weight.numpy()
        assert weights.dtype == np.float64
        for position in generator.choice(weights.size, 4, replace=False):
            change = np.zeros(weights.size)
            change[position] = STEP * weights.ravel()[position]
            change = change.reshape(weights.shape)
            slope = (loss_with(kernel, weights + change) - loss_with(kernel, weights - change)) / (2 * STEP)
            kernel.weight.assign(weights)
            assert scores.ravel()[position] == pytest.approx(abs(slope), rel=1e-6, abs=1e-9)


def test_ranking_does_not_depend_on_the_scale_of_the_loss(exact_network, sensitivity, batches, cross_entropy):
    scaled = SNIP().saliency(exact_network, batches, lambda logits, labels: 1000 * cross_entropy(logits, labels))
    masks = [np.ones(scores.shape) for scores in sensitivity]
    for first, second in zip(sensitivity, scaled, strict=True):
        np.testing.assert_allclose(second, 1000 * first, rtol=1e-9, atol=1e-15)
    for kept in (10, 100, 200):
        pairs = zip(select(sensitivity, masks, kept), select(scaled, masks, kept), strict=True)
        assert all(np.array_equal(first, second) for first, second in pairs)


def test_batches_are_averaged_before_the_absolute_value(exact_network, sensitivity, batches, cross_entropy):
    parts = [SNIP().saliency(exact_network, [batch], cross_entropy) for batch in batches]
    for scores, first, second in zip(sensitivity, *parts, strict=True):
        assert (scores <= (8 * first + 4 * second) / 12 + 1e-12).all()
    assert any((scores < 0.9 * (8 * f + 4 * s) / 12).any() for scores, f, s in zip(sensitivity, *parts, strict=True))


def test_normalization_with_batch_statistics_makes_signed_scores_of_a_filter_cancel(
    exact_network, batches, cross_entropy
):
    before = exact_network.state()
    images, labels = batches[0]

    def cancellation(training):
        kernels = [kernel for kernel in exact_network.kernels() if not kernel.name.endswith("head/dense")]
        with tf.GradientTape() as tape:
            loss = cross_entropy(exact_network(images, training=training), labels)
        signed = [
            kernel.weight.numpy() * gradient.numpy()
            for kernel, gradient in zip(kernels, tape.gradient(loss, [k.weight for k in kernels]), strict=True)
        ]
        exact_network.load_state(before)
        sums = np.concatenate([values.sum(axis=(0, 1, 2)) for values in signed])
        sizes = np.concatenate([np.abs(values).sum(axis=(0, 1, 2)) for values in signed])
        return np.abs(sums).max() / sizes.max()

    assert cancellation(training=True) < 1e-4  # not exactly 0 because of the normalization's epsilon
    assert cancellation(training=False) > 1e-2  # why scores are made in inference mode


@pytest.mark.parametrize("criterion", [SNIP(), SNIP(reinitialize=True)], ids=["live", "redrawn"])
def test_scoring_leaves_weights_statistics_and_momentum_alone(criterion, varied_copy, batches, cross_entropy):
    trainer = Trainer(varied_copy, Preset(epochs=1), Augmentation(), seed=0)
    generator = np.random.default_rng(0)
    trainer.load_momentum({name: generator.normal(size=slot.shape) for name, slot in trainer.momentum().items()})
    state, momentum = varied_copy.state(), trainer.momentum()
    rate = float(trainer.step.optimizer.learning_rate)
    criterion.saliency(varied_copy, batches, cross_entropy)
    assert all(np.array_equal(value, state[name]) for name, value in varied_copy.state().items())
    assert all(np.array_equal(slot, momentum[name]) for name, slot in trainer.momentum().items())
    assert (float(trainer.step.optimizer.learning_rate), int(trainer.step.optimizer.iterations)) == (rate, 0)


def test_redrawn_kernels_score_otherwise_and_depend_on_the_seed_alone(tiny_network, batches, cross_entropy):
    def score(network, **options):
        return np.concatenate([s.ravel() for s in SNIP(**options).saliency(network, batches[:1], cross_entropy)])

    redrawn = score(tiny_network, reinitialize=True, seed=1)
    assert not np.allclose(score(tiny_network), redrawn)
    assert not np.allclose(score(tiny_network, reinitialize=True, seed=2), redrawn)
    other = tiny_network.copy()
    for kernel in other.kernels():
        kernel.weight.assign(kernel.weight * 3)
    assert np.array_equal(score(other, reinitialize=True, seed=1), redrawn)


def test_pruned_connections_stay_away_while_kernels_are_redrawn(tiny_network, batches, cross_entropy):
    pruned = tiny_network.copy()
    prune(pruned, {0: 0.5, 1: 0.5}, Magnitude(), [], None)
    reader = pruned.copy()
    for kernel in reader.kernels():
        drawn = keras.initializers.GlorotNormal(seed=seed_of(1, kernel.name))(kernel.weight.shape)
        kernel.weight.assign(drawn * kernel.mask)
    expected = SNIP().saliency(reader, batches[:1], cross_entropy)
    found = SNIP(reinitialize=True, seed=1).saliency(pruned, batches[:1], cross_entropy)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
