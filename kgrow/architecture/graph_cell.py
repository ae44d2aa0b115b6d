"""The operations of a graph cell: the one walk that searched and grown networks of such cells have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from kgrow.architecture.edge import CONVOLUTIONS, NUM_INPUTS, PROJECTION, Edge, Step, nodes_of, steps_of
from kgrow.architecture.operation import Operation, Shape, reduced


@dataclasses.dataclass(frozen=True)
class GraphPlace:
    """A graph cell at its place in a network.

    Args:
        name: What the names of its operations start with.
        block_index: The block it belongs to.
        edges: Between its nodes, sorted.
        filters: Channels of each node.
        stride: Of the edges that read an input.
        size: (height, width) to which its inputs are brought.
        inputs: Per input that is read, as a node, the name of the operation that makes it and its shape.
    """

    name: str
    block_index: int
    edges: tuple[Edge, ...]
    filters: int
    stride: int
    size: tuple[int, int]
    inputs: Mapping[int, tuple[str, Shape]]

    def walk(self) -> Iterator[Operation]:
        """Yields its operations in the order the network runs them; the last one makes its output."""
        nodes: dict[int, Operation] = {}
        for target in nodes_of(self.edges):
            incoming = [edge for edge in self.edges if edge.target == target]
            for place, edge in enumerate(incoming):
                if edge.source not in nodes:  # an input is read when it is wanted, as a device does it
                    nodes[edge.source] = self._read(edge.source)
                    yield nodes[edge.source]
                made = list(self._along(edge, nodes[edge.source]))
                yield from made
                summand = made[-1] if made else nodes[edge.source]
                if place == 0:
                    nodes[target] = summand
                    continue
                # In pairs and at once: only two summands are in memory.
                name = sum_name(target, place, len(incoming))
                nodes[target] = self._joined(name, "add", (nodes[target], summand), self.filters)
                yield nodes[target]
        outputs = [nodes[target] for target in nodes_of(self.edges)]
        if len(outputs) > 1:
            outputs = [self._joined("output", "concat", outputs, self.filters * len(outputs))]
            yield outputs[0]
        yield self._joined("relu", "relu", outputs, outputs[0].output_shape[2])

    def _read(self, node: int) -> Operation:
        source, shape = self.inputs[node]
        strides = tuple(reduced(side, wanted) for side, wanted in zip(shape[:2], self.size, strict=True))
        (projection,) = self._chain(input_name(self.name, node), source, shape, PROJECTION, strides)
        return projection

    def _joined(self, name: str, kind: str, parts: Sequence[Operation], channels: int) -> Operation:
        shape = (*parts[0].output_shape[:2], channels)
        return Operation(f"{self.name}/{name}", kind, self.block_index, tuple(part.name for part in parts), shape)

    def _along(self, edge: Edge, source: Operation) -> Iterator[Operation]:
        stride = self.stride if edge.source < NUM_INPUTS else 1
        steps = steps_of(edge.operation, stride)
        return self._chain(edge_name(self.name, edge), source.name, source.output_shape, steps, (stride, stride))

    def _chain(
        self, name: str, source: str, shape: Shape, steps: Sequence[Step], strides: tuple[int, ...]
    ) -> Iterator[Operation]:
        for index, step in enumerate(steps):
            label = f"{name}/{index}"
            if step.starts:  # the map before it may have other readers
                yield Operation(f"{label}/relu", "relu", self.block_index, (source,), shape)
                source = f"{label}/relu"
            height, width = strides if index == 0 else (1, 1)
            window = (step.side, step.side)
            kernels = {"conv": (*window, shape[2], self.filters), "depthwise": (*window, shape[2], 1)}
            shape = (reduced(shape[0], height), reduced(shape[1], width), self.filters)
            yield Operation(
                label,
                step.kind,
                self.block_index,
                (source,),
                shape,
                kernel_shape=kernels[step.kind] if step.kind in CONVOLUTIONS else (),
                norm_channels=self.filters if step.ends else 0,
                window=window,
                strides=(height, width),
                dilation=step.dilation,
            )
            source = label


def sum_name(node: int, place: int, num_edges: int) -> str:
    """Returns what the sum of a node's first edges is called by, in its cell.

    Args:
        node: The node.
        place: Of the last edge that is added, from 1 on.
        num_edges: Of the node; the sum of all of them has the node's own name.
    """
    return f"node_{node}" if place == num_edges - 1 else f"node_{node}/{place - 1}"


def input_name(cell_name: str, node: int) -> str:
    """Returns what the layers are called by through which a cell reads an input."""
    return f"{cell_name}/input_{node}"


def edge_name(cell_name: str, edge: Edge) -> str:
    """Returns what the layers of an edge are called by."""
    return f"{cell_name}/{edge.operation}_{edge.source}_{edge.target}"
