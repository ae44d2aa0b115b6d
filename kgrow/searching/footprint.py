"""Predicted costs of a network on a device, from its architecture alone: fast enough for a million candidates."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from kgrow.graph import Architecture
from kgrow.graph.device import device_steps
from kgrow.pruning import kept_of
from kgrow.searching.memory import arena_bytes_of


@dataclasses.dataclass(frozen=True)
class Format:
    """Sizes of a file format's parts, in bytes.

    Args:
        weight: Bytes per kernel weight.
        channel: Bytes per output channel of a kernel: the bias, and in 8 bits the scales of both.
        kernel: Bytes per operation with a kernel: its tensors and options.
        operation: Bytes per operation without one.
        file: Bytes of the rest, including the description.
    """

    weight: int
    channel: int
    kernel: int
    operation: int
    file: int


# A line slightly above exported files, by up to 5 % at 11 to 118 operations, so that tried candidates fit at the end.
# It holds for files of trained networks: biases that are all zero, as in new ones, are stored once.
FORMATS = {"float32": Format(4, 6, 209, 99, 2_300), "int8": Format(1, 16, 255, 117, 2_600)}


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Predicted figures of one candidate, with the names of `Limits`.

    Args:
        params: Kept connections; exact.
        macs: Multiply-accumulates per image to the last head, pruned connections included; exact.
        flash_bytes: Size of the exported file with the last head; the prediction is a few percent above it.
        ram_bytes: Memory for activations; exact as long as pruning keeps every channel.
    """

    params: int
    macs: int
    flash_bytes: int
    ram_bytes: int


@dataclasses.dataclass(frozen=True)
class Costs:
    """The parts of a footprint that do not depend on the keep ratios.

    Args:
        kernels: Sizes of the kernels, per block.
        macs: Multiply-accumulates; see `Footprint`.
        flash_bytes: Size of the file; see `Footprint`.
        ram_bytes: Memory for activations; see `Footprint`.
    """

    kernels: tuple[tuple[int, ...], ...]
    macs: int
    flash_bytes: int
    ram_bytes: int

    def footprint(self, keep_ratios: Sequence[float], scope: str = "block") -> Footprint:
        """Returns the footprint of a candidate.

        Args:
            keep_ratios: Keep ratios, one per block.
            scope: Scope of the ranking in pruning; it decides how counts are rounded.
        """
        return Footprint(kept_of(self.kernels, keep_ratios, scope), self.macs, self.flash_bytes, self.ram_bytes)


@functools.lru_cache(maxsize=1024)
def costs(architecture: Architecture, quantization: str = "int8", input_dtype: str = "uint8") -> Costs:
    """Returns the costs of an architecture as a file of a format.

    Args:
        architecture: Trained architecture.
        quantization: Name in `FORMATS`.
        input_dtype: Type of the raw pixels.
    """
    last, parts = len(architecture.blocks) - 1, FORMATS[quantization]
    steps = device_steps(architecture, heads=(last,))
    kernels = [step for step in steps if step.kernel_shape]
    others = len(steps) - len(kernels)
    weights = sum(math.prod(step.kernel_shape) for step in kernels)
    channels = sum(step.shape[-1] for step in kernels)
    return Costs(
        kernels=tuple(
            tuple(kernel.kernel_params for kernel in architecture.kernels(index)) for index in range(last + 1)
        ),
        macs=architecture.macs(),
        flash_bytes=weights * parts.weight
        + channels * parts.channel
        + len(kernels) * parts.kernel
        + others * parts.operation
        + parts.file,
        ram_bytes=arena_bytes_of(architecture, steps, quantization == "int8", np.dtype(input_dtype).itemsize),
    )
