"""`Operator`: the computation of one node of a network, and everything that depends on its kind."""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from kgrow.graph.operators._blaming import name_in_errors

Shape: TypeAlias = tuple[int, ...]
Weights: TypeAlias = Mapping[str, np.ndarray]

# The 8-bit storage of an operator's output: with its own range, with that of its inputs, or with a fixed one.
OWN_RANGE, INPUT_RANGE = "own", "input"


@dataclasses.dataclass(frozen=True)
class Operator(abc.ABC):
    """A kind of computation with options. To add one, write a subclass in its own file and register its name.

    Shapes leave out the batch: (height, width, channels) of a map, (features,) of a vector. Weights are arrays by name:
    `kernel` with its `mask`, `bias`, and any others of the layer.

    Attributes:
        kind: Name in JSON and in the registry.
        is_variadic: Whether it reads any number of inputs; others read one.
        makes_channels: Whether every output channel is a sum over all input channels, weighted by the kernel.
        is_fused: Whether a device computes it as part of the operation before it.
        fuses: Whether a device can compute an activation as part of it.
        absorbs: Whether an affine map of its output can become part of its kernel and bias; see `folded`.
        low_precision: Whether training may compute it in bfloat16, by `compute` in place of its layer; see
            `GrowingNetwork.call_scaled`. A subclass does not inherit it.
        value_range: Range of its 8-bit output: `OWN_RANGE`, `INPUT_RANGE` or a fixed (smallest, largest).
        adds_inputs: Whether its output is the sum of its inputs.
        keeps_non_negative: Whether it returns non-negative values unchanged.
        scales: Names of weights that together scale a whole channel of its output; the first one is its factor.
        is_reshape: Whether it returns its input values in another shape.
        keras_layers: Class names of the Keras layers that it is read from.
    """

    kind: ClassVar[str]
    is_variadic: ClassVar[bool] = False
    makes_channels: ClassVar[bool] = False
    is_fused: ClassVar[bool] = False
    fuses: ClassVar[bool] = True
    absorbs: ClassVar[bool] = False
    low_precision: ClassVar[bool] = False
    value_range: ClassVar[str | tuple[float, float]] = OWN_RANGE
    adds_inputs: ClassVar[bool] = False
    keeps_non_negative: ClassVar[bool] = False
    scales: ClassVar[tuple[str, ...]] = ()
    is_reshape: ClassVar[bool] = False
    keras_layers: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        name_in_errors(cls, Operator)

    @abc.abstractmethod
    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape of the output.

        Raises:
            ValueError: If it cannot read such inputs.
        """

    @abc.abstractmethod
    def layer(self, name: str, seed: int) -> Any:
        """Returns a new Keras layer, not built yet, with a random seed; one with a kernel is wrapped by `prunable`."""

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """Returns the output in inference as a device computes it.

        Args:
            inputs: Tensors with a batch axis, of the weights' type.
            weights: Tensors by name, with normalization folded in.
        """
        layer = self.layer(self.kind, 0)
        return layer(list(inputs) if self.is_variadic else inputs[0])

    # Weights.

    def kernel_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape of the prunable kernel, () if there is none."""
        return ()

    def num_weights(self, *inputs: Shape) -> tuple[int, int]:
        """Returns the numbers of trainable values besides the kernel, and of values that are not trained."""
        return 0, 0

    def kernel_squares(self, inputs: Any, gradient: Any) -> Any:
        """Returns the sum over examples of squared gradients in the kernel, of its shape.

        Args:
            inputs: Input of the operator, with a batch axis.
            gradient: Gradient of the summed loss in its output.
        """
        raise NotImplementedError(f"{self.kind} has no kernel.")

    def patches(self, inputs: Any) -> Any | None:
        """Returns what the kernel multiplies at each position, (any, taps * rows); None if channels stay apart.

        Args:
            inputs: Input of the operator, with a batch axis.
        """
        return None

    # Channels. An array "per channel" belongs to the last axis of a shape.

    def aligned(self, inputs: Sequence[np.ndarray], shapes: Sequence[Shape]) -> list[np.ndarray]:
        """Returns the entries of each output channel, per source; several sources are tied to each other.

        Args:
            inputs: An array per channel for every input.
            shapes: Shapes of the inputs.
        """
        return [] if self.makes_channels else list(inputs)

    def sides(self, read: np.ndarray, made: np.ndarray, outside: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the values of the kernel's input rows and output columns, its last two axes.

        Args:
            read: Value per input channel.
            made: Value per output channel.
            outside: Value of a row or column that is not a channel.
        """
        return read, made

    def with_channels(self, channels: np.ndarray) -> Operator:
        """Returns the operator for other output channels.

        Args:
            channels: Number of the old channel for each new one, int.
        """
        return self

    # Sizes of maps.

    def at_size(self, before: Shape, after: Shape) -> Operator:
        """Returns the operator for a first input of another height and width; the kernel stays the same.

        Args:
            before: Shape of the first input so far.
            after: New shape of the first input.

        Raises:
            ValueError: If it cannot read such an input.
        """
        return self

    # Training.

    def with_momentum(self, largest: float) -> Operator:
        """Returns the operator with at most this momentum, in [0, 1], of its moving statistics, if it has any."""
        return self

    # Values.

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """Returns the constant value of each output channel, NaN if it depends on the image.

        Args:
            inputs: Constant values of each input's channels.
            weights: Weights of the node.
            shapes: Shapes of the inputs.
        """
        (output,) = {len(each) for each in self.aligned(inputs, shapes)} or {self.output_shape(*shapes)[-1]}
        return np.full(output, np.nan)

    def carried(self, constants: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """Returns which input rows of the kernel add a constant to all positions, and the constants per column.

        Args:
            constants: Constant value per input row, NaN for none.
            weights: Weights of the node.
        """
        return constants == 0, np.zeros(weights["kernel"].shape[-1])

    def reads(self, wanted: np.ndarray, weights: Weights, shapes: Sequence[Shape]) -> list[np.ndarray]:
        """Returns for each input the channels that the wanted output channels depend on.

        Args:
            wanted: Wanted output channels, bool per channel.
            weights: Weights of the node.
            shapes: Shapes of the inputs.
        """
        ends = np.cumsum([0, *(shape[-1] for shape in shapes)])
        numbers = [np.arange(start, stop) for start, stop in itertools.pairwise(ends)]
        found = np.zeros(ends[-1], bool)
        for source in self.aligned(numbers, shapes):
            found[source[wanted]] = True
        return [found[part] for part in numbers]

    def with_bias(self) -> Operator:
        """Returns the operator with a bias after its kernel."""
        raise NotImplementedError(f"{self.kind} has no kernel.")

    def raised(self, weights: Weights, constant: np.ndarray) -> Weights | None:
        """Returns the weights with which the output is larger by a constant, None if they cannot store it.

        Args:
            weights: Weights of the node.
            constant: Constant per output channel.
        """
        return {**weights, "bias": (weights["bias"] + constant).astype(np.float32)} if "bias" in weights else None

    def compensated(self, weights: Weights, constant: np.ndarray) -> Weights | None:
        """Returns the weights with which the output stays as it is for an input that lacks a constant, None for none.

        Args:
            weights: Weights of the node.
            constant: Constant per channel that its only input has no longer.
        """
        return None

    def without_taps(self, weights: Weights) -> tuple[Operator, Weights]:
        """Returns an equivalent operator and its weights, with a smaller kernel if the kernel is zero.

        Args:
            weights: Weights of the node.
        """
        return self, weights

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """Returns whether no output value is negative.

        Args:
            inputs: Whether each input has no negative value.
        """
        return False

    # The device.

    def folded(self, weights: Weights, scale: np.ndarray, offset: np.ndarray) -> dict[str, np.ndarray]:
        """Returns weights that include an affine map of the output, for an operator with `absorbs`.

        Args:
            weights: Weights of the node.
            scale: Factor per output channel.
            offset: Summand per output channel.
        """
        raise NotImplementedError(f"{self.kind} has no kernel.")

    def affine(self, weights: Weights) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns scale and offset per channel if it is an affine map of each channel, else None.

        Args:
            weights: Weights of the node; without any, the result only tells whether it is such a map.
        """
        return None

    def lowered(self, weights: Weights, shapes: Sequence[Shape]) -> list[Part]:
        """Returns the parts that a device runs instead, the last one giving the output; none if it changes nothing.

        Args:
            weights: Weights of the node; may be empty if only the shapes matter.
            shapes: Shapes of the inputs.
        """
        return [Part(self, tuple(range(-1, -1 - len(shapes), -1)), weights)]

    # Keras.

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """Returns the operator of a Keras layer.

        Args:
            config: Configuration of the layer, one of `keras_layers`.
            inputs: Shapes of its inputs.

        Raises:
            ValueError: If it has an option that the operator does not support; the message says which.
        """
        return cls()

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {"kind": self.kind, **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class Part:
    """One of the operators into which another one is split.

    Args:
        operator: Operator of the part.
        inputs: Inputs of the part: -1 is the first input of the node, -2 the second; others are numbers of parts before
            it.
        weights: Weights of the part.
    """

    operator: Operator
    inputs: tuple[int, ...]
    weights: Weights = dataclasses.field(default_factory=dict)
