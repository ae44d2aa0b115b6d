"""`Stack`: the number and the widths of repeated cells."""

from __future__ import annotations

import dataclasses

from kgrow._checks import check_positive_int
from kgrow.graph import IMAGE, Architecture, Block, Scaling
from kgrow.graph.builder import Builder
from kgrow.graph.edge import inputs_of
from kgrow.graph.genotype import KINDS, Genotype
from kgrow.graph.genotype_cell import add_genotype_cell
from kgrow.graph.operators import Dense, GlobalAveragePool
from kgrow.graph.operators.sides import reduced

Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class PlacedCell:
    """A cell at its place in the stack.

    Args:
        number: Number of the cell, from 1; map 0 is that of the stem, and map k that of cell k.
        kind: Kind of cell, `"normal"` or `"reduction"`.
        repeat: Number of cells of this kind before it.
        filters: Number of channels of each node.
        inputs: Numbers of the maps that are nodes 0 and 1.
        input_strides: Strides that bring the two inputs to one resolution; the map before a reduction is twice as large
            as that after it.
    """

    number: int
    kind: str
    repeat: int
    filters: int
    inputs: tuple[int, int]
    input_strides: tuple[int, int]

    @property
    def stride(self) -> int:
        """The stride of the edges that read an input."""
        return 2 if self.kind == "reduction" else 1


@dataclasses.dataclass(frozen=True)
class Stack:
    """The network around cells: a stem, cells, the mean over positions and a Dense layer.

    The default is small enough for two CPU cores. The source searches `"NNRNNRNN"` of 36 filters without `stem_stride`.

    Args:
        input_shape: Shape of the raw image, (height, width, channels).
        num_classes: Number of logits.
        scaling: Scaling of raw pixels inside the network.
        cells: One letter per cell, N or R.
        filters: Number of filters of the nodes of the first cell; a reduction doubles them. The stem has three times as
            many.
        stem_stride: Stride of the first 3x3 convolution.
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
        """Returns the number of cells of a kind that is searched.

        Raises:
            ValueError: If there is none.
        """
        count = [KINDS[letter] for letter in self.cells].count(kind)
        if not count:
            raise ValueError(
                f"`cells` must hold both letters, N and R, to search for both cells, but got {self.cells!r}."
            )
        return count

    def places(self) -> list[PlacedCell]:
        """Returns all cells in order."""
        places = []
        filters, halvings = self.filters, [0]
        for index, letter in enumerate(self.cells):
            kind = KINDS[letter]
            filters *= 2 if kind == "reduction" else 1
            inputs = (index, max(index - 1, 0))
            strides = tuple(2 ** (halvings[index] - halvings[number]) for number in inputs)
            repeat = [KINDS[before] for before in self.cells[:index]].count(kind)
            places.append(PlacedCell(index + 1, kind, repeat, filters, inputs, (strides[0], strides[1])))
            halvings.append(halvings[-1] + (kind == "reduction"))
        return places

    def used_places(self, genotype: Genotype) -> tuple[PlacedCell, ...]:
        """Returns the cells in order, without those that neither the output nor a later cell needs.

        If all cells read node 1 only, every other cell is unused.
        """
        placed = self.places()
        used = {len(placed)}
        for cell in reversed(placed):
            if cell.number in used:
                used |= {cell.inputs[node] for node in inputs_of(genotype.edges(cell.kind))}
        return tuple(cell for cell in placed if cell.number in used)

    def architecture(self, genotype: Genotype, *, is_gated: bool = False) -> Architecture:
        """Returns the network of a genotype as one block.

        Args:
            genotype: Edges of the cells.
            is_gated: See `kgrow.graph.genotype_cell.add_genotype_cell`.
        """
        builder = Builder(self.input_shape)
        stride, filters = self.stem_stride, 3 * self.filters
        maps = {0: builder.relu("stem/relu", builder.conv_norm("stem/0", IMAGE, filters, 3, (stride, stride)))}
        for cell in self.used_places(genotype):
            edges = genotype.edges(cell.kind)
            inputs = {node: maps[cell.inputs[node]] for node in inputs_of(edges)}
            node, source = next(iter(inputs.items()))
            height, width = (reduced(side, cell.input_strides[node]) for side in builder.shapes[source][:2])
            name, size = f"cell_{cell.number}", (height, width)
            maps[cell.number] = add_genotype_cell(
                builder, name, edges, cell.filters, cell.stride, size, inputs, is_gated=is_gated
            )
        nodes = builder.take()
        builder.add("logits", Dense(self.num_classes), builder.add("pool", GlobalAveragePool(), maps[len(self.cells)]))
        block = Block(nodes, builder.take())
        return Architecture(self.input_shape, self.num_classes, self.scaling, (block,))
