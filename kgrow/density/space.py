"""`DensitySpace`: depth, width and a density per layer, as hyper-parameters of KerasTuner."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any

from kgrow._checks import check_positive_int
from kgrow.density.layout import Layout, fewest_connections

SMALLEST_DENSITY = 0.01
NARROWEST = 8  # ratio of the widest to the narrowest layer
PRECISION = 100_000  # steps of the common factor that brings a layout within its limit


class DensitySpace:
    """Fully connected networks up to a depth and a width.

    A proposed density that would leave a unit without connection is raised to the smallest one that does not. If the
    limit on connections is exceeded, all densities are lowered by a common factor, so every proposal can be trained.

    Args:
        num_inputs: Number of values of an image.
        num_classes: Number of classes.
        max_depth: Largest number of hidden layers; at least one is used.
        max_width: Largest number of units of a hidden layer; all of a network have the same width.
        max_params: Largest number of connections; None for no limit.

    Raises:
        ValueError: If the limit is below the number that the largest network needs to have no dead unit.
    """

    def __init__(
        self, num_inputs: int, num_classes: int, max_depth: int, max_width: int, max_params: int | None = None
    ):
        self.num_inputs, self.num_classes, self.max_params = num_inputs, num_classes, max_params
        self.max_depth = check_positive_int(max_depth, "max_depth")
        self.max_width = check_positive_int(max_width, "max_width")
        needed = sum(fewest_connections(self._sizes(max_depth, max_width)))
        if max_params is not None and check_positive_int(max_params, "max_params") < needed:
            raise ValueError(
                f"`max_params` must be at least {needed}, which {max_depth} hidden layers of {max_width} units need "
                f"for every unit to have a connection, but got {max_params!r}. Lower `max_depth` or `max_width`."
            )

    def sample(self, hp: Any) -> Layout:
        """Returns a layout within the limit; the defaults give the largest network with one density for all layers.

        Args:
            hp: `keras_tuner.HyperParameters` that propose values; every choice is registered there.
        """
        narrowest = max(1, self.max_width // NARROWEST)
        depth = hp.Int("depth", 1, self.max_depth, default=self.max_depth)
        proposed_width = hp.Int("width", narrowest, self.max_width, sampling="log", default=self.max_width)
        width = min(proposed_width, self.max_width)  # KerasTuner's logarithmic samples end one above it
        names = [f"layer_{index}/density" for index in range(self.max_depth)] + ["output/density"]
        proposed = {name: hp.Float(name, SMALLEST_DENSITY, 1.0, default=1.0) for name in names}
        return self._within_limit(self._sizes(depth, width), [proposed[name] for name in [*names[:depth], names[-1]]])

    def _sizes(self, depth: int, width: int) -> tuple[int, ...]:
        return (self.num_inputs, *(width,) * depth, self.num_classes)

    def _within_limit(self, sizes: tuple[int, ...], densities: Sequence[float]) -> Layout:
        possible = [inputs * outputs for inputs, outputs in itertools.pairwise(sizes)]
        fewest = fewest_connections(sizes)

        def counts(factor: int) -> list[int]:
            scaled = (density * size * factor / PRECISION for density, size in zip(densities, possible, strict=True))
            return list(map(max, fewest, map(round, scaled)))

        most = math.inf if self.max_params is None else self.max_params
        # The smallest, 0, fits by the check of the constructor.
        factor = bisect.bisect_right(range(1, PRECISION + 1), most, key=lambda factor: sum(counts(factor)))
        return Layout(sizes, tuple(count / size for count, size in zip(counts(factor), possible, strict=True)))
