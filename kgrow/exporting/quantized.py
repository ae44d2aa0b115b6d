"""`QuantizedNetwork`: simulates 8-bit results in floats, for evaluation and training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.exporting.folded import FoldedNetwork
from kgrow.graph import IMAGE
from kgrow.graph.device import Step

MIN_IMAGES = 16
BATCH = 256
PIXEL_RANGE = (0.0, 255.0)


class QuantizedNetwork:
    r"""A folded network with fake quantization of every tensor that a device stores.

    Activations have one range per tensor, :math:`q = \mathrm{round}(x / s) + z` in 8 bits with zero among the values;
    convolution kernels have one symmetric range per output channel, the kernels of heads one for all, in
    [-127, 127]. Gradients pass through the rounding unchanged.

    Args:
        folded: Folded network; its variables are shared.
        ranges: (smallest, largest) value of each tensor; see `calibrate`.

    References:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
        CVPR 2018, https://arxiv.org/abs/1712.05877, section 3.
    """

    def __init__(self, folded: FoldedNetwork, ranges: Mapping[str, tuple[float, float]]):
        self.folded = folded
        self.ranges = ranges

    def heads(self, images: Any, only: Collection[str] | None = None) -> list[Any]:
        """Maps raw pixels, float32, to logits (batch, num_classes), one per head.

        Args:
            images: Raw pixels, (batch, height, width, channels).
            only: Tensors and kernels to quantize; all of them by default.
        """

        def activation(name: str, tensor: Any) -> Any:
            is_quantized = only is None or name in only
            return tf.quantization.fake_quant_with_min_max_args(tensor, *self.ranges[name]) if is_quantized else tensor

        def kernel(name: str, tensor: Any) -> Any:
            return fake_quant_kernel(tensor) if only is None or name in only else tensor

        return self.folded.heads(images, activation, kernel)


def fake_quant_kernel(kernel: Any) -> Any:
    """Returns a kernel rounded to 8 bits: with a range per output channel, or one for a whole Dense layer."""
    if len(kernel.shape) == 2:  # the converter transposes it, which fails with a range per channel
        largest = tf.maximum(tf.reduce_max(tf.abs(kernel)), 1e-8)
        return tf.quantization.fake_quant_with_min_max_vars(kernel, -largest, largest, narrow_range=True)
    others = tuple(range(len(kernel.shape) - 1))
    largest = tf.maximum(tf.reduce_max(tf.abs(kernel), axis=others), 1e-8)  # a dead channel still needs a range
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -largest, largest, narrow_range=True)


def check_representative(images: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises ValueError if there are too few images to calibrate activations, or they have another shape."""
    if images.shape[1:] != shape or len(images) < MIN_IMAGES:
        raise ValueError(
            f"`representative_dataset` must hold at least {MIN_IMAGES} training images of shape {shape}, but got an "
            f"array of shape {images.shape}: ranges seen on fewer would cut off what other images need."
        )


def calibrate(folded: FoldedNetwork, images: np.ndarray) -> dict[str, tuple[float, float]]:
    """Returns the smallest and largest value of every tensor over a representative dataset.

    Args:
        folded: The network.
        images: Raw pixels (num_images, height, width, channels), at least 16. If they are uint8, the range of the
            pixels is always [0, 255], so that a device feeds raw pixels.

    Raises:
        ValueError: If there are too few images, or they do not fit the network.
    """
    check_representative(images, folded.architecture.input_shape)
    seen: dict[str, tuple[float, float]] = {}

    def note(name: str, tensor: Any) -> Any:
        smallest, largest = seen.get(name, (0.0, 0.0))  # zero must be a value: padding is zero
        seen[name] = (min(smallest, float(np.min(tensor))), max(largest, float(np.max(tensor))))
        return tensor

    for start in range(0, len(images), BATCH):
        folded.heads(tf.cast(images[start : start + BATCH], tf.float32), observe=note)
    if images.dtype == np.uint8:
        seen[IMAGE] = PIXEL_RANGE
    seen |= {step.name: step.fixed_range for step in folded.steps if step.fixed_range is not None}
    return {name: _not_empty(*bounds) for name, bounds in _shared(folded.steps, seen).items()}


def _shared(steps: Sequence[Step], ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Returns the ranges; tensors that are concatenated share one.

    In 8 bits a concatenation copies: the converter would use one range for all and clip values outside it.
    """
    groups = {name: frozenset({name}) for name in ranges}
    behind = dict(groups)  # per operation, the tensors whose ranges its values have; pools have no own range
    behind.setdefault(IMAGE, frozenset())
    for step in steps:
        behind.setdefault(step.name, frozenset().union(*(behind[name] for name in step.inputs)))
        if len(step.inputs) > 1 and not step.has_own_range:
            together = frozenset().union(*(groups[name] for name in behind[step.name]))
            groups |= dict.fromkeys(together, together)
    return {
        name: (min(ranges[other][0] for other in group), max(ranges[other][1] for other in group))
        for name, group in groups.items()
    }


def _not_empty(smallest: float, largest: float) -> tuple[float, float]:
    # A tensor that is zero for all images, as after a dead cell: any scale is valid.
    return (smallest, largest) if smallest < largest else (0.0, 1.0)


def quantization_errors(quantized: QuantizedNetwork, images: np.ndarray) -> dict[str, float]:
    """Returns the mean squared error of the final logits if only one layer is quantized, kernel and output.

    Args:
        quantized: The network.
        images: Raw pixels (num_images, height, width, channels).
    """
    pixels = tf.cast(images, tf.float32)
    exact = quantized.folded.heads(pixels)[-1]
    names = [kernel.name for kernel in quantized.folded.architecture.kernels()]
    # The output of a layer may be stored by the activation that reads it.
    held = {name: step.name for step in quantized.folded.steps for name in step.inputs if name not in quantized.ranges}
    run = {name: quantized.heads(pixels, only=(name, held.get(name, name)))[-1] for name in names}
    return {name: float(tf.reduce_mean(tf.square(logits - exact))) for name, logits in run.items()}
