"""Tests of compaction: the logits stay, what does nothing goes, and what would change a logit stays."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow._keras import tf
from kgrow.exporting import EXPORTERS, classify, cut
from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.assembly import parse
from kgrow.exporting.compact import compact
from kgrow.exporting.folded import FoldedNetwork
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.edge import OPERATIONS, Edge, nodes_of
from kgrow.graph.removal import remove_dead
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import FALLBACKS, ExitRule, softmax

SCALING = Scaling((0.1, -0.2), (1.5, 0.5))
IMAGES = np.random.default_rng(0).normal(size=(4, 9, 9, 2)).astype(np.float32)
STEM = Cell("conv", 4)
# The normalization maps zero to zero, so a channel that nothing feeds is zero.
WITHOUT_OFFSET = {"beta": 0.0, "moving_mean": 0.0}


@pytest.fixture(autouse=True)
def eager_blocks():
    """Each network here is called once or twice: tracing its blocks would take ten times as long as running them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def residual(filters=4, **options):
    return Cell("residual", filters, **{"inputs": (0,), "hidden_filters": 3, **options})


def network_of(*blocks, size=(8, 8)):
    """A network with a random state: every weight is kept, every normalization has an offset."""
    architecture = of_cells((*size, 2), 3, SCALING, tuple(CellBlock(cells, Head(2)) for cells in blocks))
    network = GrowingNetwork(architecture)
    network.load_state(random_state(network.state(), np.random.default_rng(0)))
    return network


def random_state(state, generator):
    state = {name: generator.normal(size=np.shape(value)).astype(np.float32) for name, value in state.items()}
    for name, value in state.items():
        if name.endswith("/kernel"):
            value /= np.sqrt(value[..., 0].size)
        elif name.endswith("/mask"):
            value[...] = 1.0
        elif name.endswith("/gamma"):
            value += 1.0  # else a signal does not survive a few cells, and no logit depends on the image
        elif name.endswith("/moving_variance"):
            value[...] = generator.uniform(0.1, 0.5, value.shape)
    return state


def assign(network, name, index=..., **values):
    """Sets parts of a kernel's variables; `kernel=0.0` prunes."""
    state = {key: value.copy() for key, value in network.state().items()}
    for kind, value in values.items():
        state[f"{name}/mask" if kind == "kernel" else f"{name}/norm/{kind}"][index] = value
    network.load_state(state)
    network.apply_masks()


def read_from_head(network, block_index, channels):
    """Cuts the head from all channels of its map but these."""
    name = f"block_{block_index}/head/dense"
    rows = network.state()[f"{name}/kernel"].shape[0]
    filters = network.architecture.shapes[network.architecture.blocks[block_index].head[0].inputs[0]][2]
    assign(network, name, ~np.isin(np.arange(rows) % filters, channels), kernel=0.0)


def logits(network):
    height, width, _ = network.architecture.input_shape
    return np.stack(network(IMAGES[:, :height, :width], training=False))


def compacted(network, exit_index=None):
    """Compacts, after checking all that holds for any network."""
    before = network.state()
    smaller = compact(network, None if exit_index is None else (exit_index,))
    heads = slice(None) if exit_index is None else exit_index
    expected, result = logits(network)[heads], logits(smaller)[heads]
    assert np.abs(expected - result).max() <= 1e-5 * max(1.0, np.abs(expected).max())
    assert smaller.architecture.kernel_params() <= network.architecture.kernel_params()
    assert smaller.kept_params() <= network.kept_params()
    after = network.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    return smaller


