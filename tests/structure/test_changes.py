"""Changes that enlarge a network leave its logits, and what is added can be taken away again."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow._keras import tf
from kgrow._tfmot import assign_masks
from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.graph.removal import remove_dead
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.registry import SPACES
from kgrow.structure import AppendBlock, Cut, InsertCell, InsertIdentity, Prune, RemoveChannels, Revive, Widen
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


def changed(weighted, change):
    """Returns the network after a change."""
    architecture, weight_map = change.apply(weighted.architecture)
    return Weighted.of(architecture, weight_map.values(weighted.state, fresh(architecture, weighted)))


def fresh(architecture, before):
    """Returns a state of random values, of the shapes that a network of the changed architecture has."""
    generator, kernels = (
        np.random.default_rng(0),
        {kernel.name: kernel.kernel_shape for kernel in architecture.kernels()},
    )
    added = {f"{name}/{kind}": np.zeros(1) for name in kernels for kind in ("kernel", "mask")}
    state = {}
    for name, value in (added | before.state).items():
        node, _, kind = name.rpartition("/")
        shape = kernels[node] if kind in ("kernel", "mask") else architecture.shapes[node][-1:] if value.ndim else ()
        drawn = np.ones(shape) if kind == "mask" else generator.uniform(0.5, 1.5, shape)
        state[name] = drawn.astype(np.float32)
    return state


def widening(data, weighted, outgoing):
    name = data.draw(st.sampled_from(own_nodes(weighted.architecture)))
    labels = channel_labels(weighted.architecture)[name]
    per_group = {int(label): data.draw(st.integers(1, 3)) for label in np.unique(labels)}
    return Widen(name, tuple(per_group[int(label)] for label in labels), outgoing)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=40)
def test_more_channels_leave_the_logits_of_any_network(data):
    weighted = weighted_of(samples.varied_network())
    for _ in range(data.draw(st.integers(1, 3))):
        change = widening(data, weighted, data.draw(st.sampled_from(["split", "zero"])))
        wider = changed(weighted, change)
        assert wider.architecture.shapes[change.node][-1] == sum(change.copies)
        assert_same(weighted, wider)
        weighted = wider
    network = GrowingNetwork(weighted.architecture)
    network.load_state(weighted.state)  # every shape is that of a network that is built


@pytest.mark.parametrize(("operator", "shapes"), CASES, ids=lambda part: str(part)[:60])
def test_more_channels_pass_through_every_operator(operator, shapes):
    network = network_around(operator, shapes)
    weighted = weighted_of(network)
    if not set(channel_labels(weighted.architecture)["source_0"]) - {NO_CHANNEL}:
        pytest.skip("its channels are fixed")
    images = np.random.default_rng(1).normal(15, 6, (3, 6, 5, 2)).astype(np.float32)
    expected = network.logits(images)
    for outgoing in ("split", "zero"):
        architecture, weight_map = Widen("source_0", tuple(range(1, 1 + shapes[0][-1])), outgoing).apply(
            weighted.architecture
        )
        larger = GrowingNetwork(architecture)
        larger.load_state(weight_map.values(weighted.state, larger.state()))
        np.testing.assert_allclose(larger.logits(images), expected, rtol=1e-4, atol=1e-4)


@given(st.data())
@settings(max_examples=20)
def test_channels_that_start_unread_can_be_removed_again_and_the_old_network_is_back(data):
    weighted = weighted_of(samples.varied_network())
    change = widening(data, weighted, "zero")
    wider = changed(weighted, change)
    is_first = tuple(rank == 0 for count in change.copies for rank in range(count))
    back = changed(wider, RemoveChannels({change.node: is_first}))
    assert back.architecture == weighted.architecture
    assert {name: value.tolist() for name, value in back.state.items()} == {
        name: value.tolist() for name, value in weighted.state.items()
    }


@given(st.data())
@settings(max_examples=20)
def test_channels_that_nothing_reads_can_be_removed_and_the_logits_stay(data):
    weighted = weighted_of(samples.varied_network())
    name = data.draw(st.sampled_from(own_nodes(weighted.architecture)))
    labels = channel_labels(weighted.architecture)
    own = np.unique(labels[name])
    goes = data.draw(st.lists(st.sampled_from(own.tolist()), max_size=len(own) - 1, unique=True))
    weights = {node: dict(values) for node, values in weighted.weights.items()}
    for node in weighted.architecture.nodes:
        if "kernel" in weights[node.name] and node.operator.makes_channels:
            unread = np.isin(labels[node.inputs[0]], goes)
            weights[node.name]["kernel"] = np.where(unread[:, np.newaxis], 0, weights[node.name]["kernel"]).astype("f4")
    unread = Weighted(weighted.architecture, weights)
    smaller = changed(unread, RemoveChannels({name: tuple(~np.isin(labels[name], goes))}))
    assert_same(unread, smaller)
    assert (smaller.architecture.kernel_params() < weighted.architecture.kernel_params()) == bool(goes)


def gradients(weighted):
    """Returns the gradient of the mean loss in every trainable variable, in inference."""
    network = GrowingNetwork(weighted.architecture)
    network.load_state(weighted.state)
    images = np.random.default_rng(2).normal(100, 50, (6, *weighted.architecture.input_shape)).astype(np.float32)
    trainable = {name: variable for name, variable in network.named_variables().items() if variable.trainable}
    with tf.GradientTape() as tape:
        loss = samples.cross_entropy(network(images), np.arange(6) % weighted.architecture.num_classes)
    found = tape.gradient(loss, list(trainable.values()), unconnected_gradients="zero")
    return {name: gradient.numpy() for name, gradient in zip(trainable, found, strict=True)}


@given(st.data())
@settings(max_examples=4)
def test_slots_of_copies_are_what_the_gradients_of_the_wider_network_make(data):
    weighted = weighted_of(samples.varied_network())
    change = widening(data, weighted, "split")
    _, weight_map = change.apply(weighted.architecture)
    expected = gradients(changed(weighted, change))
    found = weight_map.slots(gradients(weighted))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4 * max(1, np.abs(value).max()), err_msg=name)


def test_slots_of_what_starts_fresh_are_zero_and_all_others_stay():
    weighted = weighted_of(samples.varied_network())
    node = "block_0/cell_0/first"
    change = Widen(node, (2, 1, 1, 3), "zero")
    _, weight_map = change.apply(weighted.architecture)
    old = {name: np.ones_like(value) for name, value in gradients(weighted).items()}
    new = weight_map.slots(old)
    assert new[f"{node}/kernel"].sum(axis=(0, 1, 2)).tolist() == [27.0, 0, 27, 27, 27, 0, 0]
    assert all(new[name].sum() == value.sum() for name, value in old.items())


def test_new_blocks_and_nodes_leave_every_value_and_slot_of_the_others():
    weighted = weighted_of(samples.varied_network())
    *others, last = weighted.architecture.blocks
    shorter = Weighted.of(dataclasses.replace(weighted.architecture, blocks=tuple(others)), weighted.state)
    for before, change in (
        (shorter, AppendBlock(last)),
        (weighted, InsertIdentity("block_0/cell_0/first", "new")),
    ):
        _, weight_map = change.apply(before.architecture)
        after = changed(before, change).state
        assert set(before.state) < set(after)
        assert all(np.array_equal(after[name], value) for name, value in before.state.items())
        slots = gradients(before)
        assert weight_map.slots(slots) == slots


@given(st.data())
@settings(max_examples=20)
def test_an_identity_can_be_inserted_anywhere(data):
    weighted = weighted_of(samples.varied_network())
    maps = [name for name, shape in weighted.architecture.shapes.items() if len(shape) == 3 and name != "image"]
    after, side = data.draw(st.sampled_from(maps)), data.draw(st.sampled_from([1, 3, 5]))
    deeper = changed(weighted, InsertIdentity(after, f"{after}/identity", side))
    assert deeper.architecture.kernel_params() > weighted.architecture.kernel_params()
    assert_same(weighted, deeper)


def test_what_dies_of_a_wider_network_is_what_was_added():
    weighted = weighted_of(samples.varied_network())
    wider = changed(weighted, Widen("block_0/cell_1/first", (2, 2, 2), "zero"))
    smaller = remove_dead(wider, range(3))
    assert smaller.architecture == remove_dead(weighted, range(3)).architecture
    assert_same(weighted, smaller)


def test_pruned_connections_come_back_with_weight_zero(varied_copy):
    kernel = varied_copy.kernels()[1]
    mask = np.ones(kernel.mask.shape)
    mask.flat[[1, 4, 5]] = 0.0
    assign_masks([kernel], [mask])
    before = varied_copy.state()
    Revive({kernel.name: (4, 1)}).remask(varied_copy, None)
    mask.flat[[1, 4]] = 1.0
    assert np.array_equal(kernel.mask, mask)
    after = varied_copy.state()
    assert all(np.array_equal(after[name], value) for name, value in before.items() if not name.endswith("/mask"))
    for wrong in ({kernel.name: (4,)}, {kernel.name: (-1,)}, {kernel.name: (mask.size,)}):
        with pytest.raises(ValueError, match="`connections` must be pruned ones, but some of"):
            Revive(wrong).remask(varied_copy, None)
    with pytest.raises(ValueError, match="`connections` must name kernels of the network, but 'nowhere' is none"):
        Revive({"nowhere": (0,)}).remask(varied_copy, None)


def test_equal_changes_say_the_same_also_from_a_file():
    changes = (
        AppendBlock(samples.varied_architecture().blocks[0]),
        InsertIdentity("a", "b"),
        InsertCell("a", "b", 6),
        Cut(2),
        Prune({1: 0.5, 0: 0.25}, {0: 0.5}),
        RemoveChannels({"b": (True, False), "a": (np.bool_(True),)}),
        Revive({"b": (1, 2), "a": (np.int64(3),)}),
        Widen("a", (1, 2)),
    )
    for change in changes:
        entry = change.entry(3)
        assert json.loads(json.dumps(entry)) == entry
        assert (entry["event"], entry["epoch"]) == (change.event, 3)
    assert len({change.event for change in changes}) == len(changes)
    assert Prune({0: 0.25, 1: 0.5}, {0: 0.5}).entry(3) == changes[4].entry(3)


def test_what_cannot_be_is_refused(varied_network):
    architecture, first = varied_network.architecture, "block_0/cell_0/first"
    concat = "block_1/cell_2/concat"
    num_channels = architecture.shapes[concat][-1]
    for change, message in (
        (Widen(first, (2, 1)), r"`copies` must hold one value for each of 4 channels of block_0/cell_0/first, not"),
        (Widen("nowhere", (2,)), "`copies` must be of a node of the network, but there is no 'nowhere'"),
        (Widen("image", (2, 1, 1)), "`copies` must be of a node of the network, but there is no 'image'"),
        (Widen("block_0/head/dense", (2, 1, 1)), "must be of a node with channels of its own"),
        (Widen(concat, (2, *[1] * (num_channels - 1))), "must be equal for channels that are tied"),
        (RemoveChannels({first: (False,) * 4}), "`kept` must leave every node a channel, but leaves .* none"),
        (RemoveChannels({"block_0/head/dense": (False, True, True)}), "must be of a node with channels of its own"),
        (InsertIdentity("block_0/head/dense", "new"), "must give a map and `side` be odd"),
        (InsertIdentity(concat, "new", side=2), "must give a map and `side` be odd"),
        (InsertCell("block_0/head/dense", "new", 4), "must give a map and `kernel_size` be odd"),
        (InsertCell(concat, "new", 4, kernel_size=2), "must give a map and `kernel_size` be odd"),
    ):
        with pytest.raises(ValueError, match=message):
            change.apply(architecture)
    with pytest.raises(ValueError, match="`outgoing` must be one of 'split', 'zero', but got 'both'"):
        Widen(first, (2, 1, 1, 1), "both")
    for make, message in (
        (lambda: Widen(first, (2, 0, 1, 1)), "`copies` must be a positive integer, but got 0"),
        (lambda: Widen(first, (1.9,)), "`copies` must be a positive integer, but got 1.9"),
        (lambda: RemoveChannels({first: (2, 1)}), "`kept` must be True or False, but got 2"),
        (lambda: Prune({0: float("nan")}), "`keep_ratios` must be in"),
        (lambda: Prune({0: 2.0}), "`keep_ratios` must be in"),
        (lambda: InsertIdentity(first, "new", side=3.0), "`side` must be a positive integer"),
        (lambda: InsertIdentity(first, "n\u00e9w"), "`name` must be letters"),
        (lambda: InsertCell(first, "n\u00e9w", 4), "`name` must be letters"),
        (lambda: InsertCell(first, "new", 0), "`hidden_filters` must be a positive integer"),
        (lambda: Revive({first: (1.5,)}), "`connections` must be whole numbers"),
        (lambda: Revive({first: (1, 1)}), "`connections` must name each connection once"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            make()
    assert Prune({np.int64(0): np.float32(0.25)}).to_json()["keep_ratios"] == {"0": 0.25}
    with pytest.raises(ValueError, match="`keep_ratios` must be of blocks 0 to 2, but got block 7"):
        Prune({7: 0.5}).remask(varied_network, None)


def test_block_that_reads_channels_which_were_changed_is_refused_with_what_to_do():
    architecture = SPACES["seed_plain"].build((32, 32, 3), 10)
    first, second, *_ = architecture.blocks
    name = "block_0/cell_0/first"
    wider, _ = Widen(name, (2,) * architecture.shapes[name][-1]).apply(
        dataclasses.replace(architecture, blocks=(first,))
    )
    with pytest.raises(ValueError, match=r"`block` must fit the network .* only when all blocks are there"):
        AppendBlock(second).apply(wider)


def test_given_values_must_have_names_and_shapes_of_the_network():
    architecture = samples.varied_architecture()
    *others, last = architecture.blocks
    shorter = dataclasses.replace(architecture, blocks=tuple(others))
    fresh = GrowingNetwork(architecture).state()
    for name, message in (("block_2/cell_3/kernl", "must have a name of"), ("block_2/head/dense/bias", "the shape")):
        _, weight_map = AppendBlock(last, {name: np.zeros(7, np.float32)}).apply(shorter)
        with pytest.raises(ValueError, match=message):
            weight_map.values({}, fresh)
