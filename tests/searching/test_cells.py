"""Genotypes as a search space."""

import pytest

from kgrow.graph.edge import Edge
from kgrow.graph.genotype import Genotype
from kgrow.searching import Cells

BOTH, OLDER = (Edge(2, 0, "sep3"), Edge(3, 1, "max3")), (Edge(2, 1, "dil3"), Edge(3, 2, "identity"))


def built(genotype, blocks, **options):
    """Returns the architecture, and per cell the maps of other cells that it reads."""
    architecture = Cells(genotype, blocks, **options).build((32, 32, 3), 10)
    reads = {}
    for block in architecture.blocks:
        for node in block.nodes:
            cell = node.name.split("/")[1]
            reads.setdefault(cell, set()).update(name.split("/")[1] for name in node.inputs if name != "image")
    return architecture, {cell: sources - {cell} for cell, sources in reads.items()}


def test_cells_read_the_two_maps_before_them():
    architecture, reads = built(Genotype(BOTH, BOTH), ("N", "RN"), filters=8)
    assert list(reads.values()) == [set(), {"cell_0"}, {"cell_0", "cell_1"}, {"cell_1", "cell_2"}]
    shapes = [shape for name, shape in architecture.shapes.items() if name.count("/") == 2 and name.endswith("/relu")]
    assert shapes == [(16, 16, 16), (8, 8, 32), (8, 8, 32)]
    assert architecture.shapes["block_0/cell_0/first/relu"] == (16, 16, 24)


def test_a_cell_that_reads_the_older_map_alone_knows_it_as_its_only_input():
    architecture, reads = built(Genotype(OLDER, OLDER), ("N", "N"))
    assert list(reads.values()) == [set(), {"cell_0"}, {"cell_0"}]
    assert architecture.by_name["block_0/cell_1/input_0/0"].operator.strides == (1, 1)
    assert "block_0/cell_1/dil3_0_2/0" in architecture.by_name


def test_cells_that_nothing_reads_are_left_out():
    architecture, reads = built(Genotype(OLDER, OLDER), ("N", "RN"))  # the reduction is read by none
    assert list(reads.values()) == [set(), {"cell_0"}, {"cell_1"}]
    assert architecture.by_name["block_1/cell_2/input_0/0"].operator.strides == (2, 2)
    assert architecture.shapes["block_1/cell_2/input_0/0"] == (8, 8, 32)


@pytest.mark.parametrize("blocks", [(), ("",), ("N", "X"), ("N", ""), "NRN"], ids=str)
def test_blocks_are_letters(blocks):
    with pytest.raises(ValueError, match="`blocks` must hold a text of the letters N and R per block"):
        Cells(blocks=blocks)


@pytest.mark.parametrize("nodes", [(2, "0"), ("2", 0), (2, True), (2, 0.0), (2, -1), (2, 2), (1, 0)], ids=str)
def test_an_edge_joins_numbered_nodes(nodes):
    with pytest.raises(ValueError, match="`source` must be a node before `target`"):
        Edge(*nodes, "sep3")
