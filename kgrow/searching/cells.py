"""The space `cells`: growing networks of a genotype that a cell search found."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow._checks import check_positive_int
from kgrow._rules import check_fields
from kgrow.graph import Architecture, Cell, Scaling, of_cells
from kgrow.graph.edge import inputs_of, nodes_of, reading_newest
from kgrow.graph.genotype import KINDS, Genotype
from kgrow.searching.residual import SMALL_SIDE
from kgrow.searching.space import SearchSpace, scaled_filters, stem_cell, unscaled, with_heads

# Result of `recipes/bench_cells.py --only cells` with seed 0: source, target and operation of each edge.
FOUND = Genotype.from_json(
    {
        "normal": [
            [0, 2, "avg3"],
            [0, 2, "dil5"],
            [0, 2, "max3"],
            [1, 2, "avg3"],
            [1, 2, "dil5"],
            [1, 2, "max3"],
            [2, 3, "avg3"],
            [2, 3, "max3"],
        ],
        "reduction": [
            [1, 2, "avg3"],
            [1, 2, "dil3"],
            [1, 2, "dil5"],
            [1, 2, "max3"],
            [1, 2, "sep5"],
            [1, 3, "dil3"],
            [1, 3, "max3"],
            [2, 3, "identity"],
        ],
    }
)


def check_genotype(value: Any, name: str) -> Genotype:
    """Returns a genotype; also accepts what `Genotype.to_json` returns.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(value, Genotype):
        return value
    try:
        if isinstance(value, Mapping):
            return Genotype.from_json(value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be a `Genotype`, or the edges of one, but got {value!r}: {error}") from error
    raise ValueError(f"`{name}` must be a `Genotype`, or a mapping of its edges, but got {value!r}.")


def check_blocks(value: Any, name: str) -> tuple[str, ...]:
    """Returns the cells of each block, one letter each.

    Raises:
        ValueError: If there is no block, or one is not a text of the letters N and R.
    """
    blocks = tuple(value) if isinstance(value, list | tuple) else ()  # a plain text would give one block per letter
    if not blocks or not all(isinstance(block, str) and block and not set(block) - set(KINDS) for block in blocks):
        raise ValueError(
            f"`{name}` must hold a text of the letters N and R per block, such as ('N', 'RN'), but got {value!r}."
        )
    return blocks


@dataclasses.dataclass(frozen=True)
class Cells(SearchSpace):
    """Blocks of normal and reduction cells, each ending in an internal classifier.

    The stem has three times as many filters as a node of the first cell; each reduction doubles those of the nodes.
    The stem halves sides above 16 pixels and reduces sides above 80 further.

    Args:
        genotype: Genotype of the cells, such as `kgrow.cells.ProxySpace.genotype` returns after a search.
        blocks: Cells of each block, one letter each: N or R.
        filters: Number of filters of each node of the first cell.
        widths: Width factors; see `SearchSpace`.
    """

    genotype: Genotype = FOUND
    blocks: tuple[str, ...] = ("N", "RN", "RN")
    filters: int = 16
    widths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = {"genotype": check_genotype, "blocks": check_blocks, "filters": check_positive_int}
        check_fields(self, rules)

    def build(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        scaling: Scaling | None = None,
        *,
        width: float = 1.0,
        **choices: Any,
    ) -> Architecture:
        """See `SearchSpace.build`."""
        side, filters = max(input_shape[:2]), scaled_filters(self.filters, width)
        cells = {0: stem_cell(3 * filters, side, 2 if side > SMALL_SIDE else 1)} | self._graph_cells(filters)
        numbers = {place: number for number, place in enumerate(cells)}
        renumbered = {
            place: dataclasses.replace(cell, inputs=tuple(numbers[source] for source in cell.inputs))
            for place, cell in cells.items()
        }
        ends = self._ends()
        blocks = [
            [cell for place, cell in renumbered.items() if before < place <= end]
            for before, end in itertools.pairwise([-1, *ends])
        ]
        return of_cells(input_shape, num_classes, scaling or unscaled(input_shape[2]), with_heads(blocks))

    def _ends(self) -> list[int]:
        """Returns the position of each block's last cell; the stem has position 0."""
        return list(itertools.accumulate(map(len, self.blocks)))

    def _graph_cells(self, filters: int) -> dict[int, Cell]:
        """Returns the graph cells by position, without those that neither a head nor a later cell reads."""
        letters = "".join(self.blocks)
        halvings = [letters[:place].count("R") for place in range(len(letters) + 1)]  # for each map
        cells: dict[int, Cell] = {}
        used = set(self._ends())
        for place in range(len(letters), 0, -1):
            if place in used:
                cells[place] = self._cell(KINDS[letters[place - 1]], filters, place, halvings)
                used.update(cells[place].inputs)
        return dict(sorted(cells.items()))

    def _cell(self, kind: str, filters: int, place: int, halvings: Sequence[int]) -> Cell:
        edges, newest, before = self.genotype.edges(kind), place - 1, max(place - 2, 0)
        inputs, input_stride = (before, newest)[-1 - max(inputs_of(edges)) :], 1
        if inputs_of(edges) == (1,):
            inputs, edges, input_stride = (before,), reading_newest(edges), 2 ** (halvings[newest] - halvings[before])
        nodes = filters * 2 ** halvings[place]
        return Cell(
            "graph",
            nodes * len(nodes_of(edges)),
            inputs,
            hidden_filters=nodes,
            stride=2 if kind == "reduction" else 1,
            edges=edges,
            input_stride=input_stride,
        )
