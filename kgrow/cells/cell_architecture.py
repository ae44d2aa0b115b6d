"""`CellArchitecture`: a network of cells as data, of which the Keras model is an interpreter."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kgrow.architecture import Countable, Operation, Scaling
from kgrow.architecture.operations import IMAGE
from kgrow.cells.genotype import NUM_INPUTS, Genotype
from kgrow.cells.operations import CONVOLUTIONS, PROJECTION, Step, steps_of
from kgrow.cells.stack import PlacedCell, Shape, Stack


@dataclasses.dataclass(frozen=True)
class CellArchitecture(Countable):
    """A genotype in a stack: everything needed to rebuild a network, and to count it without building it.

    Args:
        stack: Around the cells.
        genotype: Of all cells.
    """

    stack: Stack
    genotype: Genotype

    @property
    def input_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(height, width, channels) of the raw image."""
        return self.stack.input_shape

    @functools.cached_property
    def cells(self) -> tuple[PlacedCell, ...]:
        """The cells in order, without those that neither the output nor a later cell needs.

        If all cells read node 1 only, every other one is of no use.
        """
        placed = self.stack.places()
        used = {len(placed)}
        for cell in reversed(placed):
            if cell.number in used:
                reads = {link.source for link in self.genotype.links(cell.kind)}
                used |= {cell.inputs[node] for node in range(NUM_INPUTS) if node in reads}
        return tuple(cell for cell in placed if cell.number in used)

    @functools.cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation with an output of its own, in the order the network runs them; kernels are named as layers.

        Their block is the number of their cell: 0 is the stem, and the last one has the logits.
        """
        found = list(self._stem())
        maps = {0: found[-1]}
        for cell in self.cells:
            made, maps[cell.number] = _cell_operations(cell, self.genotype, maps)
            found += made
        return (*found, *self._classifier(maps[len(self.stack.cells)]))

    def macs(self) -> int:
        """Counts the multiply-accumulates of convolutions and of the Dense layer, for one image."""
        return sum(op.kernel_size * op.positions for op in self.operations)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_json` gives back an equal value."""
        return {"stack": dataclasses.asdict(self.stack), "genotype": self.genotype.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> CellArchitecture:
        """Rebuilds an architecture from `to_json`, also after a trip through a file."""
        stack = dict(value["stack"])
        height, width, channels = stack.pop("input_shape")
        scaling = stack.pop("scaling")
        scaling = Scaling(tuple(scaling["mean"]), tuple(scaling["std"]))
        return CellArchitecture(
            Stack(input_shape=(height, width, channels), scaling=scaling, **stack),
            Genotype.from_json(value["genotype"]),
        )

    def _stem(self) -> Iterator[Operation]:
        height, width, channels = self.input_shape
        filters = 3 * self.stack.filters
        yield Operation("scale", 0, (IMAGE,), self.input_shape)
        shape = _reduced((height, width, filters), self.stack.stem_stride)
        yield Operation("stem/0", 0, ("scale",), shape, (3, 3, channels, filters), filters)

    def _classifier(self, last: Operation) -> Iterator[Operation]:
        block, (_, _, channels), classes = len(self.stack.cells), last.output_shape, self.stack.num_classes
        yield Operation("relu", block, (last.name,), last.output_shape)
        yield Operation("pool", block, ("relu",), (1, 1, channels))
        yield Operation("logits", block, ("pool",), (1, 1, classes), (channels, classes), other_params=classes)


def link_name(cell: PlacedCell, source: int, target: int, operation: str) -> str:
    """Returns what the layers of a link are called by."""
    return f"cell_{cell.number}/{operation}_{source}_{target}"


def _reduced(shape: Shape, stride: int) -> Shape:
    return -(-shape[0] // stride), -(-shape[1] // stride), shape[2]


def _cell_operations(
    cell: PlacedCell, genotype: Genotype, maps: Mapping[int, Operation]
) -> tuple[list[Operation], Operation]:
    """Returns the operations of a cell, and the one that makes its output."""
    links = genotype.links(cell.kind)
    found: list[Operation] = []
    nodes: dict[int, Operation] = {}
    for node in sorted({link.source for link in links if link.source < NUM_INPUTS}):
        name = f"cell_{cell.number}/input_{node}"
        found += _chain(name, cell, maps[cell.inputs[node]], PROJECTION, cell.input_strides[node])
        nodes[node] = found[-1]
    for target in genotype.nodes(cell.kind):
        summands = []
        for link in (link for link in links if link.target == target):
            stride = cell.stride if link.source < NUM_INPUTS else 1
            name = link_name(cell, link.source, target, link.operation)
            made = list(_chain(name, cell, nodes[link.source], steps_of(link.operation, stride), stride))
            found += made
            summands.append(made[-1] if made else nodes[link.source])
        nodes[target] = _joined(f"cell_{cell.number}/node_{target}", cell, summands, summands[0].output_shape, found)
    outputs = [nodes[target] for target in genotype.nodes(cell.kind)]
    height, width, channels = outputs[0].output_shape
    shape = (height, width, channels * len(outputs))
    return found, _joined(f"cell_{cell.number}/output", cell, outputs, shape, found)


def _joined(name: str, cell: PlacedCell, parts: Sequence[Operation], shape: Shape, found: list[Operation]) -> Operation:
    """Returns what makes one map of several and notes it in `found`; a single one is that map."""
    if len(parts) == 1:
        return parts[0]
    found.append(Operation(name, cell.number, tuple(part.name for part in parts), shape))
    return found[-1]


def _chain(name: str, cell: PlacedCell, source: Operation, steps: tuple[Step, ...], stride: int) -> Iterator[Operation]:
    for index, step in enumerate(steps):
        label = f"{name}/{index}"
        if step.starts:  # the map before it may have other readers
            source = Operation(f"{label}/relu", cell.number, (source.name,), source.output_shape)
            yield source
        channels = source.output_shape[2]
        shape = _reduced((*source.output_shape[:2], cell.filters), stride if index == 0 else 1)
        sides = (step.side, step.side)
        kernels = {"conv": (*sides, channels, cell.filters), "depthwise": (*sides, channels, 1)}
        kernel = kernels[step.kind] if step.kind in CONVOLUTIONS else ()
        source = Operation(label, cell.number, (source.name,), shape, kernel, cell.filters if step.ends else 0)
        yield source
