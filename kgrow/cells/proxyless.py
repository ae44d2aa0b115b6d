"""`TreeSpace`: tree cells that are searched separately, in the network in which they are used."""

from __future__ import annotations

import dataclasses
from typing import Any

from kgrow._keras import keras
from kgrow.cells.switches import SwitchGroup
from kgrow.cells.tree import TreeGenotype, TreeStack, names, tree_graph
from kgrow.cells.tree_network import tree_network


class TreeSpace:
    """A gate on every edge of every tree; a cell without leaves becomes its shortcut.

    Args:
        stack: Stack to search in and to use.
        seed: Random seed of the kernels.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, section 5.2.
    """

    def __init__(self, stack: TreeStack, seed: int = 0):
        self.stack, self.seed = stack, seed
        self.groups = [
            SwitchGroup(tree_graph(), len(names()), 1, has_zero_gates=False, keeps_path=False)
            for _ in range(sum(stack.blocks))
        ]

    def genotype(self) -> TreeGenotype:
        """Returns the edges whose gates are open."""
        return TreeGenotype(
            tuple(
                tuple(name for name, is_open in zip(names(), group.is_open, strict=True) if is_open)
                for group in self.groups
            )
        )

    def config(self) -> dict[str, Any]:
        """See `search.Space.config`."""
        return {"stack": dataclasses.asdict(self.stack), "seed": self.seed}

    def network(self, previous: keras.Model | None) -> keras.Model:
        """See `search.Space.network`."""
        network = tree_network(self.genotype(), self.stack, self.seed, gated=True)
        if previous is not None:
            for layer in network.layers:
                if layer.weights:
                    layer.set_weights(previous.get_layer(layer.name).get_weights())
        return network
