"""`MixedPool`: max and average pooling, mixed by a trained scalar."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from kgrow.graph.operators._window import Pool
from kgrow.graph.operators.add import Add
from kgrow.graph.operators.average_pool import AveragePool
from kgrow.graph.operators.max_pool import MaxPool
from kgrow.graph.operators.operator import Part, Shape, Weights
from kgrow.graph.operators.times import Times


@dataclasses.dataclass(frozen=True)
class MixedPool(Pool):
    r"""The pool of an internal classifier: :math:`\alpha\,\mathrm{max} + (1 - \alpha)\,\mathrm{avg}`.

    The scalar is drawn from U(0, 1) and unconstrained.

    References:
        Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and Mitigating Network Overthinking",
        ICML 2019, https://arxiv.org/abs/1810.07052, section 4.1 and the authors' released code.
    """

    kind = "mixed_pool"

    def at_size(self, before: Shape, after: Shape) -> MixedPool:
        """See `Operator.at_size`; the result has as many positions as before, with windows that overlap if need be."""
        counts = self.output_shape(before)
        (height, down), (width, right) = (_windows(after[axis], counts[axis]) for axis in (0, 1))
        return dataclasses.replace(self, window=(height, width), strides=(down, right))

    def num_weights(self, *inputs: Shape) -> tuple[int, int]:
        """See `Operator.num_weights`."""
        return 1, 0

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        from kgrow.graph.operators._mixed_pooling import MixedPooling

        return MixedPooling(self.window, self.strides, self.padding, seed, name)

    def lowered(self, weights: Weights, shapes: Sequence[Shape]) -> list[Part]:
        """See `Operator.lowered`."""
        mixing = float(weights.get("mixing", 0.5))
        options = (self.window, self.strides, self.padding)
        return [
            Part(MaxPool(*options), (-1,)),
            Part(Times(mixing), (0,)),
            Part(AveragePool(*options), (-1,)),
            Part(Times(1 - mixing), (2,)),
            Part(Add(), (1, 3)),
        ]


def _windows(side: int, count: int) -> tuple[int, int]:
    """Returns window and stride that divide a side into a number of positions."""
    stride = max(1, side // count)
    return (stride if side // stride == count else max(1, side - (count - 1) * stride)), stride
