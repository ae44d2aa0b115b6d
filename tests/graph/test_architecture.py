"""Tests of the counts, on paper and against the network that is built from them."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow._keras import keras
from kgrow.graph import Architecture, Block, Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.edge import Edge
from kgrow.searching import SPACES
from kgrow.searching.seed import Seed

CIFAR, DIGITS, MNIST, PHOTOGRAPH = (32, 32, 3), (8, 8, 1), (28, 28, 1), (96, 96, 3)

# Side of the map, and input times output channels of the convolution that enters the stage and of the others.
LARGE_STAGES = ((32, 3 * 16, 4 * 16 * 16), (16, 16 * 48, 5 * 48 * 48), (8, 48 * 96, 5 * 96 * 96))


def build(space, input_shape=CIFAR, num_classes=10):
    return SPACES[space].build(input_shape, num_classes)


def per_block(architecture):
    return [architecture.kernel_params(index) for index in range(len(architecture.blocks))]


# The published networks


def test_dense_seed_has_the_published_kernel_parameters():
    architecture = build("seed_dense")
    assert per_block(architecture) == [25_008, 47_872, 45_568, 50_944]
    assert architecture.kernel_params() == 169_392


def test_dense_seed_has_the_published_number_of_variables():
    architecture = build("seed_dense")
    assert architecture.trainable_params() == 170_332
    assert architecture.params() == 171_228


def test_plain_seed_has_the_published_kernel_parameters():
    architecture = build("seed_plain")
    assert per_block(architecture) == [16_816, 16_384, 11_776, 9_472]
    assert architecture.kernel_params() == 54_448


def test_plain_seed_with_one_head_has_the_published_kernel_parameters():
    architecture = build("seed_plain")
    nodes = tuple(node for block in architecture.blocks for node in block.nodes)
    last = Block(nodes, architecture.blocks[-1].head)
    assert dataclasses.replace(architecture, blocks=(last,)).kernel_params() == 46_768


def test_dense_seed_costs_the_published_multiplications_at_each_head():
    architecture = build("seed_dense")
    millions = [architecture.macs(head) / 1e6 for head in range(4)]
    assert millions == pytest.approx([22.99, 69.39, 113.43, 162.97], abs=0.005)


def test_dense_seed_has_21_weight_layers():
    layers = [op for op in build("seed_dense").kernels() if not op.is_head and not op.name.endswith("projection")]
    assert len(layers) + 1 == 21


def test_added_skips_cost_one_16x16_adapter_per_earlier_map():
    added = Seed(("add",)).build(CIFAR, 10)
    adapters = sum("adapter" in op.name for op in added.kernels())
    assert adapters == sum(range(1, 10))  # cells 2 to 9 adapt 1 to 8 maps, the tail 9
    assert added.kernel_params() == build("seed_plain").kernel_params() + 256 * adapters


@pytest.mark.parametrize("space", SPACES)
def test_prunable_parameters_are_the_sum_of_the_kernels(space):
    architecture = build(space)
    sizes = [math.prod(kernel.kernel_shape) for kernel in architecture.kernels()]
    assert architecture.kernel_params() == sum(sizes) == sum(per_block(architecture))


@pytest.mark.parametrize("input_shape", [DIGITS, MNIST, CIFAR, PHOTOGRAPH])
def test_compact_network_is_small(input_shape):
    architecture = build("compact", input_shape)
    assert architecture.kernel_params() <= 200_000
    assert architecture.macs() <= 25e6


def test_network_of_cells_has_the_counted_kernels_and_variables():
    check_against_network(build("cells", MNIST))


def test_large_network_has_the_connections_worked_out_by_hand():
    architecture = build("large")
    convolutions = {side: 9 * (first + rest) for side, first, rest in LARGE_STAGES}
    projections, heads = {16: 16 * 48, 8: 48 * 96}, [2 * 2 * 16 * 10, 2 * 2 * 48 * 10, 2 * 2 * 96 * 10, 96 * 10]
    assert architecture.kernel_params() == sum([*convolutions.values(), *projections.values(), *heads]) == 589_168
    products = [side**2 * count for counts in (convolutions, projections) for side, count in counts.items()]
    assert architecture.macs() == sum(products) + heads[-1] == 67_879_872


# Costs


def test_earlier_heads_cost_only_where_they_are_evaluated():
    architecture = build("seed_plain")
    dense = 16 * 16 * 10
    assert architecture.macs(3, passing=range(4)) - architecture.macs(3) == 3 * dense
    assert architecture.macs(3, passing=(1,)) - architecture.macs(3) == dense
    assert architecture.macs(0, passing=range(4)) == architecture.macs(0)
    assert architecture.macs() == architecture.macs(3)


def test_multiplications_of_a_pruned_network_count_kept_connections_at_each_position():
    block = CellBlock((Cell("conv", 2, stride=2),), Head(1))
    architecture = of_cells((8, 8, 1), 3, Scaling((0.0,), (1.0,)), (block,))
    assert architecture.macs() == 16 * 9 * 2 + 2 * 3
    kept = {"block_0/cell_0/first": 5, "block_0/head/dense": 4}
    assert architecture.macs(kept=kept) == 16 * 5 + 4


@pytest.mark.parametrize("head", [-1, 4])
def test_costs_of_a_head_that_is_not_there_are_refused(head):
    with pytest.raises(ValueError, match=rf"`head` must be in \[0, 3\], but got {head}"):
        build("seed_plain").macs(head)


# As data


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("input_shape", [CIFAR, DIGITS])
def test_trip_through_text_gives_an_equal_architecture(space, input_shape):
    scaling = Scaling((1.5,) * input_shape[2], (0.25,) * input_shape[2])
    architecture = SPACES[space].build(input_shape, 7, scaling)
    again = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert again == architecture
    assert hash(again) == hash(architecture)
    blocks = [Block.from_json(json.loads(json.dumps(block.to_json()))) for block in architecture.blocks]
    assert tuple(blocks) == architecture.blocks


def test_growing_makes_a_new_value(tiny_architecture):
    first, second = tiny_architecture.blocks
    shallow = dataclasses.replace(tiny_architecture, blocks=(first,))
    assert shallow.grow(second) == tiny_architecture
    assert len(shallow.blocks) == 1


# Against the network


def counts_of(network):
    values = {name: v for name, v in network.named_variables().items() if not name.endswith("/mask")}
    trainable = sum(int(np.prod(v.shape)) for v in values.values() if v.trainable)
    return trainable, sum(int(np.prod(v.shape)) for v in values.values())


def check_against_network(architecture):
    from kgrow.network import GrowingNetwork

    network = GrowingNetwork(architecture)
    built = [(kernel.name, tuple(kernel.weight.shape)) for kernel in network.kernels()]
    assert built == [(op.name, op.kernel_shape) for op in architecture.kernels()]
    assert counts_of(network) == (architecture.trainable_params(), architecture.params())
    for index in range(len(architecture.blocks)):
        assert network.kept_params(index) == architecture.kernel_params(index)


@pytest.mark.parametrize("space", ["seed_dense", "seed_plain"])
def test_network_of_a_published_space_has_the_counted_kernels_and_variables(space):
    check_against_network(build(space))


def test_network_with_added_skips_has_the_counted_kernels_and_variables():
    check_against_network(Seed(("add",)).build(DIGITS, 10))


@pytest.mark.parametrize("input_shape", [DIGITS, MNIST, CIFAR, PHOTOGRAPH])
def test_compact_network_has_the_counted_kernels_and_variables(input_shape):
    check_against_network(build("compact", input_shape))


def test_network_of_graph_cells_has_the_counted_kernels_and_variables():
    check_against_network(build("cells", MNIST))


def test_large_network_has_the_counted_kernels_and_variables():
    check_against_network(build("large"))


def test_network_with_every_kind_of_cell_has_the_counted_kernels_and_variables(varied_architecture):
    check_against_network(varied_architecture)


def chain(input_shape, strides):
    cells = [Cell("conv", 2)]
    for number, stride in enumerate(strides, start=1):
        cells.append(Cell("conv", 2, inputs=tuple(range(number)), join="concat", stride=stride))
    cells.append(Cell("conv", 2, inputs=tuple(range(len(cells))), join="concat"))
    return of_cells(input_shape, 2, Scaling((0.0,), (1.0,)), (CellBlock(tuple(cells), Head(1)),))


@settings(max_examples=50)
@given(
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    strides=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_skips_over_any_down_sampling_are_pooled_to_the_resolution_they_join(size, strides):
    shapes = chain((*size, 1), strides).shapes
    for node in chain((*size, 1), strides).nodes:
        if node.name.endswith("/concat"):
            assert len({shapes[name][:2] for name in node.inputs}) == 1


def test_skips_over_two_down_samplings_of_an_odd_side_fit():
    check_against_network(chain((5, 13, 1), (2, 2)))


@pytest.mark.parametrize(("stride", "filters", "block"), [(1, 24, "block_2"), (2, 32, "block_3")])
def test_inverted_cell_is_that_of_mobilenet_v2(stride, filters, block):
    shortcut = "identity" if stride == 1 else "none"
    cells = (Cell("conv", 24), Cell("inverted", filters, (0,), hidden_filters=144, stride=stride, shortcut=shortcut))
    architecture = of_cells((16, 16, 3), 5, Scaling((0.0,) * 3, (1.0,) * 3), (CellBlock(cells),))
    network = keras.applications.MobileNetV2((32, 32, 3), weights=None, include_top=False)
    expected = [network.get_layer(f"{block}_{part}").weights[0].shape for part in ("expand", "depthwise", "project")]
    parts = ("first", "depthwise", "second")
    kernels = [architecture.by_name[f"block_0/cell_1/{part}"] for part in parts]
    shapes = {kernel.name: kernel.kernel_shape for kernel in architecture.kernels()}
    assert [shapes[kernel.name] for kernel in kernels] == [tuple(shape) for shape in expected]
    last = "block_0/cell_1/sum" if stride == 1 else "block_0/cell_1/second/norm"
    assert architecture.shapes[last] == (16 // stride, 16 // stride, filters)
    kinds = [node.operator.kind for name, node in architecture.by_name.items() if "cell_1" in name]
    assert kinds.count("relu") == 2  # the narrow end is linear


# Bad input


STEM = Cell("conv", 4)
GRAPH = {
    "kind": "graph",
    "hidden_filters": 2,
    "inputs": (0, 0),
    "edges": (Edge(2, 0, "sep3"), Edge(3, 1, "max3")),
}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "dense"}, "`kind` must be one of 'conv', 'residual', 'inverted', 'graph', but got 'dense'"),
        ({"join": "multiply"}, "`join` must be one of 'none', 'add', 'concat', but got 'multiply'"),
        ({"shortcut": "skip"}, "`shortcut` must be one of 'identity', 'projection', 'none', but got 'skip'"),
        ({"filters": 0}, "`filters` must be a positive integer, but got 0"),
        ({"filters": 2.0}, "`filters` must be a positive integer, but got 2.0"),
        ({"stride": True}, "`stride` must be a positive integer, but got True"),
        ({"kernel_size": 4}, "`kernel_size` must be odd, but got 4"),
        ({"kind": "residual"}, "`hidden_filters` must be a positive integer, but got 0"),
        ({"hidden_filters": 3}, "`hidden_filters` and `shortcut` do not belong to a conv cell"),
        ({"shortcut": "identity"}, "`hidden_filters` and `shortcut` do not belong to a conv cell"),
        ({"kind": "inverted"}, "`hidden_filters` must be a positive integer, but got 0"),
        (
            {"kind": "inverted", "hidden_filters": 8, "shortcut": "projection"},
            "`shortcut` of an inverted cell is its unchanged input or 'none'",
        ),
        (
            {"kind": "inverted", "hidden_filters": 8, "stride": 2, "shortcut": "identity"},
            "`shortcut` of an inverted cell is its unchanged input or 'none'",
        ),
        ({"inputs": (0, 1)}, r"`inputs` must be a single map when `join` is 'none', but got \(0, 1\)"),
        (
            {"edges": (Edge(2, 0, "sep3"),)},
            "`edges` and `input_stride` belong to graph cells, but this is a conv cell",
        ),
        ({**GRAPH, "edges": ()}, "`edges` must hold distinct edges that read inputs or nodes with edges"),
        ({**GRAPH, "edges": (Edge(3, 0, "sep3"), Edge(4, 2, "max3"))}, "`edges` must hold distinct edges"),
        ({**GRAPH, "hidden_filters": 0}, "`hidden_filters` must be a positive integer, but got 0"),
        ({**GRAPH, "filters": 3}, "`filters` must be `hidden_filters` of each of 2 nodes together, but got 3"),
        ({**GRAPH, "inputs": ()}, r"`inputs` must be one map per input that `edges` read, .* but got \(\)"),
        ({**GRAPH, "inputs": (0,)}, r"`inputs` must be one map per input that `edges` read, .* but got \(0,\)"),
        (
            {**GRAPH, "edges": (Edge(2, 1, "sep3"), Edge(3, 1, "max3"))},
            "`inputs` must be one map per input",
        ),
        ({**GRAPH, "input_stride": 2}, "`input_stride` must be 1 if there are two inputs"),
        ({"input_stride": 2}, "`edges` and `input_stride` belong to graph cells, but this is a conv cell"),
        ({**GRAPH, "stride": 3}, "`stride` of a graph cell must be 1 or 2"),
        ({**GRAPH, "join": "add"}, "it has no `kernel_size`, `join` or `shortcut`"),
        ({**GRAPH, "kernel_size": 5}, "it has no `kernel_size`, `join` or `shortcut`"),
    ],
)
def test_cell_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Cell(**{"kind": "conv", "filters": 4, **options})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scaling((0.0,), (1.0, 1.0)), "`std` must hold one positive value per channel"),
        (lambda: Scaling((0.0,), (0.0,)), "`std` must hold one positive value per channel"),
        (lambda: Head(0), "`grid` must be a positive integer, but got 0"),
        (lambda: CellBlock(()), "`cells` must hold at least one cell"),
    ],
)
def test_part_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ((dataclasses.replace(STEM, inputs=(0,)),), r"`inputs` of cell 0 must number earlier cells .*, but got \(0,\)"),
        ((STEM, STEM), r"`inputs` of cell 1 must number earlier cells .*, but got \(\)"),
        ((STEM, dataclasses.replace(STEM, inputs=(1,))), r"`inputs` of cell 1 must .*, but got \(1,\)"),
        ((STEM, dataclasses.replace(STEM, inputs=(-1,))), r"`inputs` of cell 1 must .*, but got \(-1,\)"),
        (
            (STEM, Cell("residual", 6, inputs=(0,), hidden_filters=6, shortcut="identity")),
            "Cell 1 cannot be: `shortcut` must be 'projection', not 'identity': it joins 4 channels to 6",
        ),
        (
            (STEM, Cell("inverted", 6, inputs=(0,), hidden_filters=6, shortcut="identity")),
            "Cell 1 cannot be: `shortcut` must be 'none', not 'identity': it joins 4 channels to 6",
        ),
        (
            (STEM, Cell("conv", 6, inputs=(0,), stride=2), Cell("conv", 6, inputs=(1, 0), join="concat")),
            "Cell 2 cannot be: a whole stride must bring block_0/cell_1/first/relu, 4x4, to 8x8",
        ),
        (
            (
                STEM,
                Cell("conv", 6, inputs=(0,), stride=2),
                Cell("conv", 6, inputs=(0,), stride=3),
                Cell("conv", 6, inputs=(1, 2), join="add"),
            ),
            "Cell 3 cannot be: a whole stride must bring block_0/cell_1/first/relu, 4x4, to 3x3",
        ),
    ],
)
def test_cells_that_do_not_fit_together_are_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        of_cells((8, 8, 3), 3, Scaling((0.0,) * 3, (1.0,) * 3), (CellBlock(cells),))


@pytest.mark.parametrize(
    ("input_shape", "num_classes", "message"),
    [
        ((8, 8), 3, r"`input_shape` must be \(height, width, channels\), but got \(8, 8\)"),
        ((0, 8, 3), 3, r"`input_shape` must be \(height, width, channels\), but got \(0, 8, 3\)"),
        ((8, 8, 3), 0, "`num_classes` must be a positive integer, but got 0"),
    ],
)
def test_task_that_makes_no_sense_is_refused(input_shape, num_classes, message):
    with pytest.raises(ValueError, match=message):
        Architecture(input_shape, num_classes, Scaling((0.0,) * 3, (1.0,) * 3))


def test_more_classes_than_a_small_network_can_have_are_refused(tiny_architecture):
    document = tiny_architecture.to_json() | {"num_classes": 10**9}
    with pytest.raises(ValueError, match="`num_classes` must have at most 100000 classes, but got 1000000000"):
        Architecture.from_json(document)
