"""What is left of random cells."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kgrow.bayes.gates import GateGraph
from kgrow.bayes.prior import GAMMA_THRESHOLD, decide


@st.composite
def cells(draw):
    """A random DAG on up to seven nodes with two sources, its gates in any order, and a gamma for each."""
    num_nodes = draw(st.integers(3, 7))
    pairs = [(i, j) for j in range(2, num_nodes) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=16))
    assume(any(source in (0, 1) and target == num_nodes - 1 for source, target in edges))
    gamma = draw(st.lists(st.floats(0, 4 * GAMMA_THRESHOLD), min_size=len(edges), max_size=len(edges)))
    return GateGraph(tuple(edges), (0, 1), num_nodes - 1), np.array(gamma)


def paths(graph, kept, node=None):
    """Yields all paths of kept gates from a source to a node, as tuples of gates."""
    node = graph.sink if node is None else node
    if node in graph.sources:
        yield ()
        return
    for gate, (source, target) in enumerate(graph.edges):
        if kept[gate] and target == node:
            yield from ((*path, gate) for path in paths(graph, kept, source))


@given(cells())
def test_every_kept_gate_lies_on_a_path(case):
    graph, gamma = case
    decision = decide(graph, gamma)
    found = list(paths(graph, decision.kept))
    assert found
    assert {gate for path in found for gate in path} == set(np.flatnonzero(decision.kept))
    np.testing.assert_array_equal(graph.connected(decision.kept), decision.kept)  # one round is enough
    open_paths = list(paths(graph, gamma > GAMMA_THRESHOLD))
    assert decision.readmitted == (not open_paths)
    if open_paths:
        assert {gate for path in open_paths for gate in path} == set(np.flatnonzero(decision.kept))


@given(cells())
def test_the_widest_path_is_found(case):
    graph, gamma = case
    alive = np.ones(len(graph), bool)
    (path,) = paths(graph, graph.widest_path(gamma, alive))
    assert min(gamma[list(path)]) == max(min(gamma[list(other)]) for other in paths(graph, alive))


@given(cells())
def test_the_order_is_topological(case):
    graph, _ = case
    places = {gate: place for place, gate in enumerate(graph.order)}
    assert sorted(places) == list(range(len(graph)))
    for gate, before in enumerate(graph.predecessors):
        assert all(places[other] < places[gate] for other in before)


def test_circles_and_sinks_out_of_reach_are_refused():
    with pytest.raises(ValueError, match="`edges` must not run in a circle"):
        GateGraph((("a", "b"), ("b", "a"), ("in", "out")), ("in",), "out")
    with pytest.raises(ValueError, match="from a source to 'out'"):
        GateGraph((("in", "a"),), ("in",), "out")
