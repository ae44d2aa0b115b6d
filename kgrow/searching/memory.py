"""`arena_bytes_of`: the memory that the activations of a network need on a device, from its architecture alone.

The graph is written down as the exporter leaves it, with the operations that conversion adds, then ordered and planned
by the functions that order and plan the file itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from kgrow.architecture import Countable
from kgrow.architecture.arena import best_order, lifetimes_of, planned_bytes
from kgrow.architecture.operation import IMAGE, Operation, on_device

FLOAT_BYTES = 4
LOGITS, PROBABILITIES = "logits", "probabilities"


@dataclasses.dataclass
class _Graph:
    """The tensors of a file: what each is computed from, and its size in bytes."""

    value_bytes: int
    reads: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, name: str, inputs: Sequence[str], values: int) -> str:
        """Appends an operation and its output."""
        self.reads[name], self.sizes[name] = tuple(inputs), values * self.value_bytes
        return name


def arena_bytes_of(architecture: Countable, operations: Sequence[Operation], is_int8: bool, input_bytes: int) -> int:
    """Returns the memory for activations in bytes; exact for what the search spaces offer.

    Args:
        architecture: As trained.
        operations: What of it is in the file.
        is_int8: Whether activations have 8 bits, else they are float32.
        input_bytes: Of a raw pixel's channel as the device feeds it.
    """
    graph = _Graph(1 if is_int8 else FLOAT_BYTES)
    pixels = math.prod(architecture.input_shape)
    graph.sizes[IMAGE] = pixels * input_bytes
    names = {IMAGE: _scaled(graph, architecture, is_int8 or input_bytes != FLOAT_BYTES)}
    shapes = {op.name: op.output_shape for op in operations}
    for op in on_device(operations):
        is_map = op.kind == "dense" and shapes[op.inputs[0]][:2] != (1, 1)
        names[op.name] = _added(graph, op, [names[name] for name in op.inputs], is_map)
    logits = names[operations[-1].name]
    probabilities = graph.add(PROBABILITIES, (logits,), architecture.num_classes)
    wanted = (logits, probabilities)
    order = best_order(graph.reads, graph.sizes, wanted)
    if is_int8:  # what is given is float32
        for name in reversed(wanted):
            order.append(graph.add(f"{name}/float32", (name,), FLOAT_BYTES * architecture.num_classes))
        wanted = (order[-1], order[-2])
    return planned_bytes(lifetimes_of(order, graph.reads, graph.sizes, wanted))


def _scaled(graph: _Graph, architecture: Countable, is_cast: bool) -> str:
    """Adds what happens to raw pixels before the first kernel; the scale is part of that."""
    name, pixels = IMAGE, math.prod(architecture.input_shape)
    if is_cast:
        name = graph.add(f"{IMAGE}/cast", (name,), pixels)
    if any(architecture.scaling.mean):
        name = graph.add(f"{IMAGE}/centered", (name,), pixels)
    return name


def _added(graph: _Graph, op: Operation, inputs: Sequence[str], is_map: bool) -> str:
    """Adds what an operation becomes in the file; returns the name of its output."""
    values = math.prod(op.output_shape)
    if op.kind == "mixed":
        parts = []
        for kind in ("max", "average"):
            pooled = graph.add(f"{op.name}/{kind}/pooled", inputs, values)
            parts.append(graph.add(f"{op.name}/{kind}", (pooled,), values))
        return graph.add(op.name, parts, values)
    if op.kind == "add":  # in pairs
        *inputs, last = inputs
        for number, summand in enumerate(inputs[1:]):
            inputs[0] = graph.add(f"{op.name}/{number}", (inputs[0], summand), values)
        return graph.add(op.name, (inputs[0], last), values)
    if op.kind == "dense" and is_map:
        inputs = [graph.add(f"{op.name}/flat", inputs, op.kernel_shape[0])]
    if op.kind == "conv" and op.dilation > 1 and op.strides == (op.dilation, op.dilation):
        # Every second position of a map is taken once, whatever reads it: see `kgrow.network.weightless.grid`.
        values_read = values // op.kernel_shape[3] * op.kernel_shape[2]
        inputs = [graph.add(f"{inputs[0]}/grid_{op.dilation}", inputs, values_read)]
    return graph.add(op.name, inputs, values)
