"""The space `cells`: a genotype that a search for cells has found, as a network that grows."""

from __future__ import annotations

import dataclasses
import math

from kgrow.architecture import Architecture, Block, Cell, Head, Scaling
from kgrow.architecture.genotype import KINDS, Genotype
from kgrow.architecture.link import from_newest, inputs_of, nodes_of
from kgrow.searching.residual import SMALL_SIDE, STEM_SIDE
from kgrow.searching.space import SearchSpace, scaled_filters, unscaled

# What `python recipes/bench_cells.py --only cells` found by evidence: source, target and operation of each link.
FOUND = Genotype.from_json(
    {
        "normal": [
            [1, 2, "dil5"],
            [0, 3, "max3"],
            [0, 4, "avg3"],
            [0, 4, "max3"],
            [1, 4, "avg3"],
            [1, 4, "max3"],
            [1, 4, "sep3"],
            [1, 4, "sep5"],
        ],
        "reduction": [
            [1, 3, "dil3"],
            [1, 3, "max3"],
            [1, 4, "avg3"],
            [1, 4, "dil3"],
            [1, 4, "dil5"],
            [1, 4, "max3"],
            [1, 4, "sep3"],
            [1, 4, "sep5"],
        ],
    }
)


@dataclasses.dataclass(frozen=True)
class Cells(SearchSpace):
    """Blocks of normal and reduction cells, each ending in an internal classifier.

    The stem has three times as many filters as a node of the first cell; each reduction doubles those of the nodes.
    Sides above 16 pixels are halved by the stem, above 40 reduced further.

    Args:
        genotype: Of the cells, such as `kgrow.cells.ProxySpace.genotype` returns after a search.
        blocks: The cells of each block, a letter each: N or R.
        filters: Of each node of the first cell.
        widths: See `SearchSpace`.
    """

    genotype: Genotype = FOUND
    blocks: tuple[str, ...] = ("N", "RN", "RN")
    filters: int = 16
    widths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)

    def __post_init__(self) -> None:
        if not self.blocks or not all(self.blocks) or set("".join(self.blocks)) - set(KINDS):
            raise ValueError(
                f"`blocks` must hold a text of the letters N and R per block, such as ('N', 'RN'), but got "
                f"{self.blocks!r}."
            )

    def build(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        scaling: Scaling | None = None,
        *,
        width: float = 1.0,
        links: str | None = None,
    ) -> Architecture:
        """See `SearchSpace.build`."""
        side, filters = max(input_shape[:2]), scaled_filters(self.filters, width)
        stride = 1 if side <= SMALL_SIDE else max(2, 2 ** math.ceil(math.log2(side / STEM_SIDE)))
        cells = [Cell("conv", 3 * filters, kernel_size=max(3, 2 * stride - 1), stride=stride)]
        halvings = [0]  # of each map, by reductions
        architecture = Architecture(input_shape, num_classes, scaling or unscaled(input_shape[2]))
        for index, letters in enumerate(self.blocks):
            first = 0 if index == 0 else len(cells)
            for letter in letters:
                cells.append(self._cell(KINDS[letter], filters, halvings))
                halvings.append(halvings[-1] + (letter == "R"))
            head = Head(grid=1 if index == len(self.blocks) - 1 else 2)
            architecture = architecture.grow(Block(tuple(cells[first:]), head))
        return architecture

    def _cell(self, kind: str, filters: int, halvings: list[int]) -> Cell:
        links, newest = self.genotype.links(kind), len(halvings) - 1
        before, stride = max(newest - 1, 0), 2 if kind == "reduction" else 1
        inputs = (before, newest)[-1 - max(inputs_of(links)) :]
        if inputs_of(links) == (1,) and halvings[before] == halvings[newest]:
            inputs, links = (before,), from_newest(links)
        nodes = filters * 2 ** halvings[-1] * stride
        return Cell("linked", nodes * len(nodes_of(links)), inputs, hidden_filters=nodes, stride=stride, links=links)
