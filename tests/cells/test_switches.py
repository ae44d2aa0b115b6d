"""Gates close by their gamma, and what is cut off closes with them."""

import numpy as np
import pytest

from kgrow.cells.genotype import Link, gate_graph
from kgrow.cells.switches import SwitchGroup

# Two links into node 2, one from it into node 3, one from an input into node 3.
LINKS = (Link(2, 0, "max3"), Link(2, 1, "sep3"), Link(3, 2, "avg3"), Link(3, 0, "sep5"))
OFF, ON = 0.05, 0.5


def group(num_cells=1, **options):
    return SwitchGroup(gate_graph(LINKS), len(LINKS), num_cells, **options)


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
    switches.gamma = np.array(gamma)
    assert switches.close() == (not all(kept))
    assert tuple(switches.is_open) == kept
    assert switches.was_readmitted == readmitted


def test_a_cell_that_need_not_keep_a_path_can_lose_all():
    switches = group(is_anchored=False)
    switches.gamma = np.full(4, OFF)
    assert switches.close()
    assert not switches.is_open.any()
    assert not switches.was_readmitted


def test_gates_that_are_closed_stay_closed_and_feed_nothing():
    switches = group()
    switches.gamma = np.array([ON, OFF, ON, ON])
    switches.close()
    switches.update([np.ones((1, 4)), np.ones((1, 4))], "both")
    assert switches.gamma[1] == 0
    # h = w = 1: s = sqrt(1 + gamma), with gamma 1/2 of gates and 1 of zero gates; of either two are on the path.
    assert switches.gamma[2] == pytest.approx(1 / (2 / np.sqrt(1.5) + 2 / np.sqrt(2)))
    assert tuple(switches.is_open) == (True, False, True, True)
    np.testing.assert_array_equal(switches.products(switches.variables).numpy(), [[1, 0, 1, 1]])


def test_repeated_cells_count_as_one_cell_with_the_same_gates():
    once, often = group(1), group(3)
    weights, curvature = np.array([[0.9, 0.4, 0.7, 0.1]]), np.array([[0.3, 2.0, 1.0, 5.0]])
    for switches in (once, often):
        num_cells = switches.gates.shape[0]
        switches.gates.assign(np.repeat(weights, num_cells, axis=0))
        switches.update([np.repeat(curvature, num_cells, axis=0), np.ones((num_cells, 4))], "none")
    np.testing.assert_allclose(often.gamma, once.gamma)  # the square roots of the number of cells cancel


def test_the_penalty_closes_a_gate_in_all_cells_at_once():
    switches = group(2, is_anchored=False)
    switches.gates.assign([[0.3, 0.01, 1, 1], [0.4, 0.02, 1, 1]])
    switches.shrink(0.1)
    np.testing.assert_allclose(switches.gates.numpy()[:, :2], [[0.24, 0], [0.32, 0]], rtol=1e-6)


def test_the_largest_gate_into_a_node_stays_at_one():
    switches = group(2)
    switches.gates.assign([[1, 0.6, 0.2, 0.4], [0.3, 0.5, 1, 0.9]])
    for _ in range(3):
        switches.shrink(0.01)
    gates = switches.gates.numpy()
    np.testing.assert_allclose([gates[:, :2].max(axis=1), gates[:, 2:].max(axis=1)], 1, rtol=1e-6)
    np.testing.assert_allclose(switches.zero_gates.numpy().max(axis=0), 1, rtol=1e-6)
    assert gates[0, 1] < 0.6
    switches.shrink(10)
    np.testing.assert_array_equal(switches.gates.numpy(), gates)
    assert gates[0, 2] / gates[0, 3] < 0.5  # what is smaller loses more


def test_a_zero_gate_closes_all_operations_between_two_nodes():
    links = (Link(2, 0, "max3"), Link(2, 0, "sep3"), Link(2, 1, "max3"))
    switches = SwitchGroup(gate_graph(links), 3, 1)
    switches.zero_gates.assign([[1e-3, 1]])
    switches.update([np.ones((1, 3)), np.ones((1, 2))], "own_zero")
    assert tuple(switches.is_open) == (False, False, True)
