"""`Graph`: a Keras model as data, its layers in order, from which it is built again with other widths."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from kgrow._keras import keras, tf
from kgrow.compressing.layers import LAYERS, Node
from kgrow.network.dilation import differentiable

Values = Mapping[str, np.ndarray]
LARGEST_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Graph:
    """The layers of a classifier, each after those that it reads; the last one gives the output.

    Its weights go along as `Values`: arrays by names such as `conv2d/kernel`.

    Args:
        nodes: The layers; the first is the input.
    """

    nodes: tuple[Node, ...]

    @functools.cached_property
    def by_name(self) -> dict[str, Node]:
        """The layers by name."""
        return {node.name: node for node in self.nodes}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.nodes[0].shape
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """Number of outputs."""
        return self.nodes[-1].shape[-1]

    def replaced(self, changed: Node) -> Graph:
        """Returns the graph with one layer changed."""
        return Graph(tuple(changed if node.name == changed.name else node for node in self.nodes))

    def to_logits(self) -> Graph:
        """Returns the graph up to its logits: without the softmax at its end, if there is one.

        Raises:
            ValueError: If it ends in another activation.
        """
        last = self.nodes[-1]
        if last.activation == "linear":
            return self
        if last.activation != "softmax":
            raise ValueError(
                f"`model` must end in softmax or in logits, but its last layer {last.name!r} ({last.kind}) ends in "
                f"{last.activation}. Train it with one output per class, also for two classes, and a softmax."
            )
        if last.kind in ("Softmax", "Activation"):
            return Graph(self.nodes[:-1])
        return self.replaced(dataclasses.replace(last, config={**last.config, "activation": "linear"}))

    def for_training(self, seed: int) -> Graph:
        """Returns the graph with what fine-tuning needs: seeds for dropout, and statistics that soon forget.

        Keras' default momentum of 0.99 would leave a few epochs' statistics far behind the weights.

        Args:
            seed: Of all dropout.
        """
        nodes = []
        for number, node in enumerate(self.nodes):
            config = dict(node.config)
            if "seed" in config:
                config["seed"] = seed + number
            if "momentum" in config:
                config["momentum"] = min(config["momentum"], LARGEST_MOMENTUM)
            nodes.append(dataclasses.replace(node, config=config))
        return Graph(tuple(nodes))

    def macs(self, values: Values) -> int:
        """Counts the multiply-accumulates per image."""
        kernels = {name: value for name, value in values.items() if name.endswith("kernel")}
        return sum(value.size * self.by_name[name.rpartition("/")[0]].positions for name, value in kernels.items())


def build(graph: Graph, values: Values, name: str = "classifier") -> keras.Model:
    """Returns a new Keras model.

    Args:
        graph: Its layers.
        values: Their weights.
        name: Of the model.
    """
    image = graph.nodes[0]
    tensors = {image.name: keras.Input(image.shape, name=image.name)}
    layers = {}
    for node in graph.nodes[1:]:
        layer = LAYERS[node.kind].from_config(dict(node.config))
        layers[node.name] = differentiable(layer) if node.kind == "Conv2D" else layer
        read = [tensors[source] for source in node.inputs]
        tensors[node.name] = layers[node.name](read if len(read) > 1 else read[0])
    model = keras.Model(tensors[image.name], tensors[graph.nodes[-1].name], name=name)
    for variable_name, variable in variables(model).items():
        variable.assign(values[variable_name])
    for node in graph.nodes:
        if node.kind == "Normalization":
            layers[node.name].finalize_state()  # it computes with copies of its variables
    return model


def variables(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns the variables of a model by the names of `Values`."""
    named = {}
    for layer in model.layers:
        for variable in layer.weights:
            kind = variable.name.rpartition("/")[2].partition(":")[0]
            named[f"{layer.name}/{kind}"] = variable
    return named


def outputs(model: keras.Model, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Runs a model in inference over many images; returns float32 (num_images, num_classes)."""
    dtype = model.inputs[0].dtype
    infer = tf.function(lambda batch: model(tf.cast(batch, dtype), training=False), autograph=False)
    starts = range(0, len(images), batch_size)
    return np.concatenate([infer(np.asarray(images[start : start + batch_size])).numpy() for start in starts])
