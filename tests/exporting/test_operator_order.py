"""Operations of a file in the order that needs less memory."""

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS
from kgrow.exporting.assembly import pack, parse
from kgrow.exporting.cost import arena_bytes
from kgrow.exporting.exporter import head_outputs
from kgrow.exporting.measure import open_interpreter
from kgrow.exporting.operator_order import in_order
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.edge import OPERATIONS, Edge
from kgrow.network import GrowingNetwork

OUTPUTS = [name for index in range(2) for name in head_outputs(index)]


@pytest.fixture(scope="module")
def model():
    """Two heads behind nodes of seven edges each."""
    edges = tuple(Edge(2, 0, name) for name in OPERATIONS)
    cells = [Cell("conv", 4), *(Cell("graph", 8, (number,), hidden_filters=8, edges=edges) for number in range(2))]
    blocks = (CellBlock(tuple(cells[:2]), Head(2)), CellBlock(tuple(cells[2:]), Head(2)))
    network = GrowingNetwork(of_cells((8, 8, 3), 3, Scaling((0.0,) * 3, (1.0,) * 3), blocks))
    return EXPORTERS["float32"].convert(network, (0, 1))


def shuffled(model):
    """The same model in the order in which what can run first does: all branches before any sum."""
    parsed = parse(model)
    (graph,) = parsed.subgraphs
    depth = {}
    for op in graph.operators:
        level = 1 + max((depth.get(int(tensor), 0) for tensor in op.inputs), default=0)
        depth |= {int(tensor): level for tensor in op.outputs}
    graph.operators.sort(key=lambda op: depth[int(op.outputs[0])])
    return pack(parsed)


def test_sums_are_made_when_they_can_be_and_answers_stay(model):
    worse = shuffled(model)
    better = in_order(worse, OUTPUTS)
    assert arena_bytes(better) < 0.8 * arena_bytes(worse)
    assert len(parse(better).subgraphs[0].operators) == len(parse(worse).subgraphs[0].operators)
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    runners = [open_interpreter(file).get_signature_runner("serving_default") for file in (worse, better)]
    for image in images:
        first, second = (runner(image=image[np.newaxis]) for runner in runners)
        assert all(np.array_equal(first[name], second[name]) for name in OUTPUTS)


def test_order_does_not_depend_on_that_of_the_converter(model):
    assert arena_bytes(in_order(shuffled(model), OUTPUTS)) == arena_bytes(in_order(model, OUTPUTS))
    assert in_order(model, OUTPUTS) == model
