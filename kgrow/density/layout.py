"""`Layout`: the sizes of a fully connected network and the number of connections of each layer."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from kgrow._checks import check_positive_int


@dataclasses.dataclass(frozen=True)
class Layout:
    """A fully connected network as data.

    A layer of density d from I to O units has exactly round(d I O) connections.

    Args:
        sizes: Number of inputs, of units of each hidden layer, and of classes.
        densities: Fraction of possible connections that exist in each layer, in (0, 1]; one fewer than sizes.

    Example:
        >>> layout = Layout((64, 32, 10), (0.1, 0.5))
        >>> layout.connections, layout.active_params
        ((205, 160), 365)
    """

    sizes: tuple[int, ...]
    densities: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.sizes) < 2:
            raise ValueError(f"`sizes` must name at least the inputs and the classes, but got {self.sizes!r}.")
        for size in self.sizes:
            check_positive_int(size, "sizes")
        if len(self.densities) != len(self.sizes) - 1:
            raise ValueError(
                f"`densities` must hold one number for each of the {len(self.sizes) - 1} layers, but got "
                f"{self.densities!r}."
            )
        for density in self.densities:
            if not 0 < density <= 1:
                raise ValueError(
                    f"`densities` must be in (0, 1], but got {density!r}. It is the fraction of a layer's possible "
                    "connections that exist."
                )
        for index, (wanted, fewest) in enumerate(zip(self.connections, fewest_connections(self.sizes), strict=True)):
            if wanted < fewest:
                shape = self.shapes[index]
                raise ValueError(
                    f"`densities` must leave every unit an input and an output, but {self.densities[index]!r} gives "
                    f"layer {index} of {shape[0]} x {shape[1]} only {wanted} connections. It needs {fewest}: pass at "
                    f"least {fewest / (shape[0] * shape[1]):.4g}, or make it narrower."
                )

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of each layer."""
        return tuple(itertools.pairwise(self.sizes))

    @property
    def connections(self) -> tuple[int, ...]:
        """Number of existing connections of each layer."""
        shapes = zip(self.densities, self.shapes, strict=True)
        return tuple(round(density * inputs * outputs) for density, (inputs, outputs) in shapes)

    @property
    def active_params(self) -> int:
        """Number of existing connections without biases; they are the trainable weights."""
        return sum(self.connections)


def fewest_connections(sizes: Sequence[int]) -> tuple[int, ...]:
    """Returns the smallest number of connections per layer that leaves no unit dead.

    A hidden unit needs an input and an output, a class an input. A pixel is not a unit and may be unread.

    Args:
        sizes: Sizes as in `Layout`.
    """
    first, *others = itertools.pairwise(sizes)
    return (first[1], *map(max, others))
