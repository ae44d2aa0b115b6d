"""`Countable`: what can be counted on a network that is data, whatever it is made of."""

from __future__ import annotations

import abc

from kgrow.architecture.operation import Operation
from kgrow.architecture.scaling import Scaling


class Countable(abc.ABC):
    """A network as a value: its operations tell what it costs, without building it.

    Args:
        input_shape: (height, width, channels) of the raw image.
        num_classes: Logits per head.
        scaling: Applied to raw pixels inside the network.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    scaling: Scaling

    @property
    @abc.abstractmethod
    def operations(self) -> tuple[Operation, ...]:
        """Every operation with an output of its own, in the order the network runs them."""

    @abc.abstractmethod
    def macs(self) -> int:
        """Counts the multiply-accumulates of convolutions and Dense layers for one image."""

    def kernels(self, block_index: int | None = None) -> tuple[Operation, ...]:
        """Returns the operations with a kernel (convolutions and Dense), of one block or of all."""
        return tuple(
            op for op in self.operations if op.kernel_shape and (block_index is None or op.block_index == block_index)
        )

    def kernel_params(self, block_index: int | None = None) -> int:
        """Counts connections: convolution and Dense kernels, no bias and no normalisation."""
        return sum(op.kernel_params for op in self.kernels(block_index))

    def trainable_params(self) -> int:
        """Counts kernels, biases, BN scale and offset, and one mixing weight per head that pools."""
        return sum(op.kernel_params + 2 * op.norm_channels + op.other_params for op in self.operations)

    def params(self) -> int:
        """Counts all variables, BN's moving statistics included: what Keras' `count_params` gives."""
        return self.trainable_params() + sum(2 * op.norm_channels for op in self.operations)
