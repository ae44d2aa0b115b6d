"""`Graph` nodes without parameters, and the base class of all nodes."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kgrow._keras import tf
from kgrow.bayes.curvature import Probe


class Derivatives(NamedTuple):
    """The gradient and the diagonal of the Hessian of the summed loss in one tensor."""

    gradient: Any
    hessian: Any


class Node(abc.ABC):
    """One operation.

    Attributes:
        inputs: Values it reads: 0 is the input of the graph, i the output of its i-th node; empty for the value before
            it.
    """

    inputs: tuple[int, ...] = ()

    @property
    def parameter(self) -> Any:
        """The trainable variable, None if there is none."""
        return None

    @abc.abstractmethod
    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """Returns the output, and the probe of the parameter."""

    @abc.abstractmethod
    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """Propagates derivatives backwards through the node.

        Args:
            values: Values that the node read.
            output: Derivatives in the node's output.

        Returns:
            The derivatives in each input, and the Hessian's diagonal in the parameter.
        """


def pull(function: Callable[[Any], Any], value: Any, cotangent: Any) -> Any:
    """Returns the transposed Jacobian of a function at a value, times a tensor of the shape of its output."""
    value = tf.convert_to_tensor(value)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(value)
        output = function(value)
    return tape.gradient(output, value, output_gradients=cotangent)


@dataclasses.dataclass(frozen=True, eq=False)
class Activation(Node):
    """An elementwise function.

    Args:
        function: Function such as `tf.nn.relu` or `tf.tanh`, twice differentiable almost everywhere.
        inputs: See `Node`.
    """

    function: Callable[[Any], Any]
    inputs: tuple[int, ...] = ()

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        return self.function(values[0]), None

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`: slope squared times the Hessian, plus the second derivative times the gradient."""
        value = tf.convert_to_tensor(values[0])
        with tf.GradientTape() as tape:
            tape.watch(value)
            slope = pull(self.function, value, tf.ones_like(value))
        bend = tape.gradient(slope, value, unconnected_gradients="zero")
        hessian = tf.square(slope) * output.hessian + bend * output.gradient
        return [Derivatives(slope * output.gradient, hessian)], None


@dataclasses.dataclass(frozen=True, eq=False)
class AveragePool(Node):
    """Mean over adjacent windows; at a border with SAME padding, over the part of the window inside the map.

    Args:
        size: (height, width) of the window and of the step.
        padding: `"SAME"` or `"VALID"`.
        inputs: See `Node`.
    """

    size: tuple[int, int]
    padding: str = "VALID"
    inputs: tuple[int, ...] = ()

    def _pool(self, value: Any) -> Any:
        return tf.nn.avg_pool2d(value, self.size, self.size, self.padding)

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        return self._pool(values[0]), None

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`: a window of n values has the coefficient 1 / n, so the Hessian gets 1 / n^2."""
        (value,) = values
        window = tf.ones((*self.size, 1, 1), value.dtype)
        counts = tf.nn.conv2d(tf.ones_like(value[..., :1]), window, self.size, self.padding)
        gradient, hessian = (pull(self._pool, value, part) for part in (output.gradient, output.hessian / counts))
        return [Derivatives(gradient, hessian)], None


@dataclasses.dataclass(frozen=True, eq=False)
class Route(Node):
    """A function that only moves, copies or adds values, such as max pooling, flattening, a sum or a concatenation.

    All its coefficients are 0 or 1, so the Hessian takes the same way as the gradient.

    Args:
        function: Function of as many tensors as there are inputs.
        inputs: See `Node`.
    """

    function: Callable[..., Any]
    inputs: tuple[int, ...] = ()

    def forward(self, *values: Any) -> tuple[Any, Probe | None]:
        """See `Node.forward`."""
        return self.function(*values), None

    def backward(self, values: Sequence[Any], output: Derivatives) -> tuple[list[Derivatives], Any]:
        """See `Node.backward`."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            watched = [tf.identity(value) for value in values]
            tape.watch(watched)
            result = self.function(*watched)
        gradients, hessians = (tape.gradient(result, watched, output_gradients=part) for part in output)
        return [Derivatives(*parts) for parts in zip(gradients, hessians, strict=True)], None
