"""The operations of a linked cell: the one walk that searched and grown networks of such cells have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from kgrow.architecture.link import CONVOLUTIONS, NUM_INPUTS, PROJECTION, Link, Step, nodes_of, steps_of
from kgrow.architecture.operation import Operation, Shape, reduced


@dataclasses.dataclass(frozen=True)
class LinkedPlace:
    """A linked cell at its place in a network.

    Args:
        name: What the names of its operations start with.
        block_index: The block it belongs to.
        links: Between its nodes, sorted.
        filters: Channels of each node.
        stride: Of the links that read an input.
        size: (height, width) to which its inputs are brought.
        inputs: Per input that is read, as a node, the name of the operation that makes it and its shape.
    """

    name: str
    block_index: int
    links: tuple[Link, ...]
    filters: int
    stride: int
    size: tuple[int, int]
    inputs: Mapping[int, tuple[str, Shape]]

    def walk(self) -> Iterator[Operation]:
        """Yields its operations in the order the network runs them; the last one makes its output."""
        nodes: dict[int, Operation] = {}
        for target in nodes_of(self.links):
            incoming = [link for link in self.links if link.target == target]
            for place, link in enumerate(incoming):
                if link.source not in nodes:  # an input is read when it is wanted, as a device does it
                    nodes[link.source] = self._read(link.source)
                    yield nodes[link.source]
                made = list(self._linked(link, nodes[link.source]))
                yield from made
                summand = made[-1] if made else nodes[link.source]
                if place == 0:
                    nodes[target] = summand
                    continue
                # In pairs and at once: only two summands are in memory.
                name = sum_name(target, place, len(incoming))
                nodes[target] = self._joined(name, "add", (nodes[target], summand), self.filters)
                yield nodes[target]
        outputs = [nodes[target] for target in nodes_of(self.links)]
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

    def _linked(self, link: Link, source: Operation) -> Iterator[Operation]:
        stride = self.stride if link.source < NUM_INPUTS else 1
        steps = steps_of(link.operation, stride)
        return self._chain(link_name(self.name, link), source.name, source.output_shape, steps, (stride, stride))

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


def sum_name(node: int, place: int, num_links: int) -> str:
    """Returns what the sum of a node's first links is called by, in its cell.

    Args:
        node: The node.
        place: Of the last link that is added, from 1 on.
        num_links: Of the node; the sum of all of them has the node's own name.
    """
    return f"node_{node}" if place == num_links - 1 else f"node_{node}/{place - 1}"


def input_name(cell_name: str, node: int) -> str:
    """Returns what the layers are called by through which a cell reads an input."""
    return f"{cell_name}/input_{node}"


def link_name(cell_name: str, link: Link) -> str:
    """Returns what the layers of a link are called by."""
    return f"{cell_name}/{link.operation}_{link.source}_{link.target}"
