"""`Graph`: a small network with individually known operations, as the Hessian recursion needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgrow.bayes.curvature import ForwardPass
from kgrow.bayes.nodes import Node


class Graph:
    """A `Model` made of nodes in execution order; each node reads the one before it unless it names other inputs.

    Args:
        nodes: One or more nodes. Each parameter belongs to one node: a gate that is repeated is one parameter per
            place, and these are pruned as a group.
        heads: Values that are outputs: 0 is the input, i the output of the i-th node; None for the last one.

    Raises:
        ValueError: If a node reads a value that is not made before it, or two nodes share a parameter.
    """

    def __init__(self, nodes: Sequence[Node], heads: Sequence[int] | None = None):
        self.nodes = tuple(nodes)
        self.heads = tuple(heads or (len(self.nodes),))
        self.sources = [node.inputs or (index,) for index, node in enumerate(self.nodes)]
        for index, sources in enumerate(self.sources):
            if not all(0 <= source <= index for source in sources):
                raise ValueError(f"`inputs` of node {index + 1} must be in [0, {index}], but got {sources}.")
        if len({id(parameter) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError("`nodes` must not share a parameter, but two do. Give each place its own, and group them.")

    @property
    def parameters(self) -> list[Any]:
        """The variables, in the order of their nodes."""
        return [node.parameter for node in self.nodes if node.parameter is not None]

    def __call__(self, inputs: Any) -> tuple[Any, ...]:
        """Returns the outputs of all heads."""
        return tuple(self.run(inputs).outputs)

    def run(self, inputs: Any) -> ForwardPass:
        """See `Model.run`."""
        values, probes = self._forward(inputs)
        return ForwardPass([values[head] for head in self.heads], probes)

    def values(self, inputs: Any) -> list[Any]:
        """Returns the input and the output of every node."""
        return self._forward(inputs)[0]

    def _forward(self, inputs: Any) -> tuple[list[Any], list[Any]]:
        values, probes = [inputs], []
        for node, sources in zip(self.nodes, self.sources, strict=True):
            output, probe = node.forward(*(values[source] for source in sources))
            values.append(output)
            if probe is not None:
                probes.append(probe)
        return values, probes
