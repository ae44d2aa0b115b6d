"""A grown network under structural compression."""

import dataclasses

import numpy as np
import pytest

from kgrow.bayes import Compression, CompressionSettings, CrossEntropy
from kgrow.exporting import compact
from kgrow.graph import Block, Cell, CellBlock, Head, Node, Scaling, of_cells
from kgrow.graph.operators import Dropout
from kgrow.network import GrowingNetwork
from kgrow.pruning import CompressibleNetwork
from kgrow.task import Augmentation


@pytest.fixture
def compressible(varied_copy):
    return CompressibleNetwork(varied_copy, Augmentation(shift=1))


def drawn(compressible, density, seed):
    generator = np.random.default_rng(seed)
    return [generator.random(kernel.shape) < density for kernel in compressible.kernels]


@pytest.fixture
def joined(varied_network):
    """As `compressible`, without the graph cell."""
    architecture = varied_network.architecture
    *first, last = architecture.blocks
    nodes = tuple(node for node in last.nodes if "cell_5" not in node.name)
    head = tuple(
        dataclasses.replace(node, inputs=tuple(nodes[-1].name if "cell_5" in name else name for name in node.inputs))
        for node in last.head
    )
    dense = dataclasses.replace(architecture, blocks=(*first, Block(nodes, head)))
    network, state = GrowingNetwork(dense), varied_network.state()
    for name, variable in network.named_variables().items():
        if state[name].shape == variable.shape:
            variable.assign(state[name])
    return CompressibleNetwork(network, Augmentation(shift=1))


DRAWN = pytest.mark.parametrize(("density", "seed"), [(0.2, 0), (0.12, 1), (0.12, 2)])


@pytest.mark.slow
@DRAWN
def test_what_is_not_connected_is_gone_for_good(joined, density, seed, noise):
    small = check_removed(joined, density, seed, noise)
    assert compact(joined.network).architecture == small.architecture


@DRAWN
def test_what_is_not_connected_is_gone_with_a_graph_cell_too(compressible, density, seed, noise):
    check_removed(compressible, density, seed, noise)  # a dead path inside it gives a constant, which training changes


def check_removed(compressible, density, seed, noise):
    """Removes what is not connected, checks that it stays so in training, and returns what was left before that."""
    network = compressible.network
    masks = compressible.connected(drawn(compressible, density, seed))
    for again, mask in zip(compressible.connected(masks), masks, strict=True):
        np.testing.assert_array_equal(again, mask)
    compressible.remove(masks)
    for kernel, mask in zip(compressible.kernels, masks, strict=True):
        assert not kernel.numpy()[~mask].any()
    assert network.kept_params() == sum(mask.sum() for mask in masks)
    small, images = compact(network), noise(network)
    assert small.architecture.kernel_params() < network.architecture.kernel_params()
    np.testing.assert_allclose(small.logits(images), network.logits(images), atol=1e-4)
    for variable in compressible.trainable:
        variable.assign_add(np.ones(variable.shape))
    compressible.apply_masks()
    assert network.kept_params() == sum(np.count_nonzero(kernel.numpy()) for kernel in compressible.kernels)
    return small


def test_a_network_keeps_a_path(compressible):
    before = compressible.network.state()
    masks = compressible.connected([np.zeros(kernel.shape, bool) for kernel in compressible.kernels])
    with pytest.raises(ValueError, match="must leave every head a path from the image"):
        compressible.remove(masks)
    for name, value in compressible.network.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_channels_that_only_feed_each_other_are_gone():
    shape, scaling = (8, 8, 3), Scaling((0.0,) * 3, (1.0,) * 3)
    residual = Cell("residual", 4, inputs=(0,), hidden_filters=5, shortcut="identity")
    network = GrowingNetwork(of_cells(shape, 2, scaling, (CellBlock((Cell("conv", 4), residual), Head(2)),)), seed=0)
    compressible = CompressibleNetwork(network)
    masks = [np.ones(kernel.shape, bool) for kernel in compressible.kernels]
    masks[0][..., 1:] = False  # of the stem one filter is left, to which the residual cell adds others
    assert all(mask.any() for mask in compressible.connected(masks))
    masks[0][:] = False
    masks = compressible.connected(masks)
    assert not any(mask.any() for mask in masks)
    with pytest.raises(ValueError, match="must leave every head a path from the image"):
        compressible.remove(masks)


@pytest.mark.slow
def test_compression_removes_what_the_data_do_not_support(compressible, tiny_task):
    categories = tuple(
        ("shape", "filter") if len(kernel.shape) == 4 else ("in_neuron", "out_neuron")
        for kernel in compressible.kernels
    )
    prices = (1 / len(tiny_task.train),) * len(categories)
    likelihood = CrossEntropy((0.2, 0.5, 1.0))
    work = Compression(
        compressible, CompressionSettings(categories, prices, batch_size=16, likelihood=likelihood), seed=0
    )
    images, labels = tiny_task.train.images, tiny_task.train.labels
    first = work.train(images, labels)
    for _ in range(2):
        before = [mask.copy() for mask in work.masks]
        for _ in range(3):
            last = work.train(images, labels)
        work.update(images, labels)
        assert not any(np.any(new & ~old) for old, new in zip(before, work.masks, strict=True))
    assert last < first
    assert 0 < compressible.network.kept_params() < compressible.network.architecture.kernel_params()
    twin = Compression(CompressibleNetwork(compressible.network.copy(), Augmentation(shift=1)), work.settings, seed=1)
    twin.load_state(work.state())
    assert twin.train(images, labels) == work.train(images, labels)
    for name, value in work.state().items():
        np.testing.assert_array_equal(twin.state()[name], value, err_msg=name)


def test_draws_of_dropout_go_on_with_the_variables(tiny_architecture, tiny_task):
    first, *others = tiny_architecture.blocks
    drop = Node("block_0/dropout", Dropout(0.5), first.head[0].inputs)
    head = (dataclasses.replace(first.head[0], inputs=("block_0/dropout",)), *first.head[1:])
    architecture = dataclasses.replace(tiny_architecture, blocks=(Block((*first.nodes, drop), head), *others))
    network, images = GrowingNetwork(architecture, seed=0), tiny_task.train.images[:8]
    one = CompressibleNetwork(network)
    earlier = one.outputs(images)[0].numpy()
    twin = CompressibleNetwork(network.copy())
    for variable, value in zip(twin.variables, one.variables, strict=True):
        variable.assign(value)
    expected = one.outputs(images)[0].numpy()
    np.testing.assert_array_equal(twin.outputs(images)[0], expected)
    assert not np.array_equal(earlier, expected)
