"""The steps that a device runs: normalizations folded, activations fused, composite operators split."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.architecture import Architecture
from kgrow.graph.contract import check_arrays
from kgrow.graph.node import IMAGE, Node, weights_of
from kgrow.graph.operators import INPUT_RANGE, Operator, Rescale, Shape

State = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Step:
    """One operation of a device.

    Args:
        name: Name of its node; parts of a composite operator have a number after it.
        operator: Operator of the step.
        inputs: Names of the steps that it reads, or `"image"`.
        shape: Shape of its output without the batch.
        block_index: Index of its block.
        is_head: Whether only the block's own classifier needs it.
        activation: Operator fused with it, None for none.
        weights: Arrays by name, with normalization folded in; empty if no state was given.
        kernel_shape: Shape of the kernel; () if it has none.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    shape: Shape
    block_index: int
    is_head: bool
    activation: Operator | None = None
    weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict, compare=False)
    kernel_shape: Shape = ()

    @property
    def has_own_range(self) -> bool:
        """Returns whether its 8-bit output has a range other than its input's."""
        return self.activation is not None or self.operator.value_range != INPUT_RANGE

    @property
    def fixed_range(self) -> tuple[float, float] | None:
        """The 8-bit range of its output if interpreters fix it, else None."""
        given = self.operator.value_range
        return None if isinstance(given, str) or self.activation is not None else given

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """Returns its output, computed from tensors with a batch axis."""
        out = self.operator.compute(inputs, weights)
        return out if self.activation is None else self.activation.compute([out], {})


def device_steps(
    architecture: Architecture, state: State | None = None, heads: Collection[int] | None = None
) -> tuple[Step, ...]:
    """Returns the steps of a network, each after those that it reads.

    A normalization becomes part of the kernel before it and an activation part of the operation before it, if nothing
    else reads the value between them. Equal steps without weights are merged. The division by the pixels' standard
    deviation is part of the first kernels.

    Args:
        architecture: Architecture of the network.
        state: Weights of the network; without them the steps have none.
        heads: Classifiers that are needed; all of them by default.
    """
    return _Lowering(architecture, state, heads).steps


def answers_of(architecture: Architecture) -> dict[int, str]:
    """Returns for each head the step that gives its logits."""
    held = _Lowering(architecture, None, None).held
    return {head: held[architecture.logits(head)] for head in range(len(architecture.blocks))}


class _Lowering:
    def __init__(self, architecture: Architecture, state: State | None, heads: Collection[int] | None):
        self.architecture, self.state = architecture, state
        self.made: dict[str, Step] = {}
        # By node name, the step of its output, and the number of further nodes absorbed into each step.
        self.num_holders: collections.Counter[str] = collections.Counter()
        self.held: dict[str, str] = {IMAGE: IMAGE}
        # By step, the divisor that its channels still need.
        std = np.asarray(architecture.scaling.std)
        self.divided: dict[str, np.ndarray] = {} if np.all(std == 1) else {IMAGE: std}
        wanted = range(len(architecture.blocks)) if heads is None else heads
        for node in architecture.nodes:
            index, is_head = architecture.owners[node.name]
            if not is_head or index in wanted:
                self._add(node)
        self.steps = tuple(self.made.values())

    def _add(self, node: Node) -> None:
        weights = {} if self.state is None else weights_of(node.name, self.state)
        if "mask" in weights:
            weights["kernel"] = weights["kernel"] * weights.pop("mask")
        if self._is_absorbed(node, weights):
            return
        divisor = self.divided.get(self.held[node.inputs[0]])
        if divisor is not None and "kernel" in weights:
            weights["kernel"] = weights["kernel"].astype(np.float64) / divisor[:, np.newaxis]
        index, is_head = self.architecture.owners[node.name]
        shapes = self.architecture.input_shapes(node)
        parts = node.operator.lowered(weights, shapes)
        names = [self.held[name] for name in node.inputs]
        made: list[str] = []
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            sources = tuple(made[place] if place >= 0 else names[-1 - place] for place in part.inputs)
            shapes_read = [self._shape(name) for name in sources]
            step = Step(
                node.name if is_last else f"{node.name}/{number}",
                part.operator,
                sources,
                part.operator.output_shape(*shapes_read),
                index,
                is_head,
                weights=part.weights,
                kernel_shape=part.operator.kernel_shape(*shapes_read),
            )
            made.append(self._appended(step))
        self.held[node.name] = made[-1] if made else names[0]
        self.num_holders[self.held[node.name]] += 1

    def _shape(self, name: str) -> Shape:
        return self.architecture.input_shape if name == IMAGE else self.made[name].shape

    def _appended(self, step: Step) -> str:
        step = self._undivided(step)
        if not step.kernel_shape:
            key = (step.operator, step.inputs, None, ())
            for other in self.made.values():
                if (other.operator, other.inputs, other.activation, other.kernel_shape) == key:
                    return other.name
        self.made[step.name] = step
        return step.name

    def _undivided(self, step: Step) -> Step:
        """Returns a step that accounts for the missing division of its input by the standard deviation."""
        if step.inputs[0] not in self.divided:
            return step
        std = self.divided[step.inputs[0]]
        shapes = [self._shape(name) for name in step.inputs]
        if step.operator.value_range == INPUT_RANGE and not step.operator.is_variadic:
            (self.divided[step.name],) = step.operator.aligned([std], shapes)
            return step
        if step.kernel_shape:
            return step
        scaled = Rescale(tuple((1 / std).tolist()), (0.0,) * len(std))
        name = f"{step.inputs[0]}/scaled"
        if name not in self.made:
            source = step.inputs[0]
            self.made[name] = Step(name, scaled, (source,), self._shape(source), step.block_index, step.is_head)
        return dataclasses.replace(step, inputs=(name, *step.inputs[1:]))

    def _is_absorbed(self, node: Node, weights: dict[str, np.ndarray]) -> bool:
        """Makes a node part of the step before it, if possible; returns whether it was."""
        source = node.inputs[0]
        readers = self.architecture.readers[source]
        if source == IMAGE or self._is_answer(source) or any(other.operator != node.operator for other in readers):
            return False
        step = self.made.get(self.held[source])
        if step is None or self.num_holders[step.name] > 1:
            return False
        if node.operator.is_fused and step.activation == node.operator and readers[0] != node:
            self.held[node.name] = step.name  # like its duplicate before
            return True
        if step.activation is not None:
            return False
        affine = node.operator.affine(weights)
        if affine is not None and step.operator.absorbs and len(readers) == 1:
            if self.state is not None:
                folded = step.operator.folded(step.weights, *affine)
                check_arrays(step.operator, "folded", (folded.get("kernel"),), (step.kernel_shape,))
                step = dataclasses.replace(step, weights=folded)
        elif node.operator.is_fused and step.operator.fuses:
            step = dataclasses.replace(step, activation=node.operator)
        else:
            return False
        self.made[step.name] = step
        self.held[node.name] = step.name
        return True

    def _is_answer(self, name: str) -> bool:
        return any(block.head[-1].name == name for block in self.architecture.blocks)
