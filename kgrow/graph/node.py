"""`Node`: an operator at its place in a network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from kgrow._checks import lookup
from kgrow._schema import decoded
from kgrow.graph.operators import OPERATORS, Operator, Shape

# The name of the network's input: the scaled image.
IMAGE = "image"


@dataclasses.dataclass(frozen=True)
class Node:
    """An operator that reads the outputs of other nodes.

    Args:
        name: Unique name in the network, such as `block_1/cell_4/first`; its weights are named after it.
        operator: Operator of the node.
        inputs: Names of the nodes that it reads, or `"image"`.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name or self.name == IMAGE or not self.inputs:
            raise ValueError(f"`name` must not be empty or {IMAGE!r}, and `inputs` not empty, but got {self}.")
        if len(self.inputs) > 1 and not self.operator.is_variadic:
            raise ValueError(
                f"`inputs` of {self.name} must be one, as {self.operator.kind} reads no more: {self.inputs}."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {"name": self.name, "operator": self.operator.to_json(), "inputs": list(self.inputs)}

    @staticmethod
    def from_json(value: Any, field: str) -> Node:
        """Rebuilds a node from `to_json`.

        Args:
            value: Value that a JSON parser returned.
            field: Position of the value in its document.

        Raises:
            ValueError: If a field is missing or wrong; the message names it.
        """
        decoded({"name": str, "operator": {"kind": str}, "inputs": [str]}, value, field)
        options = dict(value["operator"])
        operator = lookup(OPERATORS, options.pop("kind"), f"{field}.operator.kind")
        try:
            return Node(value["name"], decoded(operator, options, f"{field}.operator"), tuple(value["inputs"]))
        except ValueError as error:
            raise ValueError(f"`{field}` cannot be: {error}") from error


@dataclasses.dataclass(frozen=True)
class KernelNode:
    """The counts of a node with a kernel.

    Args:
        name: Name of the node.
        kernel_shape: Kernel shape: (height, width, in, out) of a convolution, where out is the multiplier of a
            depthwise one; (in, out) of a fully connected layer.
        positions: Number of uses of each connection per image.
        block_index: Index of its block.
        is_head: Whether only the block's own classifier needs it.
    """

    name: str
    kernel_shape: Shape
    positions: int
    block_index: int
    is_head: bool

    @property
    def kernel_params(self) -> int:
        """Number of prunable connections."""
        return math.prod(self.kernel_shape)


def weights_of(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the weights of a node by their own names.

    Args:
        name: Name of the node.
        state: Weights of a network, named `node/weight`.
    """
    return {weight: value for key, value in state.items() for node, _, weight in [key.rpartition("/")] if node == name}
