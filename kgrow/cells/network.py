"""The network of a genotype in a stack, with or without gates on its edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kgrow._keras import keras
from kgrow.cells.stack import Stack
from kgrow.graph import IMAGE
from kgrow.graph.edge import Edge
from kgrow.graph.genotype import KINDS, Genotype
from kgrow.graph.genotype_cell import gated_name
from kgrow.network import GrowingNetwork


class CellNetwork(keras.Model):
    """A network of one head; with gates, what each edge of each cell makes is normalized and multiplied by one.

    It maps raw pixels (batch, height, width, channels) to logits (batch, classes). With gates, its inputs are a list of
    these pixels and, for each kind of cell, the gates (batch or 1, cells, gates).

    Args:
        stack: Network around the cells.
        genotype: Edges of the cells.
        seed: Random seed of the kernels; each depends only on the seed and its name.
        columns: Edges of each kind in the order of the gates, of which the genotype may have lost some; None for a
            network without gates.
    """

    def __init__(
        self, stack: Stack, genotype: Genotype, seed: int = 0, columns: Mapping[str, Sequence[Edge]] | None = None
    ):
        super().__init__(name="cell_network")
        self.body = GrowingNetwork(stack.architecture(genotype, is_gated=columns is not None), seed=seed)
        # By the name of a node: the kind, the row of the cell and the column of its gate.
        self._places = {}
        if columns is not None:
            for kind, cell in ((list(KINDS.values()).index(cell.kind), cell) for cell in stack.used_places(genotype)):
                for edge in genotype.edges(cell.kind):
                    name = gated_name(f"cell_{cell.number}", edge)
                    self._places[name] = kind, cell.repeat, list(columns[cell.kind]).index(edge)
        self.built = True

    def call(self, inputs: Any, training: Any = None) -> Any:
        """See `CellNetwork`."""
        images, *gates = inputs if self._places else [inputs]
        (block,) = self.body.blocks

        def gated(node: Any, maps: Sequence[Any], compute: Any) -> Any:
            made = compute(maps)
            if node.name not in self._places:
                return made
            kind, row, column = self._places[node.name]
            return made * gates[kind][:, row, column, None, None, None]

        return block.forward({IMAGE: self.body.scale(images)}, bool(training), gated)[block.nodes[-1].name]
