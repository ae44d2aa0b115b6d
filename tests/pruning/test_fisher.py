"""Evidence against gradients taken example by example, and the count that it decides."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.bayes import CrossEntropy, DiagonalRecursion, ExactDiagonal, GaussNewton, Hutchinson, MonteCarloFisher
from kgrow.lifecycle import Lifecycle
from kgrow.network.tap import call_tapped
from kgrow.pruning import CHANNEL_CRITERIA, FisherChannel, FisherPruning, channel_groups, prune
from kgrow.pruning.bayes_models import ChannelModel, KernelModel, likelihood_of
from kgrow.run import Run
from kgrow.training import Observer
from kgrow.training.loss import joint_loss

HEADS = CrossEntropy((0.2, 0.5, 1.0))
pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def batches(varied_network, noise):
    images = noise(varied_network, 3)
    labels = np.arange(3, dtype=np.int32) % 3
    return [(images[:2], labels[:2]), (images[2:], labels[2:])]


def single_gradients(network, variables, batches):
    """Yields for every example and factor of the Hessian in the logits the gradients in some variables."""
    for image in np.concatenate([images for images, _ in batches]):
        with tf.GradientTape(persistent=True) as tape:
            logits = network(image[None], training=False)
        for vector in HEADS.factors(logits):
            found = tape.gradient(logits, variables, output_gradients=tuple(vector), unconnected_gradients="zero")
            yield [gradient.numpy() for gradient in found]


def test_curvature_of_kernels_is_that_of_single_examples(varied_network, batches):
    model = KernelModel(varied_network)
    totals = [np.zeros(weight.shape) for weight in model.parameters]
    for gradients in single_gradients(varied_network, model.parameters, batches):
        for total, gradient in zip(totals, gradients, strict=True):
            total += gradient**2 / 3
    for found, expected in zip(GaussNewton().diagonal(model, HEADS, batches), totals, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())


@pytest.mark.slow
def test_curvature_of_channels_is_that_of_gates_shared_over_places(varied_network, batches):
    groups = channel_groups(varied_network.architecture)
    named = {n: v for n, v in varied_network.named_variables().items() if n.endswith(("/gamma", "/beta"))}
    expected = np.zeros(len(groups))
    for gradients in single_gradients(varied_network, list(named.values()), batches):
        slopes = np.zeros(len(groups))
        for (name, variable), gradient in zip(named.items(), gradients, strict=True):
            np.add.at(slopes, groups.gates[name], variable.numpy() * gradient)
        expected += slopes**2 / 3
    (found,) = GaussNewton().diagonal(ChannelModel(varied_network, groups), HEADS, batches)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())


def test_curvature_of_channels_is_the_second_derivative_in_a_piecewise_linear_net(tiny_network, batches):
    model = ChannelModel(tiny_network, channel_groups(tiny_network.architecture))  # no gate is in two places
    arguments = (model, CrossEntropy((0.5, 1.0)), batches[1:])
    (found,), (expected,) = (curvature.diagonal(*arguments) for curvature in (GaussNewton(), ExactDiagonal()))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_weights_of_the_heads_are_found_in_the_loss(smoothing, varied_network):
    weights = np.array([0.2, 0.5, 1.0], np.float32)
    likelihood = likelihood_of(varied_network, lambda logits, labels: joint_loss(logits, labels, weights, smoothing))
    assert likelihood.head_weights == pytest.approx((0.2, 0.5, 1.0), rel=1e-5)


def test_a_tap_sees_every_node_once(varied_network, batches):
    images, _ = batches[0]
    seen = []

    def tap(node, inputs, compute):
        seen.append(node.name)
        return compute(inputs)

    tapped = call_tapped(varied_network, images, tap)
    for first, second in zip(tapped, varied_network(images), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)
    assert seen == [node.name for node in varied_network.architecture.nodes]


@pytest.fixture
def unsure(varied_copy):
    """A network that draws wrong labels often enough for a few draws to tell the curvature."""
    for block in varied_copy.blocks:
        kernel = block.kernels()[-1].weight
        kernel.assign(0.2 * kernel)
    return varied_copy


def test_evidence_is_the_square_of_the_weight_times_its_curvature(unsure, batches, cross_entropy):
    repeated = [(np.repeat(images, 30, axis=0), np.repeat(labels, 30)) for images, labels in batches]
    found = FisherPruning(curvature=MonteCarloFisher(10)).saliency(unsure, repeated, cross_entropy)
    model = KernelModel(unsure)
    curvature = GaussNewton().diagonal(model, CrossEntropy((1.0, 1.0, 1.0)), batches)
    for first, weight, second in zip(found, model.parameters, curvature, strict=True):
        expected = weight.numpy() ** 2 * second
        alive = expected > 0
        assert np.median(np.abs(first[alive] / expected[alive] - 1)) < 0.15


@pytest.mark.slow
def test_curvature_may_be_any_estimate(varied_network, batches, cross_entropy):
    exact = FisherPruning(curvature=GaussNewton()).saliency(varied_network, batches, cross_entropy)
    model = KernelModel(varied_network)
    diagonals = GaussNewton().diagonal(model, CrossEntropy((1.0, 1.0, 1.0)), batches)
    for scores, weight, diagonal in zip(exact, model.parameters, diagonals, strict=True):
        np.testing.assert_allclose(scores, weight.numpy() ** 2 * diagonal, rtol=1e-4, atol=1e-12)
    noisy = FisherPruning(curvature=Hutchinson(1)).saliency(varied_network, batches, cross_entropy)
    assert min(scores.min() for scores in noisy) == 0.0  # where the estimate is negative
    groups = channel_groups(varied_network.architecture)
    assert FisherChannel(curvature=Hutchinson(1)).saliency(varied_network, groups, batches, cross_entropy).min() >= 0.0


def test_the_evidence_decides_the_count(varied_copy, batches, cross_entropy):
    scores = np.concatenate([s.ravel() for s in FisherPruning().saliency(varied_copy, batches, cross_entropy)])
    price = float(np.quantile(scores, 0.4))
    prune(varied_copy, dict.fromkeys(range(3), 1.0), FisherPruning(min_saliency=price), batches, cross_entropy)
    kept = np.concatenate([kernel.mask.numpy().ravel() for kernel in varied_copy.kernels()]) > 0
    assert kept[scores >= price].all()
    assert np.sum(kept[scores < price]) <= len(varied_copy.kernels())  # the best of a kernel that has none above it


def test_a_keep_ratio_is_the_most_that_evidence_may_keep(varied_copy, batches, cross_entropy):
    prune(varied_copy, {0: 0.25}, FisherPruning(min_saliency=1e-12), batches, cross_entropy)
    assert varied_copy.kept_params(0) == varied_copy.architecture.kernel_params(0) // 4
    prune(varied_copy, {0: 0.25}, FisherPruning(min_saliency=1e12), batches, cross_entropy)
    assert varied_copy.kept_params(0) == len(varied_copy.kernels(0))


def test_a_life_may_leave_the_counts_to_the_evidence(tmp_path, tiny_task, tiny_architecture, tiny_settings):
    settings = dataclasses.replace(tiny_settings, criterion=FisherPruning(min_saliency=1 / len(tiny_task.train)))
    with Run.open(tmp_path / "run", {}) as run:
        Lifecycle(tiny_task, tiny_architecture, (1.0, 1.0), settings, run, Observer()).train()
        pruned = [event for event in run.events() if event["event"] == "pruned"]
    assert [event["change"]["keep_ratios"] for event in pruned] == [{"0": 1.0}, {"1": 1.0}]
    for event in pruned:
        assert 0 < event["kept_params"][-1] < event["prunable_params"][-1]


def test_channels_are_scored_by_the_same_evidence(unsure, batches, cross_entropy):
    groups = channel_groups(unsure.architecture)
    repeated = [(np.repeat(images, 30, axis=0), np.repeat(labels, 30)) for images, labels in batches]
    found = CHANNEL_CRITERIA["fisher"](0).saliency(unsure, groups, repeated, cross_entropy)
    (expected,) = GaussNewton().diagonal(ChannelModel(unsure, groups), CrossEntropy((1.0,) * 3), batches)
    alive = expected > 0
    assert np.median(np.abs(found[alive] / expected[alive] - 1)) < 0.15


def test_wrong_prices_and_draws_are_refused():
    for criterion, price in itertools.product((FisherPruning, FisherChannel), (-1, math.inf)):
        with pytest.raises(
            ValueError, match=rf"`min_saliency` must be in \[0, inf\), but got {price}\. It is a price in nats"
        ):
            criterion(min_saliency=price)
    with pytest.raises(TypeError, match="`curvature` must be a Curvature"):
        FisherPruning(curvature="exact")
    with pytest.raises(TypeError, match="takes any model"):
        FisherChannel(curvature=DiagonalRecursion())
