"""Fixed points by hand, and laws of the dependency."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kgrow.bayes.gates import GateGraph
from kgrow.bayes.prior import (
    GAMMA_THRESHOLD,
    LARGEST_GAMMA,
    decide,
    dependent_gamma,
    floored,
    settled,
    settled_gates,
    share_of_price,
    switch,
)

ONE = GateGraph(edges=(("in", "out"),), sources=("in",), sink="out")


def loops(optimum, curvature, price, num_loops):
    """Yields gamma after every loop for the loss curvature / 2 * (w - optimum)^2, its weights minimized exactly."""
    omega, gamma = np.ones(1), np.ones(1)
    for _ in range(num_loops):
        weight = np.array([math.copysign(max(abs(optimum) - price * omega[0] / curvature, 0.0), optimum)])
        omega, gamma = switch(weight, np.array([curvature / price]), gamma)
        yield gamma[0]


@pytest.mark.parametrize(("optimum", "curvature", "price"), [(1.0, 1.0, 0.1), (-0.5, 4.0, 0.01), (0.1, 3.0, 0.01)])
def test_gamma_comes_to_its_fixed_point(optimum, curvature, price):
    gammas = list(loops(optimum, curvature, price, 50))
    expected = optimum**2 - price / curvature
    assert abs(gammas[9] - expected) < 1e-3
    assert abs(gammas[-1] - expected) < 1e-6


@pytest.mark.parametrize(("optimum", "curvature", "price"), [(0.3, 1.0, 0.12), (0.2, 4.0, 0.3), (1.0, 0.1, 0.2)])
def test_a_gate_with_less_evidence_than_its_price_is_off_after_six_loops(optimum, curvature, price):
    assert optimum**2 * curvature < 0.8 * price
    assert list(loops(optimum, curvature, price, 6))[-1] == 0


def test_evidence_just_below_the_price_takes_more_loops():
    assert list(loops(0.3, 0.95, 0.09, 6))[-1] > 0
    assert list(loops(0.3, 0.95, 0.09, 12))[-1] == 0


@pytest.mark.parametrize(("optimum", "curvature", "price"), [(1.0, 1.0, 0.1), (-0.5, 4.0, 0.01), (0.3, 1.0, 0.12)])
def test_a_settled_gate_is_where_the_loops_end(optimum, curvature, price):
    found = settled(np.array([optimum]), np.array([curvature / price]))
    assert found == pytest.approx(list(loops(optimum, curvature, price, 60))[-1], abs=1e-6)


def test_gates_are_settled_in_units_of_themselves_and_open_only_where_the_data_are_silent():
    gates, curvature = np.array([[2.0, 1.0, 0.1, 0.5]]), np.array([[1.0, 0.5, 300.0, 0.0]])
    found = settled_gates(gates, curvature, 0.4)
    np.testing.assert_allclose(found, [1 - 0.4 / 4, 1 - 0.4 / 0.5, 1 - 0.4 / 3, LARGEST_GAMMA], rtol=1e-6)
    assert settled_gates(gates, curvature, 1e13).tolist() == [0, 0, 0, LARGEST_GAMMA]


@example(cells=[(0.0, 16.0), (2.0, 1.25), (2.0, 1.25), (2.0, 1.25)])  # the evidence has two optima
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(0.01, 20)), min_size=1, max_size=4))
def test_a_settled_group_has_the_gamma_of_the_largest_evidence(cells):
    weights, curvature = np.array(cells).T[:, :, None]
    found = settled(weights, curvature)

    def cost(gamma):  # -2 log evidence of w ~ N(0, gamma + 1 / h), without what does not depend on gamma
        scaled = 1 + gamma * curvature
        return np.sum(np.log(scaled) + weights**2 * curvature / scaled, axis=0)

    grid = np.linspace(0, np.max(weights**2), 2000)
    assert cost(found) <= np.min(cost(grid)) + 1e-9


def test_a_group_of_gates_is_trained_to_the_same_end():
    optimum, curvature = np.array([[1.0], [0.4], [0.7]]), np.array([[3.0], [20.0], [0.5]])
    omega, gamma = np.ones(1), np.ones(1)
    for _ in range(200):
        norm = 1.0
        for _ in range(200):  # curvature (w - optimum) + omega w / |w| = 0
            weights = optimum * curvature / (curvature + omega / norm)
            norm = np.linalg.norm(weights)
        omega, gamma = switch(weights, curvature, gamma)
    assert settled(optimum, curvature) == pytest.approx(gamma, rel=1e-6)


def test_the_price_rises_by_one_factor_to_the_whole():
    shares = [share_of_price(loop, 4) for loop in range(1, 5)]
    assert shares[-1] == 1
    np.testing.assert_allclose(np.divide(shares[1:], shares[:-1]), shares[1] / shares[0])
    assert share_of_price(1, 1) == 1


def test_the_closed_form_is_that_of_the_equations():
    weight, curvature, gamma = np.array([0.7]), np.array([3.0]), np.array([0.4])
    variance = 1 / (1 / gamma + curvature)
    omega, found = switch(weight, curvature, gamma)
    assert omega == pytest.approx(np.sqrt(gamma - variance) / gamma)
    assert found == pytest.approx(weight / omega)


def test_equal_cells_together_are_as_one():
    generator = np.random.default_rng(0)
    weights, curvature, gamma = generator.normal(size=5), generator.random(5), generator.random(5)
    omega, found = switch(weights, curvature, gamma)
    for num_cells in (2, 7):
        grouped, same = switch(np.tile(weights, (num_cells, 1)), np.tile(curvature, (num_cells, 1)), gamma)
        np.testing.assert_allclose(grouped, omega * np.sqrt(num_cells), rtol=1e-12)
        np.testing.assert_allclose(same, found, rtol=1e-12)


def test_a_gate_without_curvature_is_never_the_reason_to_prune():
    _, found = switch(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]), np.ones(3))
    assert found.tolist() == [LARGEST_GAMMA, LARGEST_GAMMA, 0.0]


def test_negative_curvature_is_none_and_is_said():
    with pytest.warns(UserWarning, match="1 of 2 curvatures are negative"):
        assert floored(np.array([-1.0, 2.0])).tolist() == [1e-12, 2.0]


def test_entropy_decides():
    assert 0.5 * math.log(2 * math.pi * math.e * GAMMA_THRESHOLD) == pytest.approx(0, abs=1e-15)
    two = GateGraph(edges=(("in", "out"), ("in", "out")), sources=("in",), sink="out")
    assert decide(two, np.array([0.0585, 0.0586])).kept.tolist() == [False, True]


@st.composite
def chains(draw):
    """Several gates into one node and one out of it, with switches."""
    num_before = draw(st.integers(1, 5))
    edges = (*[("in", "a")] * num_before, ("a", "out"))
    switches = draw(st.lists(st.just(0.0) | st.floats(1e-6, 10), min_size=num_before + 1, max_size=num_before + 1))
    return GateGraph(edges, ("in",), "out"), np.array(switches)


@given(chains())
def test_gamma_is_bounded_by_the_gate_and_by_what_feeds_it(case):
    graph, switches = case
    gamma = dependent_gamma(graph, switches)
    np.testing.assert_allclose(gamma[:-1], switches[:-1], rtol=1e-12)  # they read a source
    assert gamma[-1] <= min(switches[-1], switches[:-1].sum()) * (1 + 1e-12)
    shuffled = np.append(switches[:-1][::-1], switches[-1])
    assert dependent_gamma(graph, shuffled)[-1] == pytest.approx(gamma[-1], rel=1e-9)
    starved = np.append(np.full(len(graph) - 1, 1e-9), switches[-1])
    assert dependent_gamma(graph, starved)[-1] <= 1e-8


def test_dependencies_by_hand():
    graph = GateGraph(edges=(("in", "a"), ("in", "a"), ("a", "out")), sources=("in",), sink="out")
    switches, zero = np.array([1.0, 3.0, 2.0]), np.array([0.5, 4.0])
    assert graph.pairs.tolist() == [0, 0, 1]

    def gamma(dependency):
        return dependent_gamma(graph, switches, zero, dependency)

    first, second = 1 / (1 + 2), 1 / (1 / 3 + 2)
    np.testing.assert_allclose(gamma("none"), switches)
    np.testing.assert_allclose(gamma("own_zero"), [first, second, 1 / (1 / 2 + 1 / 4)])
    np.testing.assert_allclose(gamma("predecessors"), [1, 3, 1 / (1 / 4 + 1 / 2)])
    np.testing.assert_allclose(gamma("both"), [first, second, 1 / (1 / (first + second) + 1 / 2 + 1 / 4)])
    np.testing.assert_allclose(dependent_gamma(graph, switches), gamma("predecessors"))
    with pytest.raises(ValueError, match="`dependency`"):
        gamma("all")


def test_gates_that_are_all_off_can_keep_one_alive_that_only_they_feed():
    graph = GateGraph(
        edges=(("in", "a"), ("in", "a"), ("in", "a"), ("a", "out"), ("in", "out")), sources=("in",), sink="out"
    )
    gamma = dependent_gamma(graph, np.array([0.05, 0.05, 0.05, 10.0, 1.0]))
    assert gamma[3] == pytest.approx(0.148, abs=1e-3)
    decision = decide(graph, gamma)
    assert decision.kept.tolist() == [False, False, False, False, True]
    assert not decision.readmitted


def test_the_sink_keeps_its_widest_path():
    graph = GateGraph(
        edges=(("in", "a"), ("a", "out"), ("in", "b"), ("b", "out"), ("in", "out")), sources=("in",), sink="out"
    )
    gamma = np.array([0.05, 0.02, 0.03, 0.04, 0.025])
    decision = decide(graph, gamma)
    assert decision.readmitted
    assert decision.kept.tolist() == [False, False, True, True, False]
    alive = np.array([True, True, True, False, True])
    assert decide(graph, gamma, alive=alive).kept.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize(("length", "closes_below", "settled_below"), [(1, 1.062, 1.062), (2, 1.166, 1.133)])
def test_the_loop_with_dependency_closes_more_than_fixed_points_that_are_joined(length, closes_below, settled_below):
    graph = GateGraph(tuple((i, i + 1) for i in range(length)), sources=(0,), sink=length)

    def looped(evidence):
        gamma = np.ones(length)
        for _ in range(5000):
            omega = np.sqrt(evidence / (1 + gamma * evidence))
            weights = np.maximum(0, 1 - omega / evidence)  # where the loss and the penalty are smallest
            gamma = dependent_gamma(graph, switch(weights, np.full(length, evidence), gamma)[1])
        return gamma[-1]

    def joined(evidence):
        return dependent_gamma(graph, settled_gates(np.ones(length), np.full(length, evidence), 1.0))[-1]

    for closing, bound in ((looped, closes_below), (joined, settled_below)):
        assert closing(bound - 0.004) < GAMMA_THRESHOLD < closing(bound + 0.004)
