"""`Stack`: how often and how wide cells are repeated, and what a genotype costs in it, without building anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from kgrow._checks import check_positive_int
from kgrow.architecture import Operation, Scaling
from kgrow.cells.genotype import KINDS, NUM_INPUTS, Genotype
from kgrow.cells.operations import CONVOLUTIONS, PROJECTION, Step, steps_of

Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class PlacedCell:
    """A cell at its place.

    Args:
        number: From 1 on; map 0 is that of the stem, and map k that of cell k.
        kind: `"normal"` or `"reduction"`.
        repeat: How many cells of this kind come before it.
        filters: Channels of each node.
        inputs: Numbers of the maps that are nodes 0 and 1.
        input_strides: That bring the two to one resolution, as the map before a reduction has twice that after it.
    """

    number: int
    kind: str
    repeat: int
    filters: int
    inputs: tuple[int, int]
    input_strides: tuple[int, int]

    @property
    def stride(self) -> int:
        """Of the links that read an input."""
        return 2 if self.kind == "reduction" else 1


@dataclasses.dataclass(frozen=True)
class Stack:
    """The network around cells: a stem, cells, the mean over positions and a Dense layer.

    The default is small enough for two CPU cores. The source searches `"NNRNNRNN"` of 36 filters without `stem_stride`.

    Args:
        input_shape: (height, width, channels) of the raw image.
        num_classes: Logits.
        scaling: Applied to raw pixels inside the network.
        cells: One letter per cell, N or R.
        filters: Of the nodes of the first cell; a reduction doubles them. The stem has three times as many.
        stem_stride: Of the 3x3 convolution at the beginning.
    """

    input_shape: Shape
    num_classes: int
    scaling: Scaling
    cells: str = "NRNRN"
    filters: int = 8
    stem_stride: int = 2

    def __post_init__(self) -> None:
        for name in ("num_classes", "filters", "stem_stride"):
            check_positive_int(getattr(self, name), name)
        if not self.cells or set(self.cells) - set(KINDS):
            raise ValueError(f"`cells` must be a text of the letters N and R such as 'NNRN', but got {self.cells!r}.")

    def repeats(self, kind: str) -> int:
        """Returns the number of cells of a kind."""
        return [KINDS[letter] for letter in self.cells].count(kind)

    def placed(self, genotype: Genotype) -> list[PlacedCell]:
        """Returns the cells in order, without those that neither the output nor a later cell needs.

        If all cells read node 1 only, every other one is of no use.
        """
        placed = list(self._all_cells())
        used = {len(placed)}
        for cell in reversed(placed):
            if cell.number in used:
                reads = {link.source for link in genotype.links(cell.kind)}
                used |= {cell.inputs[node] for node in range(NUM_INPUTS) if node in reads}
        return [cell for cell in placed if cell.number in used]

    def _all_cells(self) -> Iterator[PlacedCell]:
        filters, halvings = self.filters, [0]
        for index, letter in enumerate(self.cells):
            kind = KINDS[letter]
            filters *= 2 if kind == "reduction" else 1
            inputs = (index, max(index - 1, 0))
            strides = tuple(2 ** (halvings[index] - halvings[number]) for number in inputs)
            repeat = [KINDS[before] for before in self.cells[:index]].count(kind)
            yield PlacedCell(index + 1, kind, repeat, filters, inputs, (strides[0], strides[1]))
            halvings.append(halvings[-1] + (kind == "reduction"))

    def operations(self, genotype: Genotype) -> list[Operation]:
        """Returns everything with an output of its own, named as the layers of the network are."""
        stem = Operation(
            "stem/0",
            0,
            ("image",),
            _reduced((*self.input_shape[:2], 3 * self.filters), self.stem_stride),
            (3, 3, self.input_shape[2], 3 * self.filters),
            3 * self.filters,
        )
        found, maps = [stem], {0: stem.output_shape}
        for cell in self.placed(genotype):
            found += _cell_operations(cell, genotype, maps)
        width = maps[len(self.cells)][2]
        shape = (width, self.num_classes)
        return [*found, Operation("logits", len(self.cells), (), (1, 1, shape[1]), shape, 0, shape[1])]

    def params(self, genotype: Genotype) -> int:
        """Counts all variables, moving statistics included: what Keras' `count_params` gives."""
        return sum(op.kernel_size + 4 * op.norm_channels + op.other_params for op in self.operations(genotype))

    def macs(self, genotype: Genotype) -> int:
        """Counts the multiply-accumulates of convolutions and of the Dense layer, for one image."""
        return sum(op.kernel_size * op.positions for op in self.operations(genotype))


def _reduced(shape: Shape, stride: int) -> Shape:
    return -(-shape[0] // stride), -(-shape[1] // stride), shape[2]


def _cell_operations(cell: PlacedCell, genotype: Genotype, maps: dict[int, Shape]) -> list[Operation]:
    """Returns what a cell consists of, and notes the shape of its output in `maps`."""
    links = genotype.links(cell.kind)
    found, nodes = [], {}
    for node in sorted({link.source for link in links if link.source < NUM_INPUTS}):
        name = f"cell_{cell.number}/input_{node}"
        stride = cell.input_strides[node]
        found += _chain(name, cell, maps[cell.inputs[node]], PROJECTION, stride)
        nodes[node] = found[-1].output_shape
    for link in links:
        stride = cell.stride if link.source < NUM_INPUTS else 1
        steps = steps_of(link.operation, stride)
        found += _chain(
            link_name(cell, link.source, link.target, link.operation), cell, nodes[link.source], steps, stride
        )
        nodes[link.target] = _reduced(nodes[link.source], stride)
    height, width, channels = nodes[links[-1].target]
    maps[cell.number] = (height, width, channels * len(genotype.nodes(cell.kind)))
    return found


def link_name(cell: PlacedCell, source: int, target: int, operation: str) -> str:
    """Returns what the layers of a link are called by."""
    return f"cell_{cell.number}/{operation}_{source}_{target}"


def _chain(name: str, cell: PlacedCell, shape: Shape, steps: tuple[Step, ...], stride: int) -> list[Operation]:
    found = []
    for index, step in enumerate(steps):
        channels = shape[2]
        shape = _reduced((*shape[:2], cell.filters), stride if index == 0 else 1)
        sides = (step.side, step.side)
        kernels = {"conv": (*sides, channels, cell.filters), "depthwise": (*sides, channels, 1)}
        kernel = kernels[step.kind] if step.kind in CONVOLUTIONS else ()
        found.append(Operation(f"{name}/{index}", cell.number, (), shape, kernel, cell.filters if step.ends else 0))
    return found
