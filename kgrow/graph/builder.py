"""`Builder`: appends nodes one by one and computes their shapes."""

from __future__ import annotations

from collections.abc import Sequence

from kgrow.graph.node import IMAGE, Node
from kgrow.graph.operators import (
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    MaxPool,
    MixedPool,
    Operator,
    ReLU,
    Shape,
)
from kgrow.graph.operators.sides import reduced


class Builder:
    """A list of nodes to which cells and heads append.

    Args:
        input_shape: Shape of the image, (height, width, channels).

    Attributes:
        nodes: Nodes appended since the last `take`.
        shapes: Shape of each named node, `"image"` included.
    """

    def __init__(self, input_shape: Shape):
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {IMAGE: input_shape}

    def add(self, name: str, operator: Operator, *inputs: str) -> str:
        """Appends a node and returns its name."""
        self.nodes.append(Node(name, operator, inputs))
        self.shapes[name] = operator.output_shape(*(self.shapes[source] for source in inputs))
        return name

    def take(self) -> tuple[Node, ...]:
        """Returns the appended nodes and starts a new list."""
        taken, self.nodes = tuple(self.nodes), []
        return taken

    def conv(
        self,
        name: str,
        source: str,
        filters: int,
        side: int,
        strides: tuple[int, int] = (1, 1),
        *,
        dilation: int = 1,
    ) -> str:
        """Appends a convolution without a bias."""
        return self.add(name, Conv((side, side), strides, filters=filters, dilation=dilation), source)

    def norm(self, name: str, source: str) -> str:
        """Appends the normalization `NAME/norm`."""
        return self.add(f"{name}/norm", BatchNorm(), source)

    def conv_norm(
        self,
        name: str,
        source: str,
        filters: int,
        side: int,
        strides: tuple[int, int] = (1, 1),
        *,
        relu: bool = False,
    ) -> str:
        """Appends a convolution without a bias, its normalization and, if requested, ReLU."""
        last = self.norm(name, self.conv(name, source, filters, side, strides))
        return self.add(f"{name}/relu", ReLU(), last) if relu else last

    def depthwise(self, name: str, source: str, side: int, stride: int) -> str:
        """Appends a depthwise convolution without a bias."""
        return self.add(name, DepthwiseConv((side, side), (stride, stride)), source)

    def pool(self, name: str, kind: str, source: str, window: tuple[int, int], strides: tuple[int, int]) -> str:
        """Appends a pool, `"max"` or `"average"`, whose padding does not count."""
        return self.add(name, {"max": MaxPool, "average": AveragePool}[kind](window, strides), source)

    def pooled_to(self, name: str, source: str, size: tuple[int, int]) -> str:
        """Appends an average pool that reduces a map to a size, unless it already has this size."""
        window = self.steps_to(source, size)
        return source if window == (1, 1) else self.pool(name, "average", source, window, window)

    def steps_to(self, source: str, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the strides in height and width that reduce a map to a size.

        Raises:
            ValueError: If there are no such strides.
        """
        sides = self.shapes[source][:2]
        height, width = (reduced(side, wanted) for side, wanted in zip(sides, size, strict=True))
        if (reduced(sides[0], height), reduced(sides[1], width)) != size:
            raise ValueError(f"a whole stride must bring {source}, {sides[0]}x{sides[1]}, to {size[0]}x{size[1]}")
        return height, width

    def joined(self, name: str, operator: Add | Concat, parts: Sequence[str]) -> str:
        """Appends a sum or a concatenation, unless there is only one part."""
        return self.add(name, operator, *parts) if len(parts) > 1 else parts[0]

    def relu(self, name: str, source: str) -> str:
        """Appends ReLU."""
        return self.add(name, ReLU(), source)

    def head(self, name: str, source: str, grid: int, num_classes: int) -> None:
        """Appends an internal classifier: mixed pooling to about `grid` positions a side, then a fully connected layer.

        The window is `floor(side / grid)` (the rule of Shallow-Deep Networks for a grid of 4); sides shorter than twice
        the grid are not pooled.
        """
        height, width, _ = self.shapes[source]
        window = (max(1, height // grid), max(1, width // grid))
        if (height // window[0], width // window[1]) != (height, width):
            source = self.add(f"{name}/mixing", MixedPool(window, window, "valid"), source)
        flat = self.add(f"{name}/flatten", Flatten(), source)
        self.add(f"{name}/dense", Dense(num_classes), flat)
