"""Moves that enlarge a network leave its logits, and what is added can be taken away again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.graph.removal import remove_dead
from kgrow.graph.values import Weighted
from kgrow.graph.widening import insert_identity, widen
from kgrow.network import GrowingNetwork
from kgrow.testing import samples
from kgrow.testing.operator import network_around
from tests.graph import numpy_oracle
from tests.graph.test_operators import CASES

pytestmark = pytest.mark.usefixtures("eagerly")


def weighted_of(network):
    return Weighted.of(network.architecture, network.state())


def logits(weighted):
    shape = weighted.architecture.input_shape
    images = np.random.default_rng(5).normal(100, 50, (3, *shape)).astype(np.float32)
    return numpy_oracle.logits(weighted.architecture, weighted.state, images)


def assert_same(weighted, other):
    expected = logits(weighted)
    np.testing.assert_allclose(logits(other), expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def own_nodes(architecture):
    labels = channel_labels(architecture)
    return [node.name for node in architecture.nodes if (labels[node.name] != NO_CHANNEL).all()]


@given(st.data())
@settings(max_examples=40)
def test_repeated_channels_leave_the_logits_of_any_network(data):
    weighted = weighted_of(samples.varied_network())
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(own_nodes(weighted.architecture)))
        labels = channel_labels(weighted.architecture)[name]
        per_group = {int(label): data.draw(st.integers(1, 3)) for label in np.unique(labels)}
        wider = widen(weighted, name, [per_group[int(label)] for label in labels])
        assert wider.architecture.shapes[name][-1] == sum(per_group[int(label)] for label in labels)
        assert_same(weighted, wider)
        weighted = wider
    network = GrowingNetwork(weighted.architecture)
    network.load_state(weighted.state)  # every shape is that of a network that is built


@pytest.mark.parametrize(("operator", "shapes"), CASES, ids=lambda part: str(part)[:60])
def test_repeated_channels_pass_through_every_operator(operator, shapes):
    weighted = weighted_of(network_around(operator, shapes))
    if not set(channel_labels(weighted.architecture)["source_0"]) - {NO_CHANNEL}:
        pytest.skip("its channels are fixed")
    copies = np.arange(1, 1 + shapes[0][-1])
    network, wider = GrowingNetwork(weighted.architecture), widen(weighted, "source_0", copies)
    network.load_state(weighted.state)
    larger = GrowingNetwork(wider.architecture)
    larger.load_state(wider.state)
    images = np.random.default_rng(1).normal(15, 6, (3, 6, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(larger.logits(images), network.logits(images), rtol=1e-4, atol=1e-4)


@given(st.data())
@settings(max_examples=20)
def test_channels_that_are_added_unread_are_taken_away_again(data):
    network = samples.varied_network()
    weighted = weighted_of(network)
    name = data.draw(st.sampled_from([kernel.name for kernel in network.architecture.kernels() if not kernel.is_head]))
    labels = channel_labels(weighted.architecture)[name]
    wider = widen(weighted, name, [2] * len(labels))
    weights = {node: dict(own) for node, own in wider.weights.items()}
    groups = channel_labels(wider.architecture)
    for node in wider.architecture.nodes:
        own, rows = weights[node.name], groups[node.inputs[0]]
        if "kernel" in own and node.operator.makes_channels:
            copied = np.flatnonzero(np.isin(rows, groups[name]))
            share = np.ones(len(rows))
            share[copied] = np.where(np.arange(len(copied)) % 2 == 0, 2.0, 0.0)  # all of it to the first of both copies
            own["kernel"] = (own["kernel"] * share[:, np.newaxis]).astype(np.float32)
    smaller = remove_dead(Weighted(wider.architecture, weights), range(3))
    assert smaller.architecture == remove_dead(weighted, range(3)).architecture
    assert_same(weighted, smaller)


@given(st.data())
@settings(max_examples=20)
def test_an_identity_can_be_inserted_anywhere(data):
    weighted = weighted_of(samples.varied_network())
    maps = [name for name, shape in weighted.architecture.shapes.items() if len(shape) == 3 and name != "image"]
    after, side = data.draw(st.sampled_from(maps)), data.draw(st.sampled_from([1, 3, 5]))
    deeper = insert_identity(weighted, after, f"{after}/identity", side)
    assert deeper.architecture.kernel_params() > weighted.architecture.kernel_params()
    assert_same(weighted, deeper)


def test_what_cannot_be_is_refused(varied_network):
    weighted = weighted_of(varied_network)
    with pytest.raises(ValueError, match="at least 1 for each of 4 channels of block_0/cell_0/first"):
        widen(weighted, "block_0/cell_0/first", [2, 0, 1, 1])
    with pytest.raises(ValueError, match="must be a node with channels of its own"):
        widen(weighted, "block_0/head/dense", [2, 1, 1])
    concat = "block_1/cell_2/concat"
    with pytest.raises(ValueError, match="must be equal for channels that are tied"):
        widen(weighted, concat, [2, *[1] * (weighted.architecture.shapes[concat][-1] - 1)])
    with pytest.raises(ValueError, match="must give a map and `side` be odd"):
        insert_identity(weighted, "block_0/head/dense", "new")
    with pytest.raises(ValueError, match="must give a map and `side` be odd"):
        insert_identity(weighted, concat, "new", side=2)
