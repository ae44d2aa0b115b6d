"""`Graph` nodes with weights.

All are linear in their inputs and in their weights. The diagonal of a Hessian passes backwards through a linear map
with the squares of the coefficients of the gradient. One function therefore serves all: f(x, w) pulls the gradient back
to x, f(x, w * w) the Hessian back to x, and f(x * x, w) the Hessian back to w.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from kgrow._keras import tf
from kgrow.bayes.curvature import Probe, tiled_probe
from kgrow.bayes.nodes import Derivatives, Node, pull
from kgrow.graph.operators._grids import conv2d
from kgrow.graph.operators._squares import conv_squares, dense_squares


@dataclasses.dataclass(frozen=True, eq=False)
class Dense(Node):
    """Matrix product, (batch, inputs) to (batch, outputs).

    Args:
        kernel: Variable (inputs, outputs).
        inputs: See `Node`.
    """

    kernel: Any
    inputs: tuple[int, ...] = ()

    @property
    def parameter(self) -> Any:
        """See `Node.parameter`."""
        return self.kernel

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        (value,) = values
        output = tf.matmul(value, self.kernel)
        return output, Probe(output, lambda gradient: dense_squares(value, gradient))

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`."""
        return _pull_bilinear(tf.matmul, values[0], self.kernel, output)


@dataclasses.dataclass(frozen=True, eq=False)
class Conv(Node):
    """Convolution without bias.

    Args:
        kernel: Variable (height, width, channels, filters).
        strides: (height, width).
        padding: `"SAME"` or `"VALID"`.
        inputs: See `Node`.
    """

    kernel: Any
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    inputs: tuple[int, ...] = ()

    @property
    def parameter(self) -> Any:
        """See `Node.parameter`."""
        return self.kernel

    def _convolve(self, value: Any, kernel: Any) -> Any:
        return conv2d(value, kernel, self.strides, self.padding)

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        (value,) = values
        output = self._convolve(value, self.kernel)
        size = tuple(self.kernel.shape[:2])
        return output, Probe(output, lambda g: conv_squares(value, g, size, self.strides, self.padding))

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`.

        The Hessian in the kernel is the sum over examples and positions of the squared patches times the Hessian at the
        position; products of different positions are dropped.
        """
        return _pull_bilinear(self._convolve, values[0], self.kernel, output)


@dataclasses.dataclass(frozen=True, eq=False)
class Bias(Node):
    """Adds an offset to every channel.

    Args:
        offset: Variable (channels,).
        inputs: See `Node`.
    """

    offset: Any
    inputs: tuple[int, ...] = ()

    @property
    def parameter(self) -> Any:
        """See `Node.parameter`."""
        return self.offset

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        copies = _copies(self.offset, values[0])
        return values[0] + copies, tiled_probe(copies, self.offset)

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`."""
        return _pull_bilinear(tf.add, values[0], self.offset, output)


@dataclasses.dataclass(frozen=True, eq=False)
class Gate(Node):
    """Multiplies by a gate: one for the whole tensor, or one per channel.

    Args:
        gate: Variable () or (channels,).
        inputs: See `Node`.
    """

    gate: Any
    inputs: tuple[int, ...] = ()

    @property
    def parameter(self) -> Any:
        """See `Node.parameter`."""
        return self.gate

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        copies = _copies(self.gate, values[0])
        return values[0] * copies, tiled_probe(copies, self.gate)

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`."""
        return _pull_bilinear(tf.multiply, values[0], self.gate, output)


@dataclasses.dataclass(frozen=True, eq=False)
class FrozenNorm(Node):
    """Batch normalization in inference mode, as one scale and one offset.

    Args:
        scale: (channels,): gamma / sqrt(variance + epsilon).
        offset: (channels,): beta - mean * scale.
        inputs: See `Node`.
    """

    scale: Any
    offset: Any
    inputs: tuple[int, ...] = ()

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        return values[0] * self.scale + self.offset, None

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`."""
        before = Derivatives(output.gradient * self.scale, output.hessian * tf.square(self.scale))
        return [before], None


def _pull_bilinear(
    function: Callable[[Any, Any], Any], value: Any, weight: Any, output: Derivatives
) -> tuple[list[Derivatives], Any]:
    before = Derivatives(
        pull(lambda x: function(x, weight), value, output.gradient),
        pull(lambda x: function(x, tf.square(weight)), value, output.hessian),
    )
    return [before], pull(lambda w: function(tf.square(value), w), weight, output.hessian)


def _copies(parameter: Any, value: Any) -> Any:
    ones = tf.ones((value.shape[0], *(1 for _ in value.shape[1:-1]), *(tuple(parameter.shape) or (1,))), value.dtype)
    return ones * parameter
