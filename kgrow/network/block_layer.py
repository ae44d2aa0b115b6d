"""One block of the network as a layer: the Keras layers of its nodes, run in order."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kgrow._keras import keras, tf
from kgrow._tfmot import Kernel, MaskedLayer
from kgrow.graph import Architecture, Node
from kgrow.registry import blamed, broken, is_foreign

Features = Mapping[str, Any]
FLOAT32, BFLOAT16 = "float32", "bfloat16"


class BlockLayer(keras.layers.Layer):
    """The nodes of one block and its internal classifier.

    Args:
        architecture: The network up to and including this block.
        block_index: Index of the block.
        seed: Random seed of the initial values; those of a node depend only on the seed and its name.
    """

    def __init__(self, architecture: Architecture, block_index: int, *, seed: int):
        super().__init__(name=f"block_{block_index}")
        block = architecture.blocks[block_index]
        self.block_index, self.nodes = block_index, (*block.nodes, *block.head)
        own = {node.name for node in self.nodes}
        self.reads = tuple(dict.fromkeys(name for node in self.nodes for name in node.inputs if name not in own))
        # The maps that later blocks read, usually the head's input; `export` adds to them when blocks are grown.
        self.exports = tuple(name for name in block.head[0].inputs if name in own)
        self.layers = [_layer_of(node, seed_of(seed, node.name)) for node in self.nodes]

        def check(node: Node, inputs: Any, compute: Any) -> Any:
            return _checked(node, compute(inputs), architecture.shapes[node.name])

        self.forward({name: tf.zeros((1, *architecture.shapes[name])) for name in self.reads}, False, check)
        self.built = True
        self._trace()

    def export(self, names: Sequence[str]) -> None:
        """Adds tensors to the output of `run`."""
        missing = [name for name in names if name not in self.exports]
        if missing:
            self.exports = (*self.exports, *missing)
            self._trace()

    def _trace(self) -> None:
        # Early exit calls with a batch of any size.
        self.run = tf.function(self._run, autograph=False, reduce_retracing=True)

    def _run(self, features: Features, training: bool, precision: str = FLOAT32) -> tuple[dict[str, Any], Any]:
        made = self.forward(features, training, precision=precision)
        return {name: made[name] for name in self.exports}, made[self.nodes[-1].name]

    def forward(self, features: Features, training: bool, tap: Any = None, precision: str = FLOAT32) -> dict[str, Any]:
        """Returns the outputs of all nodes, by name.

        Args:
            features: Maps that the block reads from outside.
            training: Whether normalizations use the statistics of the batch.
            tap: Function called for every node; see `call_tapped`.
            precision: See `GrowingNetwork.call_scaled`.
        """
        made = dict(features)
        for node, layer in zip(self.nodes, self.layers, strict=True):
            inputs = [made[name] for name in node.inputs]
            if precision == BFLOAT16 and _may_be_rounded(node):
                made[node.name] = _in_bfloat16(node, layer, inputs)
            else:
                made[node.name] = _called(node, layer, inputs, training, tap)
        return made

    def parts(self) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers with weights by the name of their node."""
        yield from ((node.name, layer) for node, layer in zip(self.nodes, self.layers, strict=True) if layer.weights)

    def kernels(self) -> list[Kernel]:
        """Returns the prunable kernels, named and ordered as in `Architecture.kernels`."""
        return [Kernel(name, layer) for name, layer in self.parts() if isinstance(layer, MaskedLayer)]

    def named_variables(self) -> dict[str, Any]:
        """Returns weights, masks and normalization statistics by names that are the same in every process."""
        return {f"{name}/{own}": variable for name, layer in self.parts() for own, variable in weights_of(layer)}


def _layer_of(node: Node, seed: int) -> keras.layers.Layer:
    layer = node.operator.layer(node.name.replace("/", "_"), seed)
    if is_foreign(node.operator) and not isinstance(layer, keras.layers.Layer):
        raise broken(node.operator, "give a layer of tf_keras", f"gives {layer!r}")
    return layer


def _checked(node: Node, made: Any, shape: tuple[int, ...]) -> Any:
    """Returns a node's output; the shape of one that another project's operator computed is checked.

    Raises:
        PluginError: If it has not the shape that the operator promises; the message names the package.
    """
    if is_foreign(node.operator):
        found = tuple(made.shape[1:]) if tf.is_tensor(made) else made
        if found != shape:
            promise = f"compute what `output_shape` promises, {shape} at {node.name!r}"
            raise broken(node.operator, promise, f"computes {found}")
    return made


def _called(node: Node, layer: Any, inputs: list[Any], training: bool, tap: Any) -> Any:
    def compute(inputs: Sequence[Any]) -> Any:
        with blamed(node.operator):
            return layer(list(inputs) if node.operator.is_variadic else inputs[0], training=training)

    return compute(inputs) if tap is None else tap(node, inputs, compute)


def _may_be_rounded(node: Node) -> bool:
    """Returns whether training may compute a node's operator in bfloat16; a subclass has to say so for itself."""
    return bool(vars(type(node.operator)).get("low_precision", False))


def _in_bfloat16(node: Node, layer: Any, inputs: Sequence[Any]) -> Any:
    """Returns a node's output, float32, computed in bfloat16; its weights and their gradients stay float32."""
    weights = {kind: tf.cast(value, tf.bfloat16) for kind, value in weights_of(layer) if kind != "mask"}
    return tf.cast(node.operator.compute([tf.cast(each, tf.bfloat16) for each in inputs], weights), tf.float32)


def weights_of(layer: keras.layers.Layer) -> Iterator[tuple[str, Any]]:
    """Yields the weights of a node's layer by their own names."""
    if isinstance(layer, MaskedLayer):
        ((kernel, mask, _),) = layer.pruning_vars
        yield from (("kernel", kernel), ("mask", mask))
        if layer.layer.use_bias:
            yield "bias", layer.layer.bias
    else:
        yield from ((variable.name.rpartition("/")[2].partition(":")[0], variable) for variable in layer.weights)


def weight_shapes(node: Node, inputs: Sequence[tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a node's weights by their own names, as `weights_of` has them.

    Args:
        node: Node of an architecture.
        inputs: Shapes of its inputs.
    """
    layer = _layer_of(node, 0)
    _called(node, layer, [tf.zeros((1, *shape)) for shape in inputs], False, None)
    return {name: tuple(variable.shape) for name, variable in weights_of(layer)}


def seed_of(seed: int, name: str) -> int:
    """Derives a node's seed from its name; later blocks do not depend on what was built before."""
    return zlib.crc32(f"{seed}/{name}".encode()) % 2**31
