"""`ProxySpace`: gated normal and reduction cells that are searched in one stack and used in any other."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kgrow.cells.edges import gate_graph
from kgrow.cells.network import CellNetwork
from kgrow.cells.stack import Stack
from kgrow.cells.switches import SwitchGroup
from kgrow.graph.genotype import KINDS, Genotype
from kgrow.graph.genotype_cell import input_name


class ProxySpace:
    """All operations between all nodes; the gates of an edge form a group over the cells of a kind.

    Args:
        stack: Stack to search in.
        num_nodes: Number of nodes of a cell, without its inputs; 4 in the source.
        seed: Random seed of the kernels.
    """

    def __init__(self, stack: Stack, num_nodes: int = 3, seed: int = 0):
        self.stack, self.num_nodes, self.seed = stack, num_nodes, seed
        complete = Genotype.complete(num_nodes)
        self.columns = {kind: complete.edges(kind) for kind in KINDS.values()}
        self.groups = [
            SwitchGroup(gate_graph(edges), len(edges), stack.repeats(kind)) for kind, edges in self.columns.items()
        ]
        self._built = complete

    def genotype(self) -> Genotype:
        """Returns the edges whose gates are open."""
        kept = [
            tuple(edge for edge, is_open in zip(edges, group.is_open, strict=True) if is_open)
            for edges, group in zip(self.columns.values(), self.groups, strict=True)
        ]
        return Genotype(*kept)

    def config(self) -> dict[str, Any]:
        """See `search.Space.config`."""
        return {"stack": dataclasses.asdict(self.stack), "num_nodes": self.num_nodes, "seed": self.seed}

    def network(self, previous: CellNetwork | None) -> CellNetwork:
        """See `search.Space.network`."""
        genotype = self.genotype()
        network = CellNetwork(self.stack, genotype, self.seed, self.columns)
        if previous is not None:
            self._carry_over(previous, network, genotype)
        self._built = genotype
        return network

    def _carry_over(self, previous: CellNetwork, network: CellNetwork, genotype: Genotype) -> None:
        """Copies weights; a layer that reads a cell with fewer nodes has fewer input channels."""
        readers = {"logits": len(self.stack.cells)}
        for cell in self.stack.used_places(genotype):
            for node, number in enumerate(cell.inputs):
                readers[f"{input_name(f'cell_{cell.number}', node)}/0"] = number
        before = previous.body.state()
        state = {name: before[name] for name in network.body.named_variables()}
        for name, number in readers.items():
            for weight in (f"{name}/kernel", f"{name}/mask"):
                if number and weight in state:
                    kind = KINDS[self.stack.cells[number - 1]]
                    kept = self._kept_channels(kind, genotype, state[weight].shape[-2])
                    state[weight] = state[weight][..., kept, :]
        network.body.load_state(state)

    def _kept_channels(self, kind: str, genotype: Genotype, num_channels: int) -> np.ndarray:
        nodes = self._built.nodes(kind)
        is_kept = np.isin(nodes, genotype.nodes(kind))
        return np.repeat(is_kept, num_channels // len(nodes))
