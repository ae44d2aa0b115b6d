"""Tests of pruning events: the published counts, the three scopes, and masks that only ever lose connections."""

import numpy as np
import pytest

from kgrow.pruning import SCOPES, Iterative, Magnitude, Random, kept_params, prune
from kgrow.searching import SPACES

DENSE = SPACES["seed_dense"].build((32, 32, 3), 10)

ONE_SHOT = {
    0.8: 135_512,
    0.7: 118_572,
    0.6: 101_633,
    0.5: 84_696,
    0.4: 67_755,
    0.3: 50_816,
    0.2: 33_876,
    0.1: 16_937,
    # The comparison with decreasing ratios; its first row is labeled 65 % there, with a count that no rounding gives.
    0.65: 110_103,
    0.53: 89_777,
    0.43: 72_836,
    0.33: 55_897,
    0.23: 38_958,
}
ITERATIVE = {0.7: 118_574, 0.6: 101_635, 0.5: 84_696, 0.4: 67_756, 0.3: 50_817, 0.2: 33_878, 0.1: 16_939}
DECREASING = {
    (0.8, 0.7, 0.6, 0.5): 106_328,
    (0.7, 0.6, 0.5, 0.4): 89_389,
    (0.6, 0.5, 0.4, 0.3): 72_450,
    (0.5, 0.4, 0.3, 0.2): 55_510,
    (0.4, 0.3, 0.2, 0.1): 38_571,
}


# The published tables


@pytest.mark.parametrize(("ratio", "kept"), ONE_SHOT.items())
def test_uniform_one_shot_ratio_keeps_the_published_count(ratio, kept):
    assert kept_params(DENSE, (ratio,) * 4, "block") == kept


@pytest.mark.parametrize(("ratio", "kept"), ITERATIVE.items())
def test_iterative_ratio_keeps_the_published_count(ratio, kept):
    assert kept_params(DENSE, (ratio,) * 4, "global") == kept == int(ratio * 169_392)


@pytest.mark.parametrize(("ratios", "kept"), DECREASING.items())
def test_decreasing_ratios_keep_the_published_count(ratios, kept):
    assert kept_params(DENSE, ratios, "block") == kept


@pytest.mark.parametrize(("block", "kept"), [(0, 17_505), (1, 33_510), (2, 31_897), (3, 35_660)])
def test_seventy_percent_of_one_block_is_its_published_floor(block, kept):
    ratios = tuple(0.7 if index == block else 1.0 for index in range(4))
    assert kept_params(DENSE, ratios) == 169_392 - DENSE.kernel_params(block) + kept


@pytest.mark.parametrize("scope", SCOPES)
def test_keeping_everything_keeps_everything(scope):
    assert kept_params(DENSE, (1.0,) * 4, scope) == 169_392


@pytest.mark.parametrize("ratios", [(0.5,), (0.5,) * 3, (0.5,) * 5])
def test_counting_needs_one_ratio_per_block(ratios):
    with pytest.raises(ValueError, match="zip"):
        kept_params(DENSE, ratios)


# A real network


@pytest.fixture
def network(varied_copy):
    return varied_copy


def kept_by_kernel(network, block=None):
    return {kernel.name: kernel.kept for kernel in network.kernels(block)}


def check_zeros(network):
    for kernel in network.kernels():
        assert np.array_equal(kernel.weight.numpy() != 0, kernel.mask.numpy() > 0)


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_keeps_the_count_known_beforehand(network, scope, cross_entropy):
    ratios = (0.7, 0.5, 0.3)
    prune(network, dict(enumerate(ratios)), Magnitude(), [], cross_entropy, scope)
    assert network.kept_params() == kept_params(network.architecture, ratios, scope)
    check_zeros(network)


def test_layer_scope_keeps_the_floor_of_each_kernel(network, cross_entropy):
    prune(network, {0: 0.4, 1: 0.4, 2: 0.4}, Magnitude(), [], cross_entropy, "layer")
    assert kept_by_kernel(network) == {k.name: int(0.4 * k.size + 1e-9) for k in network.kernels()}


def test_block_scope_prunes_each_block_to_its_own_decreasing_ratio(network, cross_entropy):
    sizes = [network.architecture.kernel_params(index) for index in range(3)]
    prune(network, {0: 0.8, 1: 0.5, 2: 0.2}, Magnitude(), [], cross_entropy, "block")
    assert [network.kept_params(index) for index in range(3)] == [
        sizes[0] * 8 // 10,
        sizes[1] * 5 // 10,
        sizes[2] * 2 // 10,
    ]


def test_only_the_blocks_that_are_due_are_pruned(network, cross_entropy):
    before = network.state()
    prune(network, {1: 0.5}, Magnitude(), [], cross_entropy)
    changed = {name for name, value in network.state().items() if not np.array_equal(value, before[name])}
    assert {name.split("/")[0] for name in changed} == {"block_1"}
    assert {name.rsplit("/")[-1] for name in changed} == {"kernel", "mask"}


