"""Whole channels: groups by hand, scores against derivatives, and channels that are really gone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.exporting import compact
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.pruning import CHANNEL_CRITERIA, channel_groups, prune, prune_channels
from kgrow.pruning.channels import select_channels
from kgrow.pruning.snip import SNIP


@pytest.fixture(scope="module")
def groups(varied_architecture):
    return channel_groups(varied_architecture)


@pytest.fixture(scope="module")
def batches(varied_network, noise):
    images = noise(varied_network, 16)
    return [(images, np.arange(16, dtype=np.int32) % 3)]


def test_an_identity_shortcut_ties_and_nothing_else_does(groups, varied_architecture):
    # stem 4 tied to cell 1's 4; cells 2 to 4 have 6, 5 and 4; between the convolutions of residual cells are 3 each;
    # the graph cell reads its inputs as 3 each, of which one is tied to its first node, and the other, by a pool, too
    assert len(groups) == 4 + 6 + 5 + 4 + 3 * 3 + 3 + 3
    rows, columns = groups.kernels["block_0/cell_1/second"]
    np.testing.assert_array_equal(groups.kernels["block_0/cell_0/first"][1], columns)
    concat_rows, _ = groups.kernels["block_1/cell_2/first"]
    np.testing.assert_array_equal(concat_rows, np.concatenate([columns, columns]))
    assert set(groups.kernels["block_0/cell_0/first"][0]) == {-1}  # the image
    assert set(groups.kernels["block_2/head/dense"][1]) == {-1}  # the classes
    assert not set(rows) & set(columns)


def test_the_sums_of_a_graph_cell_tie_what_they_add(groups, varied_architecture):
    inside = {name.removeprefix("block_2/cell_5/"): both for name, both in groups.kernels.items()}
    own = inside["sep3_0_2/3"][1]
    assert len(set(own)) == 3
    np.testing.assert_array_equal(inside["input_1/0"][1], own)  # through a max pool
    np.testing.assert_array_equal(inside["input_0/0"][1], own)  # through the average pool of the second node
    np.testing.assert_array_equal(inside["dil3_1_3/0"][1], own)
    between = inside["sep3_0_2/1"][1]  # of a separable convolution, which nothing is added to
    assert not set(between) & set(own)
    np.testing.assert_array_equal(inside["sep3_0_2/3"][0], between)
    np.testing.assert_array_equal(inside["sep3_0_2/2"][1], [-2])
    rows, _ = groups.kernels["block_2/head/dense"]
    np.testing.assert_array_equal(rows, np.tile(own, 2 * 2 * 2))  # two nodes at 2 x 2 positions


def test_cost_is_that_of_all_kernels_that_make_or_read(groups, varied_architecture):
    # by hand, for the first hidden channel of cell 1: 8 x 8 positions, made of 4 inputs and read by 4 outputs, 3 x 3
    hidden = groups.kernels["block_0/cell_1/first"][1][0]
    assert groups.macs[hidden] == 64 * 9 * (4 + 4)
    positions = {op.name: op.positions for op in varied_architecture.kernels()}
    kept = np.ones(len(groups), bool)
    kept[hidden] = False
    removed = sum(
        np.sum(~mask) * positions[name] * (9 if name.startswith("block_0/cell_1") else 1)
        for name, mask in groups.masks(kept).items()
    )
    assert removed == groups.macs[hidden]


def test_gate_is_the_derivative_of_the_loss(groups, varied_copy, batches, cross_entropy):
    found = CHANNEL_CRITERIA["taylor"](0).saliency(varied_copy, groups, batches, cross_entropy)
    (images, labels) = batches[0]
    names = {
        name: groups.kernels[name.rpartition("/norm/")[0]][1]
        for name in varied_copy.named_variables()
        if "/gamma" in name or "/beta" in name
    }

    def loss_at(group, gate):
        before = {name: varied_copy.named_variables()[name].numpy() for name in names}
        for name, owners in names.items():
            varied_copy.named_variables()[name].assign(np.where(owners == group, gate, 1.0) * before[name])
        value = float(cross_entropy(varied_copy(images, training=False), labels))
        for name, value_before in before.items():
            varied_copy.named_variables()[name].assign(value_before)
        return value

    for group in (0, 5, 11, len(groups) - 1):
        step = 1e-3
        derivative = (loss_at(group, 1 + step) - loss_at(group, 1 - step)) / (2 * step)
        assert found[group] == pytest.approx(abs(derivative), rel=0.05, abs=2e-3)


def test_other_scores_by_brute_force(groups, varied_network, batches, cross_entropy):
    def scored(name):
        return CHANNEL_CRITERIA[name](0).saliency(varied_network, groups, batches, cross_entropy)

    sensitivities = SNIP().saliency(varied_network, batches, cross_entropy)
    kernels = varied_network.kernels()
    gammas = {n: v.numpy() for n, v in varied_network.named_variables().items() if n.endswith("/gamma")}
    for group in (0, 7, 20, len(groups) - 1):
        snip = norm = 0.0
        for kernel, sensitivity in zip(kernels, sensitivities, strict=True):
            rows, columns = groups.kernels[kernel.name]
            snip += sensitivity[..., rows == group, :].sum() + sensitivity[..., columns == group].sum()
            squares = kernel.weight.numpy() ** 2
            norm += squares[..., rows == group, :].sum() + squares[..., columns == group].sum()
        scale = sum(np.abs(g[groups.gates[n] == group]).sum() for n, g in gammas.items())
        assert scored("snip")[group] == pytest.approx(snip, rel=1e-4)
        assert scored("norm")[group] == pytest.approx(np.sqrt(norm), rel=1e-4)
        assert scored("network_slimming")[group] == pytest.approx(scale, rel=1e-5)


@pytest.mark.parametrize("name", CHANNEL_CRITERIA)
def test_every_criterion_scores_without_a_trace(name, groups, varied_network, batches, cross_entropy):
    before = varied_network.state()
    scores = [CHANNEL_CRITERIA[name](0).saliency(varied_network, groups, batches, cross_entropy) for _ in range(2)]
    np.testing.assert_array_equal(*scores)
    assert scores[0].shape == (len(groups),)
    assert np.isfinite(scores[0]).all()
    assert scores[0].min() >= 0
    assert all(np.array_equal(before[key], value) for key, value in varied_network.state().items())


@given(seed=st.integers(0, 2**32 - 1), multiple_of=st.sampled_from([1, 2, 4]))
def test_selection_is_exact_monotone_and_leaves_no_layer_empty(seed, multiple_of, varied_architecture):
    groups = channel_groups(varied_architecture)
    generator = np.random.default_rng(seed)
    alive = np.ones(len(groups), bool)
    for ratio in (0.7, 0.4, 0.1):
        saliency = generator.random(len(groups))
        kept = select_channels(groups, saliency, alive, dict.fromkeys(range(3), ratio), multiple_of)
        assert not np.any(kept & ~alive)
        assert all(kept[layer].any() for layer in groups.layers)
        for block in range(3):
            members = groups.blocks == block
            assert np.sum(kept & members) >= min(int(ratio * members.sum()), np.sum(alive & members))
        alive = kept


def test_without_guards_the_count_is_exact(groups):
    saliency = np.random.default_rng(0).random(len(groups))
    alive = np.ones(len(groups), bool)
    kept = select_channels(groups, saliency, alive, {0: 0.8})
    members = groups.blocks == 0
    assert np.sum(kept & members) == int(0.8 * members.sum())
    assert kept[~members].all()
    assert np.min((saliency / groups.macs)[kept & members]) >= np.max((saliency / groups.macs)[~kept])


def test_channels_below_their_price_go_whatever_the_ratio(groups):
    saliency = np.random.default_rng(0).random(len(groups))
    kept = select_channels(groups, saliency, np.ones(len(groups), bool), {0: 1.0, 1: 0.5}, min_saliency=0.6)
    first, second = (groups.blocks == block for block in range(2))
    expected = saliency >= 0.6
    for layer in groups.layers:
        if not expected[layer].any():
            expected[layer[np.argmax((saliency / groups.macs)[layer])]] = True
    np.testing.assert_array_equal(kept[first], expected[first])
    assert np.sum(kept & second) < np.sum(expected & second)
    assert kept[~first & ~second].all()


def test_widths_become_multiples():
    architecture = of_cells(
        (8, 8, 1), 3, Scaling((0.0,), (1.0,)), (CellBlock((Cell("conv", 16), Cell("conv", 16, inputs=(0,))), Head(1)),)
    )
    groups = channel_groups(architecture)
    kept = select_channels(groups, np.random.default_rng(1).random(32), np.ones(32, bool), {0: 0.4}, multiple_of=4)
    assert all(kept[layer].sum() % 4 == 0 for layer in groups.layers)
    with pytest.raises(ValueError, match="`saliency`"):
        select_channels(groups, np.full(32, np.nan), np.ones(32, bool), {0: 0.4})


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNEL_CRITERIA)
def test_pruned_channels_are_gone_after_compaction(name, varied_copy, batches, cross_entropy, noise):
    prune_channels(varied_copy, dict.fromkeys(range(3), 0.5), CHANNEL_CRITERIA[name](0), batches, cross_entropy)
    groups = channel_groups(varied_copy.architecture)
    alive = groups.alive({kernel.name: kernel.mask.numpy() for kernel in varied_copy.kernels()})
    smaller = compact(varied_copy)
    for name, (_, columns) in groups.kernels.items():
        if name in smaller.architecture.shapes and columns[0] >= 0:
            assert smaller.architecture.shapes[name][-1] <= max(1, int(alive[columns].sum()))
    assert smaller.architecture.macs() < 0.6 * varied_copy.architecture.macs()
    images = noise(varied_copy, 8)
    expected = varied_copy.logits(images)
    assert np.abs(smaller.logits(images) - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


def test_connections_inside_the_channels_are_pruned_to_their_count(varied_copy, batches, cross_entropy):
    prune_channels(varied_copy, dict.fromkeys(range(3), 0.7), CHANNEL_CRITERIA["norm"](0), batches, cross_entropy)
    alive = [varied_copy.kept_params(block) for block in range(3)]
    sizes = [varied_copy.architecture.kernel_params(block) for block in range(3)]
    prune(varied_copy, {0: 0.2, 1: 0.9, 2: 0.2}, SNIP(), batches, cross_entropy)
    kept = [varied_copy.kept_params(block) for block in range(3)]
    assert kept == [
        min(have, int(ratio * size)) for have, ratio, size in zip(alive, (0.2, 0.9, 0.2), sizes, strict=True)
    ]


def test_a_reader_that_is_grown_later_does_not_bring_a_channel_back(varied_copy, batches, cross_entropy):
    groups = channel_groups(varied_copy.architecture)
    masks = {kernel.name: kernel.mask.numpy() for kernel in varied_copy.kernels()}
    gone = groups.kernels["block_0/cell_0/first"][1][1]
    for name in masks:  # no longer made, still read
        masks[name] = masks[name] * ~np.isin(groups.kernels[name][1], gone)
    assert not groups.alive(masks)[gone]
    assert groups.alive(masks).sum() == len(groups) - 1
