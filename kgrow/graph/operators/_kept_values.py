"""`KeepsValues`: the base class of operators whose output has values of their input only, or means of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kgrow.graph.operators.operator import Operator, Shape, Weights


class KeepsValues(Operator):
    """An operator without weights that moves, drops or averages the values of each channel."""

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return self.aligned(inputs, shapes)[0]

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return all(inputs)
