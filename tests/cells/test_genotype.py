"""A genotype is data."""

import itertools
import json
from xml.etree import ElementTree

import pytest

from kgrow.cells.drawing import INPUTS, genotype_svg
from kgrow.cells.edges import gate_graph
from kgrow.cells.random_cells import random_genotype
from kgrow.graph.edge import Edge
from kgrow.graph.genotype import Genotype

SVG = "{http://www.w3.org/2000/svg}"


def test_it_survives_a_trip_through_json(varied_genotype):
    assert Genotype.from_json(json.loads(json.dumps(varied_genotype.to_json()))) == varied_genotype


def test_the_order_of_edges_makes_no_difference(varied_genotype):
    assert Genotype(varied_genotype.normal[::-1], varied_genotype.reduction) == varied_genotype


@pytest.mark.parametrize(
    "edges", [(), (Edge(2, 0, "max3"), Edge(2, 0, "max3")), (Edge(2, 0, "max3"), Edge(4, 3, "max3"))]
)
def test_edges_that_make_no_cell_are_refused(edges):
    with pytest.raises(ValueError, match="`reduction` must hold distinct edges"):
        Genotype((Edge(2, 0, "max3"),), edges)


def test_an_edge_reads_an_earlier_node():
    with pytest.raises(ValueError, match="`source` must be a node before"):
        Edge(2, 2, "max3")
    with pytest.raises(ValueError, match="`operation` must be one of"):
        Edge(2, 0, "sep")


def test_the_complete_genotype_has_all_operations_between_all_nodes():
    assert len(Genotype.complete(4).normal) == 14 * 7
    graph = gate_graph(Genotype.complete(2).normal)
    assert len(graph) == 5 * 7 + 2
    assert list(graph.predecessors[14]) == []  # from an input to the second node


def test_random_genotypes_have_the_wanted_size_and_follow_their_seed(small_stack, varied_genotype):
    wanted = small_stack.architecture(varied_genotype).params()
    drawn = [random_genotype(small_stack, 3, wanted, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(abs(small_stack.architecture(one).params() / wanted - 1) <= 0.05 for one in drawn)


def test_a_size_that_no_genotype_has_is_refused(small_stack):
    with pytest.raises(ValueError, match="`params` must be near"):
        random_genotype(small_stack, 1, 10, 0)


def test_the_picture_shows_every_edge_between_its_nodes(varied_genotype):
    cells = ElementTree.fromstring(genotype_svg(varied_genotype)).findall(f"{SVG}g")
    for cell, edges in zip(cells, (varied_genotype.normal, varied_genotype.reduction), strict=True):
        elements = list(cell)
        places = {
            (text.get("x"), str(int(text.get("y")) - 4)): text.text
            for box, text in itertools.pairwise(elements)
            if box.tag == f"{SVG}rect"
        }
        drawn = [
            (places[ends[0][1:], ends[1]], places[ends[4], ends[5]], label.text)
            for arc, label in itertools.pairwise(elements)
            if arc.tag == f"{SVG}path" and arc.get("stroke") == "#357"
            for ends in [arc.get("d").split()]
        ]
        named = [(INPUTS.get(edge.source, str(edge.source)), str(edge.target), edge.operation) for edge in edges]
        assert sorted(drawn) == sorted(named)
