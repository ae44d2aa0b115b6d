"""What quantization does to a user's model, one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.compressing.graph import Graph, variables
from kgrow.compressing.layers import Node

Observe = Callable[[Node, Any], Any]
# A device computes them together with the layer before.
FUSED = ("BatchNormalization", "Dropout", "SpatialDropout2D")
FUSED_ACTIVATIONS = ("linear", "relu", "relu6")


def layer_errors(
    model: keras.Model,
    graph: Graph,
    images: np.ndarray,
    stored: Callable[[Any], Any],
    *,
    outputs_too: bool = False,
) -> dict[str, float]:
    """Returns the mean squared error of the logits if one layer alone is quantized, by name.

    Args:
        model: Gives logits; it is as before afterwards.
        graph: Its layers.
        images: Raw pixels (num_images, height, width, channels).
        stored: Maps a kernel to what a device reads of it.
        outputs_too: Whether what a layer gives is stored in 8 bits too.
    """
    pixels = tf.cast(images, model.inputs[0].dtype)
    ranges: dict[str, tuple[float, float]] = {}
    exact = _run(model, graph, pixels, lambda node, tensor: _noted(ranges, node, tensor))
    stored_outputs = _stored_outputs(graph) if outputs_too else set()
    kernels = _kernels(model)
    found = {}
    for node in graph.nodes[1:]:
        own = {name: kernels[name] for name in kernels if name.rpartition("/")[0] == node.name}
        if own or node.name in stored_outputs:
            rounded = ranges if node.name in stored_outputs else {}
            logits = _run_rounded(model, graph, pixels, node, own, stored, rounded)
            found[node.name] = float(tf.reduce_mean(tf.square(logits - exact)))
    return found


def _run(model: keras.Model, graph: Graph, pixels: Any, observe: Observe) -> Any:
    tensors = {graph.nodes[0].name: pixels}
    for node in graph.nodes[1:]:
        read = [tensors[name] for name in node.inputs]
        layer = model.get_layer(node.name)
        tensors[node.name] = observe(node, layer(read if len(read) > 1 else read[0], training=False))
    return tensors[graph.nodes[-1].name]


def _run_rounded(
    model: keras.Model,
    graph: Graph,
    pixels: Any,
    chosen: Node,
    kernels: Mapping[str, Any],
    stored: Callable[[Any], Any],
    ranges: Mapping[str, tuple[float, float]],
) -> Any:
    def observe(node: Node, tensor: Any) -> Any:
        is_rounded = node == chosen and node.name in ranges
        return tf.quantization.fake_quant_with_min_max_args(tensor, *ranges[node.name]) if is_rounded else tensor

    values = {name: kernel.numpy() for name, kernel in kernels.items()}
    try:
        for name, kernel in kernels.items():
            # A depthwise kernel has its output channels in its last two axes.
            flat = (*kernel.shape[:2], 1, -1) if name.endswith("/depthwise_kernel") else kernel.shape
            kernel.assign(tf.reshape(stored(tf.reshape(values[name], flat)), kernel.shape))
        return _run(model, graph, pixels, observe)
    finally:
        for name, kernel in kernels.items():
            kernel.assign(values[name])


def _kernels(model: keras.Model) -> dict[str, Any]:
    return {name: variable for name, variable in variables(model).items() if name.endswith("kernel")}


def _noted(ranges: dict[str, tuple[float, float]], node: Node, tensor: Any) -> Any:
    smallest, largest = min(0.0, float(np.min(tensor))), max(0.0, float(np.max(tensor)))
    ranges[node.name] = (smallest, largest) if smallest < largest else (0.0, 1.0)
    return tensor


def _stored_outputs(graph: Graph) -> set[str]:
    """Returns the layers whose output a device stores: those that another one does not finish."""
    readers: dict[str, list[Node]] = {node.name: [] for node in graph.nodes}
    for node in graph.nodes:
        for source in node.inputs:
            readers[source].append(node)
    return {name for name, found in readers.items() if not found or not all(map(_is_fused, found))}


def _is_fused(node: Node) -> bool:
    return node.kind in FUSED or (node.kind in ("ReLU", "Activation") and node.activation in FUSED_ACTIVATIONS)
