"""The Keras layers that can be compressed, and what each does to channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras

# By class name; a subclass may compute anything, so it is none of these.
LAYERS: dict[str, Any] = {
    layer.__name__: layer
    for layer in (
        keras.layers.InputLayer,
        keras.layers.Dense,
        keras.layers.Conv2D,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv2D,
        keras.layers.BatchNormalization,
        keras.layers.Activation,
        keras.layers.ReLU,
        keras.layers.LeakyReLU,
        keras.layers.Softmax,
        keras.layers.MaxPooling2D,
        keras.layers.AveragePooling2D,
        keras.layers.GlobalAveragePooling2D,
        keras.layers.GlobalMaxPooling2D,
        keras.layers.Flatten,
        keras.layers.Dropout,
        keras.layers.SpatialDropout2D,
        keras.layers.ZeroPadding2D,
        keras.layers.Rescaling,
        keras.layers.Normalization,
        keras.layers.Add,
        keras.layers.Concatenate,
    )
}
# Their outputs are channels of their own; every other layer passes on those that it reads.
MAKERS = ("Dense", "Conv2D", "SeparableConv2D")
# They may hold a number per channel in their configuration, and stand before the first kernel.
SCALERS = ("Rescaling", "Normalization")
# Of one value each: an activation that mixes channels, such as softmax, would change with the channels that are left.
ACTIVATIONS = (
    "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "swish", "silu", "mish", "tanh", "sigmoid",
    "hard_sigmoid", "softplus", "softsign",
)  # fmt: skip
VECTORS = ("bias", "gamma", "beta", "moving_mean", "moving_variance")


@dataclasses.dataclass(frozen=True)
class Node:
    """A layer of a model.

    Args:
        name: Of the layer, unique in the model.
        kind: Of the layer, a key of `LAYERS`.
        config: What the layer is made of again.
        inputs: Names of the layers that it reads.
        shape: Of its output, without the batch.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def activation(self) -> str:
        """Name of the activation inside, "linear" if there is none."""
        named = {"Softmax": "softmax", "ReLU": "relu", "LeakyReLU": "leaky_relu"}
        found = self.config.get("activation", named.get(self.kind, "linear"))
        return found if isinstance(found, str) else str(found.get("class_name"))

    @property
    def positions(self) -> int:
        """How often each of its connections is used for an image."""
        return int(np.prod(self.shape[:-1]))

    def kernel_sides(
        self, read: np.ndarray, made: np.ndarray, outside: bool | int
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns per kernel what belongs to its input rows and to its output columns.

        Args:
            read: A value per channel that the layer reads.
            made: A value per channel of its output.
            outside: The value of what is no channel: a depthwise kernel has its channels in its rows alone.
        """
        if self.kind in ("Dense", "Conv2D"):
            return {"kernel": (read, made)}
        if self.kind not in ("DepthwiseConv2D", "SeparableConv2D"):
            return {}
        multiplier = self.config["depth_multiplier"]
        sides = {"depthwise_kernel": (read, np.full(multiplier, outside))}
        if self.kind == "SeparableConv2D":
            sides["pointwise_kernel"] = (np.repeat(read, multiplier), made)
        return sides


def check_node(node: Node, read: Sequence[tuple[int, ...]], is_last: bool) -> None:
    """Checks that a layer treats its channels as its kind promises.

    Args:
        node: The layer.
        read: Shapes that it reads, without the batch.
        is_last: Whether it gives the model's output.

    Raises:
        ValueError: If not; the message names the layer.
    """
    rank, config = len(node.shape), node.config
    if config.get("data_format", "channels_last") != "channels_last":
        raise _refusal("have its channels last", node, "has them first", "Build it with `data_format='channels_last'`.")
    if config.get("groups", 1) != 1:
        raise _refusal("have no grouped convolutions", node, f"has {config['groups']} groups", "Use DepthwiseConv2D.")
    if node.kind in ("BatchNormalization", "Concatenate", "Softmax") and not _is_last_axis(config["axis"], rank):
        raise _refusal("work along the channels", node, f"has the axis {config['axis']}", "Use the last one.")
    if node.kind == "Add" and len(set(read)) > 1:
        raise _refusal("add maps of one shape", node, f"adds {sorted(set(read))}", "Bring them to one shape before.")
    if node.activation not in ACTIVATIONS and not (node.activation == "softmax" and is_last):
        raise _refusal(
            "have activations that treat each value alone",
            node,
            f"has {node.activation!r}",
            f"Supported are {', '.join(ACTIVATIONS)}, each by its name, and softmax at the end.",
        )


def _is_last_axis(axis: Any, rank: int) -> bool:
    axes = [int(axis)] if isinstance(axis, int) else [int(each) for each in axis]
    return axes in ([-1], [rank])  # `rank` leaves the batch out


def _refusal(rule: str, node: Node, has: str, mend: str) -> ValueError:
    return ValueError(f"`model` must {rule}, but its layer {node.name!r} ({node.kind}) {has}. {mend}")