@pytest.mark.parametrize("due", [{}, {0: 1.0, 2: 1.0}])
def test_nothing_to_remove_is_not_even_scored(network, cross_entropy, due):
    class Never(Magnitude):
        def saliency(self, network, batches, loss):
            raise AssertionError

    prune(network, due, Never(), [], cross_entropy)
    assert network.kept_params() == network.architecture.kernel_params()


@pytest.mark.parametrize("scope", SCOPES)
def test_what_is_kept_scores_at_least_what_is_removed_within_the_scope(network, scope, cross_entropy):
    ratios = {0: 0.6, 1: 0.6, 2: 0.6}
    weights = {kernel.name: np.abs(kernel.weight.numpy()) for kernel in network.kernels()}
    prune(network, ratios, Magnitude(), [], cross_entropy, scope)
    kernels = network.kernels()
    groups = {
        "layer": [[kernel] for kernel in kernels],
        "block": [network.kernels(index) for index in range(3)],
        "global": [kernels],
        "erk": [[kernel] for kernel in kernels],
    }[scope]
    for group in groups:
        in_group = [(weights[kernel.name], kernel.mask.numpy() > 0) for kernel in group]
        # Each kernel's best connection is kept for the kernel's sake, whatever its score.
        kept = np.concatenate([np.sort(scores[mask])[:-1] for scores, mask in in_group])
        removed = np.concatenate([scores[~mask] for scores, mask in in_group])
        assert kept.min(initial=np.inf) >= removed.max(initial=0.0)


def test_heavy_pruning_leaves_a_connection_in_every_kernel(network, cross_entropy):
    network.kernels()[0].weight.assign(network.kernels()[0].weight * 1e-3)
    prune(network, {0: 0.05, 1: 0.05, 2: 0.05}, Magnitude(), [], cross_entropy)
    assert min(kept_by_kernel(network).values()) >= 1


def test_pruning_further_counts_from_the_whole_kernel(network, cross_entropy):
    size = network.architecture.kernel_params(0)
    for ratio in (0.8, 0.5, 0.2):
        prune(network, {0: ratio}, Magnitude(), [], cross_entropy)
        assert network.kept_params(0) == int(ratio * size + 1e-9)


def test_ratio_above_what_is_left_changes_nothing(network, cross_entropy):
    prune(network, {0: 0.3}, Magnitude(), [], cross_entropy)
    before = network.state()
    prune(network, {0: 0.9}, Random(1), [], cross_entropy)
    assert all(np.array_equal(value, before[name]) for name, value in network.state().items())


@pytest.mark.parametrize("seed", range(3))
def test_no_sequence_of_events_revives_a_connection(network, seed, cross_entropy):
    generator = np.random.default_rng(seed)
    masks = [kernel.mask.numpy() for kernel in network.kernels()]
    for event in range(8):
        for kernel in network.kernels():  # as an optimizer step may move them
            kernel.weight.assign_add(generator.normal(0, 0.1, kernel.weight.shape))
        blocks = generator.choice(3, size=generator.integers(1, 4), replace=False)
        ratios = {int(block): float(generator.uniform(0.05, 1)) for block in blocks}
        criterion = Magnitude() if generator.random() < 0.5 else Random(event)
        prune(network, ratios, criterion, [], cross_entropy, SCOPES[generator.integers(3)])
        after = [kernel.mask.numpy() for kernel in network.kernels()]
        assert all((new <= old).all() for new, old in zip(after, masks, strict=True))
        check_zeros(network)
        masks = after
    assert network.kept_params() < network.architecture.kernel_params()


@pytest.mark.parametrize("scope", ["block", "global"])
@pytest.mark.parametrize("scales", [(0.01, 1.0, 1.0), (1.0, 0.01, 1.0), (1.0, 1.0, 0.01)], ids=str)
def test_steps_end_at_the_exact_count_however_uneven_the_blocks(network, scope, scales, cross_entropy):
    schedule, ratios = Iterative((1, 2, 3, 4, 5), steps=2), (0.5, 0.4, 0.6)
    for block, scale in enumerate(scales):
        for kernel in network.kernels(block):
            kernel.weight.assign(kernel.weight * scale)
    for epoch in range(6):
        prune(network, schedule.ranked(epoch, ratios, scope), Magnitude(), [], cross_entropy, scope)
    assert network.kept_params() == kept_params(network.architecture, ratios, scope)


def test_unknown_scope_is_refused(network, cross_entropy):
    with pytest.raises(ValueError, match="`scope` must be one of 'layer', 'block', 'global', 'erk', but got 'network'"):
        prune(network, {0: 0.5}, Magnitude(), [], cross_entropy, "network")
