"""The internal classifier that ends every block."""

from collections.abc import Iterator
from typing import Any

from kgrow._keras import keras, tf
from kgrow._tfmot import prunable
from kgrow.architecture import Head
from kgrow.architecture.operations import head_grid
from kgrow.network.conv_norm import kernel_seed


class InternalClassifier(keras.layers.Layer):
    r"""Mixed max/average pooling, then Dense: features to logits.

    The pooled map is :math:`\alpha\,\mathrm{max} + (1 - \alpha)\,\mathrm{avg}` with one trainable scalar per head,
    drawn from U(0, 1) and unconstrained. Sides shorter than twice the head's grid are not pooled.

    Args:
        head: The grid to pool to.
        num_classes: Number of logits.
        size: (height, width) of the features.
        seed: Of the initial values.
        prefix: The name of the head in the network, such as `block_0/head`.

    References:
        Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and Mitigating Network Overthinking",
        ICML 2019, https://arxiv.org/abs/1810.07052, section 4.1 and the authors' released code.
    """

    def __init__(self, head: Head, num_classes: int, size: tuple[int, int], *, seed: int, prefix: str):
        super().__init__(name="head")
        self.window, pooled = head_grid(size, head.grid)
        self.mixing = None
        if pooled != size:
            initializer = keras.initializers.RandomUniform(0.0, 1.0, seed=kernel_seed(seed, f"{prefix}/mixing"))
            self.mixing = self.add_weight("mixing", shape=(), initializer=initializer)
        # U(-1, 1) / sqrt(fan_in), as in the authors' framework. Glorot's range is more than twice as wide: the first
        # steps of a fresh head then shake the blocks before it.
        kernel = keras.initializers.VarianceScaling(
            1 / 3, "fan_in", "uniform", seed=kernel_seed(seed, f"{prefix}/dense")
        )
        self.flatten = keras.layers.Flatten(name="flatten")
        self.dense = prunable(keras.layers.Dense(num_classes, kernel_initializer=kernel, name="dense"))

    def call(self, features: Any) -> Any:
        """Maps (batch, height, width, channels) to logits (batch, num_classes)."""
        if self.mixing is not None:
            largest = tf.nn.max_pool2d(features, self.window, self.window, "VALID")
            average = tf.nn.avg_pool2d(features, self.window, self.window, "VALID")
            features = self.mixing * largest + (1.0 - self.mixing) * average
        return self.dense(self.flatten(features))

    def parts(self, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers that hold variables, by the name of the kernel they belong to."""
        yield f"{prefix}/dense", self.dense
