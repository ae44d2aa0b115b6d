"""`arena_bytes_of`: predicts the memory for activations on a device, from the architecture alone.

The graph is built as the exporter leaves it, with the operations that conversion adds. The functions that order and
plan the file itself then order and plan it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kgrow.graph import IMAGE, Architecture
from kgrow.graph.arena import best_order, lifetimes_of, planned_bytes
from kgrow.graph.device import Step
from kgrow.graph.operators import Shape

FLOAT_BYTES = 4
PIXELS, PROBABILITIES = "pixels", "probabilities"


def arena_bytes_of(architecture: Architecture, steps: Sequence[Step], is_int8: bool, input_bytes: int) -> int:
    """Returns the memory for activations in bytes; exact for the networks of the search spaces.

    Args:
        architecture: Trained architecture.
        steps: Steps of it that a device runs, in the file.
        is_int8: Whether activations have 8 bits instead of float32.
        input_bytes: Bytes per channel of a raw pixel as the device feeds it.
    """
    value_bytes, pixels = 1 if is_int8 else FLOAT_BYTES, math.prod(architecture.input_shape)
    reads: dict[str, tuple[str, ...]] = {}
    sizes = {PIXELS: pixels * input_bytes}

    def add(name: str, inputs: Sequence[str], values: int) -> str:
        reads[name], sizes[name] = tuple(inputs), values * value_bytes
        return name

    # Operations on raw pixels before the first kernel, including the scale.
    source = add(f"{IMAGE}/cast", (PIXELS,), pixels) if is_int8 or input_bytes != FLOAT_BYTES else PIXELS
    held = {IMAGE: add(IMAGE, (source,), pixels) if any(architecture.scaling.mean) else source}
    shapes: dict[str, Shape] = {IMAGE: architecture.input_shape}
    for step in steps:
        inputs, shapes[step.name] = [held[name] for name in step.inputs], step.shape
        # The converter drops operations that only remove axes of a single position.
        is_free = step.operator.is_reshape and math.prod(shapes[step.inputs[0]][:-1]) == 1
        held[step.name] = inputs[0] if is_free else add(step.name, inputs, math.prod(step.shape))
    logits = held[steps[-1].name]
    probabilities = add(PROBABILITIES, (logits,), architecture.num_classes)
    wanted = (logits, probabilities)
    order = best_order(reads, sizes, wanted)
    if is_int8:  # the given values are float32
        for name in reversed(wanted):
            order.append(add(f"{name}/float32", (name,), FLOAT_BYTES * architecture.num_classes))
        wanted = (order[-1], order[-2])
    return planned_bytes(lifetimes_of(order, reads, sizes, wanted))
