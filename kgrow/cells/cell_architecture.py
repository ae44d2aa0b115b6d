"""`CellArchitecture`: a network of cells as data, of which the Keras model is an interpreter."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from kgrow.architecture import Countable, Operation, Scaling
from kgrow.architecture.edge import inputs_of
from kgrow.architecture.genotype import Genotype
from kgrow.architecture.graph_cell import GraphPlace
from kgrow.architecture.operation import IMAGE, reduced
from kgrow.cells.stack import PlacedCell, Stack


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

    @property
    def num_classes(self) -> int:  # type: ignore[override]
        """Number of logits."""
        return self.stack.num_classes

    @property
    def scaling(self) -> Scaling:  # type: ignore[override]
        """Scaling of raw pixels inside the network."""
        return self.stack.scaling

    @functools.cached_property
    def cells(self) -> tuple[PlacedCell, ...]:
        """The cells in order, without those that neither the output nor a later cell needs.

        If all cells read node 1 only, every other one is of no use.
        """
        placed = self.stack.places()
        used = {len(placed)}
        for cell in reversed(placed):
            if cell.number in used:
                used |= {cell.inputs[node] for node in inputs_of(self.genotype.edges(cell.kind))}
        return tuple(cell for cell in placed if cell.number in used)

    @functools.cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation with an output of its own, in the order the network runs them; kernels are named as layers.

        Their block is the number of their cell: 0 is the stem, and the last one has the logits.
        """
        found = list(self._stem())
        maps = {0: found[-1]}
        for cell in self.cells:
            found += _placed(cell, self.genotype, maps).walk()
            maps[cell.number] = found[-1]
        return (*found, *self._classifier(found[-1]))

    def macs(self) -> int:
        """Counts the multiply-accumulates of convolutions and of the Dense layer, for one image."""
        return sum(op.kernel_params * op.positions for op in self.operations)

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
        filters, stride = 3 * self.stack.filters, self.stack.stem_stride
        yield Operation("scale", "scale", 0, (IMAGE,), self.input_shape)
        yield Operation(
            "stem/0",
            "conv",
            0,
            ("scale",),
            (reduced(height, stride), reduced(width, stride), filters),
            kernel_shape=(3, 3, channels, filters),
            norm_channels=filters,
            strides=(stride, stride),
            relu=True,
        )

    def _classifier(self, last: Operation) -> Iterator[Operation]:
        block, (height, width, channels), classes = len(self.stack.cells), last.output_shape, self.stack.num_classes
        yield Operation("pool", "average", block, (last.name,), (1, 1, channels), window=(height, width))
        shape = (channels, classes)
        yield Operation("logits", "dense", block, ("pool",), (1, 1, classes), kernel_shape=shape, other_params=classes)


def _placed(cell: PlacedCell, genotype: Genotype, maps: Mapping[int, Operation]) -> GraphPlace:
    edges = genotype.edges(cell.kind)
    inputs = {node: (maps[cell.inputs[node]].name, maps[cell.inputs[node]].output_shape) for node in inputs_of(edges)}
    node, (_, (height, width, _)) = next(iter(inputs.items()))
    stride = cell.input_strides[node]
    size = (reduced(height, stride), reduced(width, stride))
    return GraphPlace(f"cell_{cell.number}", cell.number, edges, cell.filters, cell.stride, size, inputs)
