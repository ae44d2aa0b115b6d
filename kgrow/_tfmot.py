"""The adapter to TensorFlow Model Optimization (TFMOT). All knowledge of its pruning wrapper is in this module.

TFMOT's wrapper holds a kernel and its mask; kgrow decides which connections the mask keeps. TFMOT's own magnitude rule
would revive connections: it keeps ties and turns an all-zero kernel into an all-ones mask. The schedule given to it
therefore never fires. Its `call` multiplies by the mask on every forward pass, also in inference, with about thirty
operations per layer that can be neither converted nor traced cheaply. `MaskedLayer` omits them, and `apply_masks` keeps
the same invariant from outside: a masked weight is zero whenever a forward pass reads it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras, quiet_stderr

with quiet_stderr():
    import tensorflow_model_optimization as tfmot

    # The wrapper class has no public name; tfmot's own `prune_low_magnitude` is the function that applies it.
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import PruneLowMagnitude


class NeverUpdate(tfmot.sparsity.keras.PruningSchedule):
    """A TFMOT schedule that never requests a mask update: only kgrow assigns masks."""

    def __call__(self, step: Any) -> tuple[bool, float]:
        """Returns (should_prune, sparsity): always `(False, 0.0)`."""
        return False, 0.0

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration in Keras' form."""
        return {"class_name": type(self).__name__, "config": {}}


class MaskedLayer(PruneLowMagnitude):
    """TFMOT's pruning wrapper without its extra operations in each forward pass.

    Args:
        layer: A Keras layer from TFMOT's registry with one kernel, such as Conv2D or Dense.
    """

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(layer, pruning_schedule=NeverUpdate())

    def build(self, input_shape: Any) -> None:
        """Builds the layer, its mask and TFMOT's counters."""
        super().build(input_shape)
        # A wrapper added by growth would start at -1 and fail TFMOT's own check; see test_tfmot.py.
        self.pruning_step.assign(0)

    def call(self, inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        """Calls the wrapped layer; its kernel is already masked."""
        return self.layer(inputs, **kwargs)


class PrunableDepthwise(keras.layers.DepthwiseConv2D, tfmot.sparsity.keras.PrunableLayer):
    """A depthwise convolution with a prunable kernel; TFMOT's registry has the layer, but no prunable weight for it."""

    def get_prunable_weights(self) -> list[Any]:
        """Returns the kernel. This is TFMOT's interface for layers that its registry does not know."""
        return [self.depthwise_kernel]


class Kernel:
    """A prunable weight tensor and its mask.

    Args:
        name: Position in the network, for example `block_0/cell_1/first`.
        layer: Built wrapper that holds both variables.
    """

    def __init__(self, name: str, layer: MaskedLayer):
        ((weight, mask, _),) = layer.pruning_vars
        self.name, self.layer, self.weight, self.mask = name, layer, weight, mask

    @property
    def size(self) -> int:
        """Number of prunable connections."""
        return int(np.prod(self.weight.shape))

    @property
    def kept(self) -> int:
        """Number of connections that the mask keeps."""
        return int(np.count_nonzero(self.mask.numpy()))


def prunable(layer: keras.layers.Layer) -> MaskedLayer:
    """Wraps a layer so that its kernel can be pruned; kgrow creates every layer with a kernel this way."""
    return MaskedLayer(layer)


def apply_masks(kernels: Iterable[Kernel]) -> None:
    """Sets the weights that the masks remove to zero; cheap, and callable inside a traced function."""
    for kernel in kernels:
        kernel.weight.assign(kernel.weight * kernel.mask)


def assign_masks(kernels: Sequence[Kernel], masks: Sequence[np.ndarray]) -> None:
    """Assigns one {0, 1} mask per kernel and sets the removed weights to zero.

    Args:
        kernels: Kernels to prune.
        masks: Arrays of the kernels' shapes.

    Raises:
        ValueError: If a mask would revive a pruned connection.
    """
    for kernel, mask in zip(kernels, masks, strict=True):
        if np.any(mask > kernel.mask.numpy()):
            raise ValueError(f"`masks` must not revive a pruned connection, but the mask of {kernel.name} does.")
        kernel.mask.assign(mask)
    apply_masks(kernels)


def revive_connections(kernels: Sequence[Kernel], masks: Sequence[np.ndarray]) -> None:
    """Assigns masks that restore connections; a restored weight is zero, as it was while pruned."""
    apply_masks(kernels)
    for kernel, mask in zip(kernels, masks, strict=True):
        kernel.mask.assign(mask)


def strip(layer: MaskedLayer) -> keras.layers.Layer:
    """Returns the plain layer inside a wrapper, with its masked weights exactly zero."""
    ((weight, mask, _),) = layer.pruning_vars
    weight.assign(weight * mask)
    return layer.layer
