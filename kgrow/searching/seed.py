"""The spaces `seed`, `seed_dense` and `seed_plain`: the published network, 16 filters wide, grown in four blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow._rules import check_fields, one_of, several
from kgrow.graph import Architecture, Cell, CellBlock, Head, Scaling, of_cells
from kgrow.searching.space import SearchSpace, scaled_filters, unscaled

FILTERS = 16
CELLS_PER_BLOCK = (3, 3, 2, 1)
LINKS = ("concat", "add", "none")


def check_links(value: Any, name: str) -> tuple[str, ...]:
    """Returns what may join cells.

    Raises:
        ValueError: If there is nothing, a value that is not in `LINKS`, or one of them twice.
    """
    links = several(one_of(LINKS))(value, name)
    if not links or len(set(links)) < len(links):
        raise ValueError(
            f"`{name}` must be one or more of {', '.join(map(repr, LINKS))}, once each, but got {value!r}."
        )
    return links


@dataclasses.dataclass(frozen=True)
class Seed(SearchSpace):
    """A stem, nine residual cells and a tail convolution at one resolution; heads after cells 3, 6, 8 and the tail.

    The counts of kernel parameters are exact for 32x32x3 images and ten classes: densely connected 169 392 in blocks of
    25 008, 47 872, 45 568 and 50 944; plain 54 448. Where the counts leave a choice open (down-sampling, pooling before
    or after the activation), the network does not down-sample and classifies the output of the last ReLU.

    Args:
        links: What may join the cells, the default first: with `"concat"` or `"add"` each cell reads the stem's and all
            earlier cells' maps, with `"none"` the last map; see `Cell.join`.
        widths: Width factors; see `SearchSpace`.
    """

    links: tuple[str, ...] = LINKS
    widths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, {"links": check_links})

    @classmethod
    def densely_linked(cls) -> Seed:
        """Returns the space of networks whose cells read all earlier maps."""
        return cls(("concat",))

    @classmethod
    def unlinked(cls) -> Seed:
        """Returns the space of networks whose cells read only the last map."""
        return cls(("none",))

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
        blocks = []
        join, filters, number = choices.get("links", self.links[0]), scaled_filters(FILTERS, width), 1
        for index, count in enumerate(CELLS_PER_BLOCK):
            cells = [Cell("conv", filters)] if index == 0 else []
            for _ in range(count):
                cells.append(_residual(number, filters, join))
                number += 1
            if index == len(CELLS_PER_BLOCK) - 1:
                cells.append(Cell("conv", filters, **_reads(number, join)))
            blocks.append(CellBlock(tuple(cells), Head(grid=4)))
        return of_cells(input_shape, num_classes, scaling or unscaled(input_shape[2]), blocks)

    def choices(self, input_shape: tuple[int, int, int]) -> Mapping[str, Sequence[Any]]:
        """See `SearchSpace.choices`."""
        return {"links": self.links} if len(self.links) > 1 else {}


def _reads(number: int, join: str) -> dict:
    if join == "none" or number == 1:
        return {"inputs": (number - 1,)}
    return {"inputs": tuple(range(number)), "join": join}


def _residual(number: int, filters: int, join: str) -> Cell:
    projected = join == "concat" and number > 1
    shortcut = "projection" if projected else "identity"
    return Cell("residual", filters, hidden_filters=filters, shortcut=shortcut, **_reads(number, join))
