"""Genotypes as a search space."""

import pytest

from kgrow.graph.edge import Edge
from kgrow.graph.genotype import Genotype
from kgrow.searching import Cells

BOTH, OLDER = (Edge(2, 0, "sep3"), Edge(3, 1, "max3")), (Edge(2, 1, "dil3"), Edge(3, 2, "identity"))


def cells_of(genotype, blocks, **options):
    return Cells(genotype, blocks, **options).build((32, 32, 3), 10).cells


def test_cells_read_the_two_maps_before_them():
    stem, first, second, third = cells_of(Genotype(BOTH, BOTH), ("N", "RN"), filters=8)
    assert (stem.filters, stem.stride) == (24, 2)
    assert [cell.inputs for cell in (first, second, third)] == [(0, 0), (0, 1), (1, 2)]
    assert [(cell.hidden_filters, cell.filters, cell.stride) for cell in (first, second, third)] == [
        (8, 16, 1),
        (16, 32, 2),
        (16, 32, 1),
    ]


def test_a_cell_that_reads_the_older_map_alone_knows_it_as_its_only_input():
    _, first, second = cells_of(Genotype(OLDER, OLDER), ("N", "N"))
    assert [cell.inputs for cell in (first, second)] == [(0,), (0,)]
    assert [edge.source for edge in first.edges] == [0, 2]
    assert (first.input_stride, second.input_stride) == (1, 1)


def test_cells_that_nothing_reads_are_left_out():
    _, first, last = cells_of(Genotype(OLDER, OLDER), ("N", "RN"))  # the reduction is read by none
    assert [cell.inputs for cell in (first, last)] == [(0,), (1,)]
    assert (last.stride, last.input_stride, last.hidden_filters) == (1, 2, 2 * first.hidden_filters)


@pytest.mark.parametrize("blocks", [(), ("",), ("N", "X"), ("N", ""), "NRN"], ids=str)
def test_blocks_are_letters(blocks):
    with pytest.raises(ValueError, match="`blocks` must hold a text of the letters N and R per block"):
        Cells(blocks=blocks)


@pytest.mark.parametrize("nodes", [(2, "0"), ("2", 0), (2, True), (2, 0.0), (2, -1), (2, 2), (1, 0)], ids=str)
def test_an_edge_joins_numbered_nodes(nodes):
    with pytest.raises(ValueError, match="`source` must be a node before `target`"):
        Edge(*nodes, "sep3")
