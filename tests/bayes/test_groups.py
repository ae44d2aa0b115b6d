"""Every category against loops over indices, and the fixed point of a group."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.bayes.groups import CONV_CATEGORIES, DENSE_CATEGORIES, Category, GroupPrior, keep_mask
from kgrow.bayes.proximal import shrunk

CONV, DENSE = (3, 2, 4, 5), (6, 7)
CASES = [(name, CONV) for name in CONV_CATEGORIES] + [(name, DENSE) for name in DENSE_CATEGORIES]
SHAPES = {
    "element": (3, 2, 4, 5),
    "shape": (3, 2, 4, 1),
    "row": (3, 1, 4, 1),
    "column": (1, 2, 4, 1),
    "channel": (1, 1, 4, 1),
    "stack_shape": (3, 2, 1, 1),
    "stack_row": (3, 1, 1, 1),
    "stack_column": (1, 2, 1, 1),
    "filter": (1, 1, 1, 5),
    "layer": (1, 1, 1, 1),
}


def kernel(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def groups(category):
    """Yields of every group its place and the indices of its weights."""
    for place in np.ndindex(category.group_shape):
        sides = [
            range(s) if g == 1 else [p] for s, g, p in zip(category.shape, category.group_shape, place, strict=True)
        ]
        yield place, tuple(np.array(list(itertools.product(*sides))).T)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_those_of_the_table(name):
    prior = GroupPrior.fresh(Category(name, CONV))
    assert prior.gamma.shape == prior.omega.shape == SHAPES[name]


def test_dense_kernels_have_neurons():
    shapes = {name: Category(name, DENSE).group_shape for name in DENSE_CATEGORIES}
    assert shapes == {"element": (6, 7), "in_neuron": (6, 1), "out_neuron": (1, 7), "layer": (1, 1)}


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_norms_and_updates_are_those_of_the_indices(name, shape):
    category, weights, curvature = Category(name, shape), kernel(shape), kernel(shape, 1) ** 2
    generator = np.random.default_rng(2)
    prior = GroupPrior(category, *(generator.random((3, *category.group_shape)) + 0.5))
    updated = prior.updated(weights, curvature, np.ones(shape, bool))
    for place, indices in groups(category):
        norm = np.linalg.norm(weights[indices])
        gamma = norm / prior.omega[place]
        alpha = 1 / gamma - 1 / (1 / gamma + curvature[indices]) / gamma**2
        assert category.norms(weights)[place] == pytest.approx(norm)
        assert updated.gamma[place] == pytest.approx(gamma)
        assert updated.omega[place] == pytest.approx(np.sqrt(alpha.sum()))
        assert updated.support[place] == pytest.approx(gamma * curvature[indices].mean())


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_proximal_step_minimizes_and_zeroes_whole_groups_only(name, shape):
    category, weights = Category(name, shape), kernel(shape)
    omega = np.random.default_rng(3).random(category.group_shape)
    norms = category.norms(weights)
    step = float(np.median(norms / omega))  # half of the groups go
    found = shrunk(weights, omega, category.axes, step).numpy()
    gone = category.norms(found) == 0
    np.testing.assert_array_equal(gone, step * omega >= norms)
    factors = np.broadcast_to(np.maximum(1 - step * omega / norms, 0), shape)
    np.testing.assert_allclose(found, weights * factors, rtol=1e-12, atol=1e-15)
    again = shrunk(np.zeros(shape), omega, category.axes, step).numpy()
    assert np.array_equal(again, np.zeros(shape))


@pytest.mark.parametrize(
    ("size", "scale", "curvature", "price", "after_ten"),
    [(1, 1, 10.0, 0.1, 1e-3), (5, 1, 2.0, 0.05, 1e-3), (20, 1, 0.5, 0.01, 2.5e-3), (300, 0.3, 2, 0.01, 1e-3)],
)
def test_the_gamma_of_a_group_comes_to_its_fixed_point(size, scale, curvature, price, after_ten):
    optimum = scale * kernel((size, 1))
    category = Category("out_neuron", (size, 1))
    expected = np.sum(optimum**2) / size - price / curvature
    assert expected > 0
    prior, gammas = GroupPrior.fresh(category), []
    for _ in range(50):
        weights = shrunk(optimum, prior.omega, category.axes, price / curvature).numpy()
        prior = prior.updated(weights, np.full((size, 1), curvature / price), np.ones((size, 1), bool))
        gammas.append(prior.gamma.item())
    # Experiment 0034: gamma + price / curvature is at first the norm; the factor it is off by is the root of that one.
    norm, square = np.linalg.norm(optimum), np.sum(optimum**2) / size
    factors = (norm / square) ** (0.5 ** np.arange(50))
    np.testing.assert_allclose(gammas, square * factors - price / curvature, rtol=1e-9)
    assert abs(gammas[9] - expected) < after_ten
    assert abs(gammas[-1] - expected) < 1e-6
    evidence = np.sum(optimum**2) / size * curvature / price
    assert prior.support.item() == pytest.approx(evidence - 1, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "share", "num_loops"), [(1, 0.8, 6), (4, 0.8, 6), (300, 0.8, 6), (4, 0.9, 6), (300, 0.9, 7)]
)
def test_a_group_with_less_evidence_than_its_price_is_off_after_a_few_loops(size, share, num_loops):
    price = 0.1
    optimum = np.full((size, 1), (share * price) ** 0.5)
    prior = GroupPrior.fresh(Category("out_neuron", (size, 1)))
    for _ in range(num_loops):
        weights = shrunk(optimum, prior.omega, (0,), price).numpy()
        prior = prior.updated(weights, np.full((size, 1), 1 / price), np.ones((size, 1), bool))
    assert not weights.any()
    assert not keep_mask([prior], weights).any()


def test_a_group_without_curvature_is_off():
    weights, curvature = np.ones((2, 3)), np.array([[0.0] * 3, [1.0] * 3])
    with_rows = GroupPrior.fresh(Category("in_neuron", (2, 3))).updated(weights, curvature, np.ones((2, 3), bool))
    assert with_rows.kept(weights).ravel().tolist() == [False, True]


def test_removed_weights_are_no_part_of_their_group():
    weights, curvature = kernel((6, 2)), kernel((6, 2), 1) ** 2
    alive = np.array([[True], [False]] * 3) & np.ones((6, 2), bool)
    whole, left = GroupPrior.fresh(Category("out_neuron", (6, 2))), GroupPrior.fresh(Category("out_neuron", (3, 2)))
    for _ in range(2):
        whole = whole.updated(weights * alive, curvature, alive)
        left = left.updated(weights[::2], curvature[::2], alive[::2])
    for name in ("gamma", "omega", "support"):
        np.testing.assert_allclose(getattr(whole, name), getattr(left, name), rtol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_a_weight_stays_if_all_its_groups_do(seed):
    generator = np.random.default_rng(seed)
    weights = kernel(CONV, seed)
    priors = []
    for name in ("stack_row", "stack_column", "filter"):
        category = Category(name, CONV)
        off = generator.random(category.group_shape) < 0.3
        off.flat[0] = False
        ones = np.ones(category.group_shape)
        priors.append(GroupPrior(category, ones, ones, np.where(off, 0.09, 0.11)))
    mask = keep_mask(priors, weights)
    for place in np.ndindex(CONV):
        own = [p.support[tuple(min(i, s - 1) for i, s in zip(place, p.gamma.shape, strict=True))] for p in priors]
        assert mask[place] == (min(own) > 0.1)


def test_unknown_categories_and_kernels_are_refused():
    with pytest.raises(ValueError, match=r"`category` must be one of .*'filter'"):
        Category("filters", CONV)
    with pytest.raises(ValueError, match="`shape`"):
        Category("layer", (3,))
