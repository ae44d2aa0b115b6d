"""Gates close by their gamma, and what is cut off closes with them."""

import numpy as np
import pytest

from kgrow.bayes import GateGraph
from kgrow.cells.edges import gate_graph
from kgrow.cells.switches import SwitchGroup
from kgrow.graph.edge import NUM_INPUTS, Edge
from kgrow.graph.genotype import Genotype

# Two edges into node 2, one from it into node 3, one from an input into node 3.
EDGES = (Edge(2, 0, "max3"), Edge(2, 1, "sep3"), Edge(3, 2, "avg3"), Edge(3, 0, "sep5"))
OFF, ON = 0.05, 0.5


def group(num_cells=1, **options):
    return SwitchGroup(gate_graph(EDGES), len(EDGES), num_cells, **options)


@pytest.mark.parametrize(
    ("gamma", "kept", "readmitted"),
    [
        ((ON, ON, ON, ON), (True, True, True, True), False),
        ((OFF, OFF, ON, ON), (False, False, False, True), False),  # what feeds the third is closed
        ((ON, OFF, OFF, OFF), (True, False, False, False), False),  # node 2 is part of the output
        ((0.01, 0.02, 0.03, 0.04), (False, False, False, True), True),
        ((0.05, 0.02, 0.03, 0.04), (True, False, False, False), True),
    ],
)
def test_what_stays_lies_on_a_path(gamma, kept, readmitted):
    switches = group()
    switches.gamma = switches.strength = np.array(gamma)
    assert switches.close() == (not all(kept))
    assert tuple(switches.is_open) == kept
    assert switches.was_readmitted == readmitted


def test_a_cell_that_need_not_keep_a_path_can_lose_all():
    switches = group(keeps_path=False)
    switches.gamma = np.full(4, OFF)
    assert switches.close()
    assert not switches.is_open.any()
    assert not switches.was_readmitted


@pytest.mark.parametrize(
    ("gamma", "most", "kept"),
    [
        ((0.6, 0.5, 0.4, 0.3), 4, (True, True, True, True)),
        ((0.6, 0.5, 0.4, 0.3), 2, (True, True, False, False)),
        ((0.3, 0.4, 0.6, 0.5), 2, (False, True, True, False)),  # the third needs a gate that feeds it
        ((0.3, 0.4, 0.6, 0.5), 1, (False, False, False, True)),  # without it the third goes too
        ((0.3, 0.4, 0.5, OFF), 1, (False, True, False, False)),
        ((OFF, 0.3, 0.4, OFF), 1, (False, True, False, False)),
    ],
)
def test_of_many_open_gates_the_largest_stay(gamma, most, kept):
    switches = group()
    switches.gamma = switches.strength = np.array(gamma)
    assert switches.close(most) == (not all(kept))
    assert tuple(switches.is_open) == kept


def test_a_node_that_is_fed_by_one_path_keeps_it():
    edges = (Edge(2, 0, "max3"), Edge(3, 2, "avg3"))
    graph = GateGraph(edges=((0, 2), (2, 3)), sources=(0,), sink=3)
    switches = SwitchGroup(graph, len(edges), 1)
    assert not switches.close(1)
    assert switches.is_open.all()


def test_gates_that_are_closed_stay_closed_and_feed_nothing():
    switches = group()
    switches.gamma = np.array([ON, OFF, ON, ON])
    switches.close()
    switches.update([np.full((1, 4), 4.0), np.full((1, 4), 2.0)], 1.0, "both")
    assert switches.gamma[1] == 0
    # The switch of a gate of 1 is 1 - 1 / h: 3/4 of gates and 1/2 of zero gates; of either two are on the path.
    assert switches.gamma[2] == pytest.approx(1 / (2 / 0.75 + 2 / 0.5))
    assert tuple(switches.is_open) == (True, False, True, True)
    np.testing.assert_array_equal(switches.products(switches.variables).numpy(), [[1, 0, 1, 1]])


def test_repeated_cells_count_as_one_cell_with_the_same_gates():
    once, often = group(1), group(3)
    weights, curvature = np.array([[0.9, 0.4, 0.7, 0.1]]), np.array([[3.0, 8.0, 1.0, 500.0]])
    for switches in (once, often):
        num_cells = switches.gates.shape[0]
        switches.gates.assign(np.repeat(weights, num_cells, axis=0))
        switches.update([np.repeat(curvature, num_cells, axis=0), np.ones((num_cells, 4))], 1.0, "none")
    np.testing.assert_allclose(often.gamma, once.gamma, atol=1e-12)
    assert once.gamma.any()


def test_a_gate_with_less_evidence_than_its_price_closes_whatever_its_size():
    for size, price in ((0.01, 1.0), (1.0, 0.02), (30.0, 1.0)):
        switches = group(2)
        switches.gates.assign(np.full((2, 4), size))
        evidence = np.array([[1.5, 0.9, 3.0, 0.8], [0.9, 0.9, 3.0, 0.8]])
        assert switches.update([price * evidence / size**2, np.full((2, 4), 100.0)], price, "none")
        assert tuple(switches.is_open) == (True, False, True, False)


def test_a_zero_gate_closes_all_operations_between_two_nodes():
    edges = (Edge(2, 0, "max3"), Edge(2, 0, "sep3"), Edge(2, 1, "max3"))
    switches = SwitchGroup(gate_graph(edges), 3, 1)
    switches.update([np.full((1, 3), 9.0), np.array([[0.9, 9.0]])], 1.0, "own_zero")
    assert tuple(switches.is_open) == (False, False, True)


def test_a_gate_that_the_data_say_nothing_about_stays_open():
    switches = group(2)
    curvature = np.array([[0.0, 0.0, 9.0, 9.0], [0.0, 0.9, 9.0, 9.0]])
    assert switches.update([curvature, np.full((2, 4), 100.0)], 1.0, "none")
    assert tuple(switches.is_open) == (True, False, True, True)


def test_the_share_of_inner_edges_that_stay_is_that_of_all_edges_where_evidence_does_not_depend_on_depth():
    edges = Genotype.complete(3).normal
    is_inner = np.array([edge.source >= NUM_INPUTS for edge in edges])
    draws, stays = np.random.default_rng(0), []
    for _ in range(60):
        switches = SwitchGroup(gate_graph(edges), len(edges), 1)
        evidence = [draws.lognormal(3, 1, (1, count)) for count in (len(edges), switches.pairs.max() + 1)]
        for most in (38, 23, 14, 8):
            switches.update(evidence, 1.0, "both", most)
        stays.append(is_inner[switches.is_open].mean())
    error = np.std(stays, ddof=1) / np.sqrt(len(stays))
    assert np.mean(stays) == pytest.approx(is_inner.mean(), abs=3 * error)


def test_the_last_path_is_the_strongest_however_deep_it_lies():
    graph = GateGraph(edges=((0, 1), (1, 2), (2, 3), (0, 3)), sources=(0,), sink=3)
    switches = SwitchGroup(graph, 4, 1, has_zero_gates=False)
    switches.update([np.array([[1.06, 1.06, 1.06, 1.05]])], 1.0, "both")  # all below the threshold
    assert tuple(switches.is_open) == (True, True, True, False)
    assert switches.was_readmitted
