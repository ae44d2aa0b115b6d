"""`Operation`: one step of a network, and which of them a device runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

IMAGE = "image"

Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation with an output of its own.

    Args:
        name: Unique; kernels have the name that the network gives them, such as `block_1/cell_4/first`.
        kind: `"conv"`, `"depthwise"` or `"dense"`; `"max"`, `"average"`, or `"mixed"` for a head's mean of both;
            `"add"`, `"concat"`, `"relu"` or `"scale"`.
        block_index: The block it belongs to.
        inputs: Names of the operations read; `"image"` is the network's input.
        output_shape: (height, width, channels); a head's output is (1, 1, num_classes).
        kernel_shape: (height, width, in, out) of a convolution, out being 1 of a depthwise one, (in, out) of Dense, ()
            where there is no kernel.
        norm_channels: Channels normalised right after it, 0 for none.
        other_params: Trainable values besides the kernel and the normalisation: Dense bias, a head's mixing weight.
        window: (height, width) that a pool looks at.
        strides: (height, width) of a convolution or a pool.
        dilation: Distance of a convolution's taps.
        relu: Whether ReLU ends it, after the normalisation.
        is_head: Whether only the block's own classifier needs it.
    """

    name: str
    kind: str
    block_index: int
    inputs: tuple[str, ...]
    output_shape: Shape
    _: dataclasses.KW_ONLY
    kernel_shape: tuple[int, ...] = ()
    norm_channels: int = 0
    other_params: int = 0
    window: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilation: int = 1
    relu: bool = False
    is_head: bool = False

    @property
    def kernel_params(self) -> int:
        """Prunable connections."""
        return math.prod(self.kernel_shape) if self.kernel_shape else 0

    @property
    def positions(self) -> int:
        """How often each connection is used: output positions of a convolution, 1 for Dense."""
        return self.output_shape[0] * self.output_shape[1]


def reduced(size: int, stride: int) -> int:
    """Returns a side after a convolution or a pool with SAME padding."""
    return -(-size // stride)


def on_device(operations: Sequence[Operation]) -> list[Operation]:
    """Returns the operations that a device runs, with the names of what they read there.

    A ReLU is part of the operation before it if nothing else reads that, and what several edges compute alike without
    weights is computed once.
    """
    held = _held_in(operations)
    steps = (op for op in operations if held[op.name] == op.name)
    return [dataclasses.replace(op, inputs=tuple(held[name] for name in op.inputs)) for op in steps]


def _held_in(operations: Sequence[Operation]) -> dict[str, str]:
    """Returns per operation the one on the device whose tensor holds its output."""
    read_otherwise = {name for op in operations if op.kind != "relu" for name in op.inputs}
    copies = {op.name for op in operations if op.kind == "concat"}  # which cannot do more than that
    held = {IMAGE: IMAGE}
    first: dict[tuple, str] = {}
    for op in operations:
        held[op.name] = op.name
        if op.kind in ("relu", "max", "average"):
            (source,) = op.inputs
            is_part = op.kind == "relu" and source not in read_otherwise | copies
            key = (op.kind, held[source], op.window, op.strides)
            held[op.name] = first.setdefault(key, held[source] if is_part else op.name)
    return held