def random_cells(generator, size):
    """Three to five connected cells; at most two of them down-sample, so that all maps can be pooled to one size."""
    cells, sizes = [Cell("conv", int(generator.integers(3, 6)))], [np.array(size)]
    for number in range(1, generator.integers(3, 6)):
        newest = number - 1 if generator.random() < 0.8 else int(generator.integers(number))
        earlier = [i for i in range(number) if i != newest and (sizes[i] >= sizes[newest]).all()]
        may_shrink = sum(cell.stride * cell.input_stride - 1 for cell in cells) < 2
        if generator.random() < 0.3:
            cells.append(random_graph_cell(generator, newest, earlier, may_shrink))
            sizes.append(-(-sizes[newest] // (cells[-1].stride * cells[-1].input_stride)))
            continue
        join = str(generator.choice(["none", "add", "concat"])) if earlier else "none"
        chosen = [i for i in earlier if generator.random() < 0.7] if join != "none" else []
        inputs = (*chosen, newest)
        joined = sum(cells[i].filters for i in (inputs if join == "concat" else inputs[-1:]))
        kind = str(generator.choice(["conv", "residual", "inverted"], p=[0.3, 0.5, 0.2]))
        shortcut = str(generator.choice(["identity", "projection", "none"])) if kind == "residual" else "none"
        stride = 2 if generator.random() < 0.3 and may_shrink else 1
        if kind == "inverted" and stride == 1 and generator.random() < 0.5:
            shortcut = "identity"
        cells.append(
            Cell(
                kind,
                joined if shortcut == "identity" else int(generator.integers(3, 6)),
                inputs,
                hidden_filters=int(generator.integers(2, 5)) if kind != "conv" else 0,
                kernel_size=1 if generator.random() < 0.3 else 3,
                stride=stride,
                join=join,
                shortcut=shortcut,
            )
        )
        sizes.append(-(-sizes[newest] // stride))
    return cells


def random_graph_cell(generator, newest, earlier, may_shrink):
    """Up to six edges of any operation between one or two inputs and one to three nodes."""
    inputs = (int(generator.choice(earlier)), newest) if earlier and generator.random() < 0.7 else (newest,)
    nodes = [*range(len(inputs)), 2]
    edges = {Edge(2, node, str(generator.choice(list(OPERATIONS)))) for node in range(len(inputs))}
    for _ in range(generator.integers(0, 5)):
        target = int(generator.integers(2, max(nodes) + 2))
        source = int(generator.choice([node for node in nodes if node < target]))
        edges.add(Edge(target, source, str(generator.choice(list(OPERATIONS)))))
        nodes = sorted({*nodes, target})
    width, shrinks = int(generator.integers(2, 4)), generator.random() < 0.3 and may_shrink
    strides = {"input_stride" if shrinks and len(inputs) == 1 and generator.random() < 0.5 else "stride": 1 + shrinks}
    filters = width * len(nodes_of(tuple(edges)))
    return Cell("graph", filters, inputs, hidden_filters=width, edges=tuple(edges), **strides)


def random_architecture(generator):
    size = tuple(int(side) for side in generator.choice([(8, 8), (7, 9), (6, 6)]))
    cells = random_cells(generator, size)
    cuts = sorted(generator.choice(np.arange(1, len(cells)), generator.integers(1, 3), replace=False))
    blocks = [tuple(cells[start:stop]) for start, stop in zip([0, *cuts], [*cuts, len(cells)], strict=True)]
    heads = [Head(int(generator.choice([1, 2, 4]))) for _ in blocks]
    return of_cells((*size, 2), 3, SCALING, tuple(map(CellBlock, blocks, heads)))


def pruned_state(state, generator):
    """Kills connections, rows, columns and whole kernels, and makes some offsets and scales exactly zero."""
    state = random_state(state, generator)
    single, whole = generator.choice([0.0, 0.2, 0.4], size=2)
    for name, value in state.items():
        if name.endswith("/mask"):
            value *= generator.random(value.shape) >= single
            value *= generator.random((value.shape[-2], 1)) >= whole
            if "head" not in name and "cell_0" not in name:
                value *= generator.random(value.shape[-1]) >= whole / 2
                value *= generator.random() >= whole / 3
        elif name.endswith("/beta"):
            value += 0.2
            silent = generator.random(value.shape) < generator.choice([0.0, 0.3, 1.0])
            value[silent] = 0.0
            state[name.replace("beta", "moving_mean")][silent] = 0.0
        elif name.endswith("/gamma"):
            value *= generator.random(value.shape) < 0.95
    return state


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
@settings(max_examples=18)
def test_logits_stay_and_a_second_time_removes_nothing(seed, data):
    generator = np.random.default_rng(seed)
    network = GrowingNetwork(random_architecture(generator))
    network.load_state(pruned_state(network.state(), generator))
    network.apply_masks()
    num_blocks = len(network.architecture.blocks)
    exit_index = data.draw(st.sampled_from([None, None, *range(num_blocks)]))
    smaller = compacted(network, exit_index)
    wanted = range(num_blocks) if exit_index is None else range(exit_index, exit_index + 1)
    again = remove_dead(Weighted.of(smaller.architecture, smaller.state()), wanted)
    assert again.architecture == smaller.architecture
    assert all(np.array_equal(value, smaller.state()[name]) for name, value in again.state.items())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_files_of_a_random_network_answer_as_it_does(seed):  # T7.1, T7.4, T7.5
    tf.config.run_functions_eagerly(False)  # a conversion needs the traces
    network, images = network_with_answers(np.random.default_rng(seed))
    heads, expected = tuple(range(len(network.blocks))), network.logits(images)
    tolerance = 1e-4 * max(1.0, np.abs(expected).max())
    smaller = compact(network, heads)
    assert np.abs(np.stack(FoldedNetwork(smaller).heads(images)) - expected).max() <= tolerance
    converted = EXPORTERS["float32"].convert(smaller, heads, "float32")
    for head in heads:
        assert np.abs(classify(cut.one_head(converted, head), images) - expected[head]).max() <= tolerance
    whole = EXPORTERS["int8"].convert(smaller, heads, "float32", images)
    assert [tensor.type for tensor in parse(whole).subgraphs[0].tensors].count(0) == 1  # the image alone is float32
    for fallback in FALLBACKS:
        rule = ExitRule(between(softmax(expected[:-1]).max(axis=-1)), fallback)
        probabilities, _, evaluated = network.predict_early(images, rule.threshold, fallback=fallback)
        single = DeviceModel([cut.early_exits(converted, heads, rule)], heads).run(images)
        staged = DeviceModel(cut.stage_files(converted, heads), heads, rule).run(images)
        for answers in (single, staged):
            np.testing.assert_allclose(answers.values, probabilities, atol=1e-4)
            np.testing.assert_array_equal(answers.exits, evaluated - 1)


def network_with_answers(generator):
    """Returns a network of which no head says the same of every image, and images."""
    while True:
        network = GrowingNetwork(random_architecture(generator))
        network.load_state(pruned_state(network.state(), generator))
        network.apply_masks()
        images = generator.normal(size=(32, *network.architecture.input_shape)).astype(np.float32)
        if np.ptp(network.logits(images), axis=1).max(axis=-1).min() > 0.01:
            return network, images


def between(confidences):
    """Returns a threshold that is not near any confidence of the middle half: rounding decides nothing then."""
    ordered = np.sort(confidences, axis=None)
    middle = ordered[len(ordered) // 4 : 3 * len(ordered) // 4]
    widest = int(np.argmax(np.diff(middle)))
    return float(middle[widest : widest + 2].mean())


def width(network, name):
    """Returns the output channels of the node whose name ends so."""
    (found,) = (shape[-1] for full, shape in network.architecture.shapes.items() if full.endswith(f"/{name}"))
    return found


def widths(network, name):
    return [shape[-1] for full, shape in network.architecture.shapes.items() if full.endswith(f"/{name}")]


def cells_of(network):
    """Returns the cells that have nodes left."""
    return list(dict.fromkeys(name.split("/")[1] for name in network.architecture.by_name if "cell" in name))


def test_network_without_zeros_stays_as_it_is():
    network = network_of((STEM, residual(shortcut="identity")), (residual(inputs=(0, 1), join="concat"),))
    smaller = compacted(network)
    assert smaller.architecture == network.architecture
    assert all(np.array_equal(value, network.state()[name]) for name, value in smaller.state().items())


def test_masked_weights_count_as_zero_before_the_masks_are_applied():
    network = network_of((STEM, residual()))
    stale = network.state()["block_0/cell_1/first/kernel"]
    assign(network, "block_0/cell_1/first", (..., 1), kernel=0.0, **WITHOUT_OFFSET)
    applied = compact(network)
    network.load_state({**network.state(), "block_0/cell_1/first/kernel": stale})
    left = compact(network)
    assert left.architecture == applied.architecture
    assert width(left, "cell_1/first") == 2
    assert all(np.array_equal(value, applied.state()[name]) for name, value in left.state().items())


def test_hidden_channel_that_is_zero_is_dropped():
    network = network_of((STEM, residual()))
    assign(network, "block_0/cell_1/first", (..., 1), kernel=0.0, **WITHOUT_OFFSET)
    smaller = compacted(network)
    assert width(smaller, "cell_1/first") == 2
    before, after = network.state(), smaller.state()
    for kind, axis in (("first/kernel", 3), ("first/mask", 3), ("first/norm/gamma", 0), ("second/kernel", 2)):
        name = f"block_0/cell_1/{kind}"
        np.testing.assert_array_equal(after[name], np.delete(before[name], 1, axis))


def test_hidden_channel_with_a_negative_offset_is_zero():
    network = network_of((STEM, residual()))
    assign(network, "block_0/cell_1/first", (..., 1), kernel=0.0, beta=-1.0, moving_mean=0.0)
    assert width(compacted(network), "cell_1/first") == 2


def test_hidden_constant_stays_before_a_padded_kernel():
    network = network_of((STEM, residual()))
    assign(network, "block_0/cell_1/first", (..., 1), kernel=0.0, beta=1.0, moving_mean=0.0)
    smaller = compacted(network)
    assert smaller.architecture == network.architecture
    assert smaller.kept_params() == network.kept_params()


def test_hidden_constant_moves_into_the_mean_behind_a_1x1_kernel():
    network = network_of((STEM, residual(kernel_size=1)))
    assign(network, "block_0/cell_1/first", (..., 1), kernel=0.0, beta=1.5, moving_mean=0.0)
    smaller = compacted(network)
    assert width(smaller, "cell_1/first") == 2
    mean, kernel = (network.state()[f"block_0/cell_1/second/{kind}"] for kind in ("norm/moving_mean", "kernel"))
    result = smaller.state()["block_0/cell_1/second/norm/moving_mean"]
    np.testing.assert_allclose(result, mean - 1.5 * kernel[0, 0, 1], rtol=1e-5)


def test_hidden_channel_that_nothing_reads_is_dropped():
    network = network_of((STEM, residual()))
    assign(network, "block_0/cell_1/second", (slice(None), slice(None), [0, 2]), kernel=0.0)
    assert width(compacted(network), "cell_1/first") == 1


def test_channel_scaled_by_zero_is_the_constant_beta():
    network = network_of((STEM, residual()))
    assign(network, "block_0/cell_1/first", 1, gamma=0.0, beta=0.0)
    assert width(compacted(network), "cell_1/first") == 2


def test_constant_map_channel_moves_into_the_bias_of_the_head():
    network = network_of((STEM,))
    assign(network, "block_0/cell_0/first", (..., 2), kernel=0.0, beta=2.0, moving_mean=0.0)
    smaller = compacted(network)
    assert width(smaller, "cell_0/first") == 3
    kernel = network.state()["block_0/head/dense/kernel"].reshape(4, 4, 3)
    moved = smaller.state()["block_0/head/dense/bias"] - network.state()["block_0/head/dense/bias"]
    np.testing.assert_allclose(moved, 2.0 * kernel[:, 2].sum(0), rtol=1e-5)


@pytest.mark.parametrize("shortcut", ["none", "projection", "identity"])
def test_constant_of_a_residual_cell_includes_its_shortcut(shortcut):
    network = network_of((STEM, residual(shortcut=shortcut)))
    zero = {"kernel": 0.0, "moving_mean": 0.0}
    assign(network, "block_0/cell_1/second", (..., 1), beta=-0.5, **zero)
    constant = 0.0
    if shortcut == "projection":
        assign(network, "block_0/cell_1/projection", (..., 1), beta=1.25, **zero)
        constant = 0.75
    elif shortcut == "identity":
        assign(network, "block_0/cell_0/first", (..., 1), beta=2.0, **zero)
        constant = 1.5
    smaller = compacted(network)
    kernel = network.state()["block_0/head/dense/kernel"].reshape(4, 4, 3)
    moved = smaller.state()["block_0/head/dense/bias"] - network.state()["block_0/head/dense/bias"]
    np.testing.assert_allclose(moved, constant * kernel[:, 1].sum(0), rtol=1e-4, atol=1e-6)
    # The constant of the stem enters a padded kernel, so it stays, and with it the tied channel.
    assert width(smaller, "cell_1/second") == (4 if shortcut == "identity" else 3)


@pytest.mark.parametrize("shortcut", ["projection", "identity"])
def test_dead_branch_is_no_constant_while_the_shortcut_varies(shortcut):
    network = network_of((STEM, residual(shortcut=shortcut)))
    assign(network, "block_0/cell_1/second", (..., 1), kernel=0.0, **WITHOUT_OFFSET)
    assert compacted(network).architecture == network.architecture


def test_projection_alone_keeps_the_channels_it_reads():
    network = network_of((STEM, residual(shortcut="projection")))
    assign(network, "block_0/cell_1/first", (slice(None), slice(None), [1, 2]), kernel=0.0)
    assign(network, "block_0/cell_1/projection", (slice(None), slice(None), 2), kernel=0.0)
    assert width(compacted(network), "cell_0/first") == 3


def test_adapter_alone_keeps_the_channels_it_reads():
    network = network_of((STEM, Cell("conv", 3, (0,)), residual(inputs=(0, 1), join="add")))
    assign(network, "block_0/cell_1/first", (slice(None), slice(None), [1, 2]), kernel=0.0)
    assign(network, "block_0/cell_2/adapter_0", (slice(None), slice(None), 2), kernel=0.0)
    assert width(compacted(network), "cell_0/first") == 3


def test_channels_of_a_concat_are_dropped_at_their_offsets():
    reader = Cell("conv", 5, (0, 1), join="concat")
    network = network_of((STEM, Cell("conv", 3, (0,)), reader))
    assign(network, "block_0/cell_2/first", (slice(None), slice(None), [2, 4 + 1]), kernel=0.0)
    assign(network, "block_0/cell_1/first", (slice(None), slice(None), 2), kernel=0.0)
    smaller = compacted(network)
    assert widths(smaller, "first") == [3, 2, 5]
    before, after = (net.state()["block_0/cell_2/first/kernel"] for net in (network, smaller))
    np.testing.assert_array_equal(after, np.delete(before, [2, 5], axis=2))


def test_identity_shortcut_ties_channels():
    network = network_of((STEM, residual(shortcut="identity")))
    read_from_head(network, 0, [0, 3])
    # Channel 1 serves nothing on either side; channel 2 of the stem still feeds the branch.
    assign(network, "block_0/cell_1/first", (slice(None), slice(None), 1), kernel=0.0)
    smaller = compacted(network)
    assert [width(smaller, "cell_0/first"), width(smaller, "cell_1/second")] == [3, 3]
    kernel = network.state()["block_0/cell_0/first/kernel"]
    np.testing.assert_array_equal(smaller.state()["block_0/cell_0/first/kernel"], kernel[..., [0, 2, 3]])
    # The tied channel of the output is not read: it is kept, but not computed.
    assert not smaller.state()["block_0/cell_1/second/mask"][..., 1].any()


def test_channel_passed_on_by_shortcuts_alone_is_kept():
    cells = (STEM, residual(shortcut="identity"), residual(inputs=(1,), shortcut="identity"))
    network = network_of(cells)
    read_from_head(network, 0, [3])
    for number in (1, 2):
        assign(network, f"block_0/cell_{number}/first", kernel=0.0)
    smaller = compacted(network)
    assert {*widths(smaller, "sum"), *widths(smaller, "relu")[:1]} == {1}
    kernel = network.state()["block_0/cell_0/first/kernel"]
    np.testing.assert_array_equal(smaller.state()["block_0/cell_0/first/kernel"], kernel[..., [3]])


def test_sum_keeps_what_an_adapter_fills():
    network = network_of((STEM, Cell("conv", 4, (0,)), residual(inputs=(0, 1), join="add")))
    # Channel 1 of the newest map is zero, channel 2 is not read behind the sum.
    assign(network, "block_0/cell_1/first", (..., 1), kernel=0.0, **WITHOUT_OFFSET)
    assign(network, "block_0/cell_2/first", (slice(None), slice(None), 2), kernel=0.0)
    smaller = compacted(network)
    assert [width(smaller, name) for name in ("cell_0/first", "cell_1/first", "cell_2/second")] == [4, 3, 4]
    adapter = network.state()["block_0/cell_2/adapter_0/kernel"]
    np.testing.assert_array_equal(smaller.state()["block_0/cell_2/adapter_0/kernel"], adapter[..., [0, 1, 3]])


def test_input_of_a_sum_with_a_dead_adapter_is_dropped():
    network = network_of((STEM, Cell("conv", 4, (0,)), residual(inputs=(0, 1), join="add")))
    assign(network, "block_0/cell_2/adapter_0", kernel=0.0)
    smaller = compacted(network).architecture
    assert not any("adapter" in name or name.endswith("cell_2/add") for name in smaller.by_name)
    assert smaller.by_name["block_0/cell_2/first"].inputs == ("block_0/cell_1/first/relu",)


def test_input_of_a_concat_that_is_not_read_is_dropped_and_its_cell_too():
    cells = (STEM, Cell("conv", 3, (0,)), Cell("conv", 5, (0,)), residual(inputs=(1, 0, 2), join="concat"))
    network = network_of(cells)
    assign(network, "block_0/cell_3/first", (slice(None), slice(None), slice(0, 3)), kernel=0.0)
    smaller = compacted(network)
    concat = smaller.architecture.by_name["block_0/cell_3/concat"]
    assert concat.inputs == ("block_0/cell_0/first/relu", "block_0/cell_2/first/relu")
    assert not any("cell_1" in name for name in smaller.architecture.by_name)
    for name in ("cell_2/first", "cell_3/second"):
        kernel = network.state()[f"block_0/{name}/kernel"]
        np.testing.assert_array_equal(smaller.state()[f"block_0/{name}/kernel"], kernel)


def test_chain_of_cells_that_ends_unread_is_removed():
    network = network_of((STEM, Cell("conv", 3, (0,)), Cell("conv", 3, (1,)), Cell("conv", 5, (2, 0), join="concat")))
    assign(network, "block_0/cell_3/first", (slice(None), slice(None), slice(0, 3)), kernel=0.0)
    assert cells_of(compacted(network)) == ["cell_0", "cell_3"]


def test_input_of_a_concat_that_the_shortcut_alone_passes_on_stays():
    joined = residual(7, inputs=(0, 1), join="concat", shortcut="identity")
    network = network_of((STEM, Cell("conv", 3, (0,)), joined))
    assign(network, "block_0/cell_2/first", (slice(None), slice(None), slice(0, 4)), kernel=0.0)
    assert compacted(network).architecture == network.architecture


@pytest.mark.parametrize("stride", [1, 2])
def test_newest_input_is_dropped_though_it_set_the_resolution(stride):
    tail = Cell("conv", 3, (0, 1), join="concat")
    network = network_of((STEM, Cell("conv", 4, (0,), stride=stride)), (tail,))
    assign(network, "block_1/cell_2/first", (slice(None), slice(None), slice(4, 8)), kernel=0.0)
    smaller = compacted(network, exit_index=1).architecture
    pooled = "block_1/cell_2/pool_0" if stride > 1 else "block_0/cell_0/first/relu"
    assert smaller.by_name["block_1/cell_2/first"].inputs == (pooled,)


def test_dead_projection_becomes_an_offset():
    network = network_of((STEM, residual(shortcut="projection")))
    assign(network, "block_0/cell_1/projection", kernel=0.0, beta=0.75, moving_mean=0.0)
    smaller = compacted(network)
    assert not any("projection" in name or name.endswith("/sum") for name in smaller.architecture.by_name)
    beta = network.state()["block_0/cell_1/second/norm/beta"]
    np.testing.assert_allclose(smaller.state()["block_0/cell_1/second/norm/beta"], beta + 0.75, rtol=1e-6)


DEAD = residual(shortcut="identity")


def kill_branch(network, number, **offset):
    (name,) = (name for name in network.architecture.by_name if name.endswith(f"cell_{number}/second"))
    assign(network, name, kernel=0.0, **(offset or WITHOUT_OFFSET))


def test_cell_that_passes_its_input_on_is_bypassed():
    tail = Cell("conv", 3, (2, 1), join="add")
    network = network_of((STEM, DEAD, Cell("conv", 5, (1,))), (tail,))
    kill_branch(network, 1)
    smaller = compacted(network)
    assert cells_of(smaller) == ["cell_0", "cell_2", "cell_3"]
    stem = "block_0/cell_0/first/relu"
    assert smaller.architecture.by_name["block_0/cell_2/first"].inputs == (stem,)
    assert smaller.architecture.by_name["block_1/cell_3/add"].inputs == ("block_1/cell_3/adapter_2", stem)


@pytest.mark.parametrize(
    ("blocks", "number", "left"),
    [
        pytest.param([(STEM, DEAD), (Cell("conv", 3, (1,)),)], 1, ["cell_0", "cell_2"], id="it ends a block"),
        pytest.param([(STEM,), (DEAD,)], 1, ["cell_0"], id="its block has no other"),
        pytest.param(
            [(STEM, DEAD, Cell("conv", 3, (0, 1), join="concat"))],
            1,
            ["cell_0", "cell_2"],
            id="a reader has its input too",
        ),
        pytest.param(
            [(STEM, Cell("conv", 4, (0,)), dataclasses.replace(DEAD, inputs=(0, 1), join="add"))],
            2,
            ["cell_0", "cell_1", "cell_2"],  # whose sum stays
            id="it adds up several maps",
        ),
        pytest.param(
            [(STEM, dataclasses.replace(DEAD, stride=2))], 1, ["cell_0", "cell_1"], id="it down-samples, with a pool"
        ),
    ],
)
def test_nothing_stays_of_a_dead_branch_wherever_its_cell_stands(blocks, number, left):
    network = network_of(*blocks)
    kill_branch(network, number)
    smaller = compacted(network)
    assert cells_of(smaller) == left
    assert not any(name.endswith((f"cell_{number}/first", "/second")) for name in smaller.architecture.by_name)


def test_branch_that_adds_a_constant_stays_with_the_smallest_kernels():
    network = network_of((STEM, DEAD))
    kill_branch(network, 1, beta=0.5, moving_mean=0.0)
    smaller = compacted(network).architecture
    shapes = {kernel.name: kernel.kernel_shape for kernel in smaller.kernels()}
    assert shapes["block_0/cell_1/first"] == (1, 1, 4, 1)
    assert shapes["block_0/cell_1/second"] == (1, 1, 1, 4)


def test_exit_index_cuts_later_blocks_and_what_only_other_heads_read():
    network = network_of((STEM,), (Cell("conv", 4, (0,)),), (Cell("conv", 4, (1,)),))
    assign(network, "block_1/cell_1/first", (slice(None), slice(None), 2), kernel=0.0)
    all_heads, one_head = compacted(network), compacted(network, exit_index=1)
    assert all_heads.architecture == network.architecture
    assert len(one_head.architecture.blocks) == 2
    assert widths(one_head, "first") == [3, 4]
    rows = np.delete(network.state()["block_0/head/dense/kernel"].reshape(4, 4, 3), 2, axis=1)
    np.testing.assert_array_equal(one_head.state()["block_0/head/dense/kernel"], rows.reshape(12, 3))


@pytest.mark.parametrize("exit_index", [-1, 2])
def test_exit_index_without_a_head_is_refused(tiny_network, exit_index):
    with pytest.raises(ValueError, match=rf"`exit_indices` must be in \[0, 1\], but got {exit_index}\."):
        compact(tiny_network, (exit_index,))


def test_network_without_connections_keeps_a_channel_of_everything(varied_architecture):
    network = GrowingNetwork(dataclasses.replace(varied_architecture, input_shape=(8, 8, 2), scaling=SCALING))
    state = random_state(network.state(), np.random.default_rng(1))
    network.load_state({name: value * (not name.endswith("/mask")) for name, value in state.items()})
    network.apply_masks()
    smaller = compact(compacted(network))
    inner = {shape[-1] for name, shape in smaller.architecture.shapes.items() if "cell" in name}
    assert inner <= {1, 2, 3}  # what is concatenated has as many channels as parts
    assert len(smaller.architecture.blocks) == 3
    assert np.ptp(logits(smaller), axis=1).max() == 0
