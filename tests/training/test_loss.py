"""Tests of the joint loss and of the ramp of its weights."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow._keras import tf
from kgrow.searching import SPACES
from kgrow.training.loss import exit_weights, joint_loss, relative_depths

DENSE = SPACES["seed_dense"].build((32, 32, 3), 10)
PUBLISHED = (0.15, 0.30, 0.45)


def grown_to(num_blocks):
    return dataclasses.replace(DENSE, blocks=DENSE.blocks[:num_blocks])


def test_heads_of_the_published_network_sit_at_30_60_and_80_percent_of_its_depth():
    assert relative_depths(DENSE) == pytest.approx([7 / 21, 13 / 21, 17 / 21, 20 / 21])


def test_weights_start_a_hundredth_above_their_first_step():
    weights = exit_weights(DENSE, 1, 250, PUBLISHED)
    np.testing.assert_allclose(weights, [0.01 + largest / 250 for largest in PUBLISHED] + [1.0], rtol=1e-6)


@pytest.mark.parametrize("largest", [PUBLISHED, None])
def test_weights_end_at_their_largest_values(largest):
    weights = exit_weights(DENSE, 250, 250, largest)
    np.testing.assert_allclose(weights[:3], largest or relative_depths(DENSE)[:3], rtol=1e-6)


@given(epochs=st.integers(1, 300), num_blocks=st.integers(1, 4), largest=st.sampled_from([PUBLISHED, None]))
def test_weights_never_fall_and_the_newest_head_counts_fully(epochs, num_blocks, largest):
    architecture = grown_to(num_blocks)
    weights = np.stack([exit_weights(architecture, epoch, epochs, largest) for epoch in range(1, epochs + 1)])
    assert weights.shape == (epochs, num_blocks)
    assert weights.dtype == np.float32
    assert (weights[:, -1] == 1).all()
    assert (np.diff(weights, axis=0) >= 0).all()
    assert (weights > 0).all()


def test_head_that_was_the_newest_joins_the_ramp_at_the_present_epoch():
    assert exit_weights(grown_to(1), 50, 250, PUBLISHED).tolist() == [1.0]
    assert exit_weights(grown_to(2), 50, 250, PUBLISHED).tolist() == pytest.approx([0.01 + 0.15 / 5, 1.0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_joint_loss_is_the_weighted_sum_of_mean_cross_entropies(smoothing):
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (3, 6, 4))
    labels = generator.integers(0, 4, 6)
    weights = np.array([0.2, 0.5, 1.0])
    targets = np.full((6, 4), smoothing / 4)
    targets[np.arange(6), labels] += 1 - smoothing
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = weights @ -(targets * log_probabilities).sum(axis=-1).mean(axis=-1)
    heads = tuple(tf.constant(head, tf.float32) for head in logits)
    loss = joint_loss(heads, tf.constant(labels, tf.int32), tf.constant(weights, tf.float32), smoothing)
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def drawn_heads(seed=0):
    generator = np.random.default_rng(seed)
    return [tf.Variable(head, dtype=tf.float32) for head in generator.normal(0, 2, (3, 6, 4))]


LABELS, WEIGHTS = tf.constant([0, 1, 2, 3, 0, 1], tf.int32), tf.constant([0.2, 0.5, 1.0])


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_share_of_the_loss_of_early_heads_is_their_distance_to_the_last_one(share):
    heads = drawn_heads()
    *early, last = [head.numpy().astype(float) for head in heads]
    hard = [float(joint_loss((head,), LABELS, tf.ones(1), 0.0)) for head in heads]
    soft = [-4 * (softmax(last / 2) * np.log(softmax(head / 2))).sum(axis=-1).mean() for head in early]
    mixed = [(1 - share) * a + share * b for a, b in zip(hard, soft, strict=False)]
    expected = WEIGHTS.numpy() @ [*mixed, hard[-1]]
    assert float(joint_loss(heads, LABELS, WEIGHTS, 0.0, share)) == pytest.approx(expected, rel=1e-5)


def test_last_head_learns_from_the_labels_alone():
    heads = drawn_heads()
    gradients = []
    for share in (0.0, 0.5):
        with tf.GradientTape() as tape:
            loss = joint_loss(heads, LABELS, WEIGHTS, 0.0, share)
        gradients.append(tape.gradient(loss, heads))
    (*plain, plain_last), (*taught, taught_last) = gradients
    np.testing.assert_array_equal(plain_last, taught_last)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(plain, taught, strict=True))


def test_head_that_answers_as_the_last_one_has_nothing_to_learn_from_it():
    *_, last = drawn_heads()
    twin = tf.Variable(last)
    with tf.GradientTape() as tape:
        loss = joint_loss([twin, last], LABELS, tf.ones(2), 0.0, 1.0)
    np.testing.assert_allclose(tape.gradient(loss, twin), 0, atol=1e-7)


def test_loss_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    loss = joint_loss((tf.zeros((5, 10)),), tf.zeros(5, tf.int32), tf.ones(1), 0.1)
    assert float(loss) == pytest.approx(np.log(10))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_class_weights_count_an_example_as_often_as_its_class_says(share):
    heads = drawn_heads()
    repeated = [tf.repeat(head, [1, 2, 1, 1, 1, 2], axis=0) for head in heads]  # the examples of class 1 twice
    expected = joint_loss(repeated, tf.constant([0, 1, 1, 2, 3, 0, 1, 1]), WEIGHTS, 0.1, share) * 8 / 6
    weighted = joint_loss(heads, LABELS, WEIGHTS, 0.1, share, class_weights=(1.0, 2.0, 1.0, 1.0))
    assert float(weighted) == pytest.approx(float(expected), rel=1e-6)
