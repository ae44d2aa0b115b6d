"""Conversion of a Keras model to an architecture with weights, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras
from kgrow._plugins import PluginError
from kgrow._tfmot import MaskedLayer
from kgrow.graph.architecture import Architecture, Block
from kgrow.graph.node import IMAGE, Node
from kgrow.graph.operators import OPERATORS, Activation, Conv, DepthwiseConv, LeakyReLU, Operator, ReLU, Rescale, Shape
from kgrow.graph.operators.activation import ALIASES, FUNCTIONS, hard_swish
from kgrow.graph.scaling import Scaling
from kgrow.graph.values import Weighted
from kgrow.registry import broken, origin

# Those of other packages are loaded where a model has a layer that is not among these; see `reader_of`.
READERS = {layer: operator for operator in map(OPERATORS.of_kgrow, OPERATORS.own) for layer in operator.keras_layers}
# Keras layers without an own operator: read as others, or ignored.
COMPOSED = ("InputLayer", "SeparableConv2D", "Normalization", "Softmax")
LAYERS = tuple(sorted((*READERS, *COMPOSED)))
REGULARIZED = {
    "kernel_regularizer": "kernel",
    "depthwise_regularizer": "kernel",
    "pointwise_regularizer": "kernel",
    "bias_regularizer": "bias",
    "gamma_regularizer": "gamma",
    "beta_regularizer": "beta",
}
ACTIVATIONS = ("linear", "relu", "relu6", "leaky_relu", *FUNCTIONS, *ALIASES)


def reader_of(layer: str) -> type[Operator] | None:
    """Returns the operator that reads the Keras layers of a class name; None if there is none.

    Raises:
        PluginError: If operators of other packages read the same layers as each other or as kgrow.
    """
    if layer in LAYERS:
        return READERS.get(layer)
    owners = []
    for operator in _foreign_operators()[0]:
        known = [name for name in operator.keras_layers if name in LAYERS]
        if known:
            raise broken(operator, "leave the layers to kgrow that it reads itself", f"claims {known[0]!r}")
        owners += [operator] if layer in operator.keras_layers else []
    if len(owners) > 1:
        raise PluginError(f"{layer!r} must be read by one operator, but {' and '.join(map(origin, owners))} claim it.")
    return owners[0] if owners else None


def broken_readers() -> list[PluginError]:
    """Returns the errors of operators of other packages that cannot be loaded; they may read further layers."""
    return _foreign_operators()[1]


def _foreign_operators() -> tuple[list[type[Operator]], list[PluginError]]:
    loaded, errors = [], []
    for name in sorted(OPERATORS.keys() - set(OPERATORS.own)):
        try:
            loaded.append(OPERATORS[name])
        except PluginError as error:
            errors.append(error)
    return loaded, errors


@dataclasses.dataclass(frozen=True)
class KerasModel:
    """A Keras model as data.

    Args:
        weighted: Layers as nodes, in one block whose head gives the logits, with their weights.
        ends_in_softmax: Whether softmax follows the logits.
        regularizers: Function from a weight to its share of the loss, by weight name, such as `conv2d/kernel`.
    """

    weighted: Weighted
    ends_in_softmax: bool
    regularizers: Mapping[str, Callable[[Any], Any]]


class _Reader:
    """Reads the layers of a Functional model in order."""

    def __init__(self, input_shape: Shape):
        self.nodes: list[Node] = []
        self.weights: dict[str, dict[str, np.ndarray]] = {}
        self.shapes: dict[str, Shape] = {IMAGE: input_shape}
        self.held: dict[str, str] = {}  # by layer, the node of its output
        self.ends_in_softmax = False
        self.regularizers: dict[str, Callable[[Any], Any]] = {}

    def read(self, name: str, kind: str, config: Mapping[str, Any], inputs: Sequence[str], layer: Any) -> None:
        """Appends the nodes of a layer.

        Raises:
            ValueError: If it cannot be read; the message names the layer and the reason.
        """
        if kind == "InputLayer":
            self.held[name] = IMAGE
            return
        sources = [self.held[source] for source in inputs]
        try:
            self._check_softmax()
            last = self._add_layer(name, kind, config, sources, layer)
            is_hard_swish = getattr(layer, "activation", None) is hard_swish
            known = {**config, "activation": "hard_swish"} if is_hard_swish else config
            self.held[name] = self._add_activation(name, kind, known, last)
            self._note_regularizers(name, layer)
        except PluginError:
            raise
        except ValueError as error:
            raise ValueError(
                f"`model` must have layers that can be read, but its layer {name!r} ({kind}) {str(error).rstrip('.')}."
            ) from error

    def _check_softmax(self) -> None:
        if self.ends_in_softmax:
            raise ValueError("comes after a softmax, which only the last layer may have")

    def _add_layer(self, name: str, kind: str, config: Mapping[str, Any], sources: Sequence[str], layer: Any) -> str:
        shapes = [self.shapes[source] for source in sources]
        weights = {variable.name.rpartition("/")[2].partition(":")[0]: variable.numpy() for variable in layer.weights}
        if kind in ("Activation", "Softmax"):  # `_add_activation` reads them
            return sources[0]
        if kind == "SeparableConv2D":
            return self._add_separable(name, config, sources, weights)
        if kind == "Normalization":
            operator: Operator = _normalization(layer, shapes[0])
            weights = {}
        else:
            operator = _read_by(reader_of(kind), config, shapes)
        if "depthwise_kernel" in weights:
            weights["kernel"] = weights.pop("depthwise_kernel")
        return self._add(name, operator, sources, weights)

    def _add_separable(
        self, name: str, config: Mapping[str, Any], sources: Sequence[str], weights: Mapping[str, np.ndarray]
    ) -> str:
        shapes = [self.shapes[source] for source in sources]
        first = DepthwiseConv.from_keras({**config, "use_bias": False}, shapes)
        depthwise = self._add(f"{name}/depthwise", first, sources, {"kernel": weights["depthwise_kernel"]})
        own = {"kernel": weights["pointwise_kernel"], **{n: weights[n] for n in ("bias",) if n in weights}}
        return self._add(name, Conv(filters=config["filters"], use_bias=config["use_bias"]), [depthwise], own)

    def _add_activation(self, name: str, kind: str, config: Mapping[str, Any], source: str) -> str:
        given = "softmax" if kind == "Softmax" else config.get("activation", "linear")
        function = given if isinstance(given, str) else str(given.get("class_name", given))
        if function == "softmax":
            self.ends_in_softmax = True
            return source
        if function not in ACTIVATIONS:
            raise ValueError(f"has the activation {function!r}, where only {', '.join(ACTIVATIONS)} can be read")
        if function == "linear":
            return source
        plain: dict[str, Operator] = {"relu": ReLU(), "relu6": ReLU(6.0), "leaky_relu": LeakyReLU(0.2)}
        operator = plain.get(function) or Activation(ALIASES.get(function, function))
        return self._add(name if kind == "Activation" else f"{name}/{function}", operator, [source], {})

    def _note_regularizers(self, name: str, layer: Any) -> None:
        if getattr(layer, "activity_regularizer", None) is not None:
            raise ValueError("has an activity regularizer, where only those of weights can be kept")
        for option, weight in REGULARIZED.items():
            found = getattr(layer, option, None)
            if found is not None:
                inner = f"{name}/depthwise/{weight}"
                is_inner = option == "depthwise_regularizer" and inner.rpartition("/")[0] in self.weights
                self.regularizers[inner if is_inner else f"{name}/{weight}"] = found

    def _add(self, name: str, operator: Operator, sources: Sequence[str], weights: Mapping[str, np.ndarray]) -> str:
        self.shapes[name] = operator.output_shape(*(self.shapes[source] for source in sources))
        self.nodes.append(Node(name, operator, tuple(sources)))
        self.weights[name] = dict(weights)
        if "kernel" in weights:
            self.weights[name]["mask"] = np.ones_like(weights["kernel"])
        return name


def _read_by(reader: type[Operator] | None, config: Mapping[str, Any], shapes: Sequence[Shape]) -> Operator:
    if reader is None:
        raise ValueError("has no operator that reads it")
    return reader.from_keras(config, shapes)


def _normalization(layer: Any, shape: Shape) -> Rescale:
    if layer.invert:
        raise ValueError("is inverted")
    if tuple(layer.axis) not in ((), (-1,), (len(shape),)):
        raise ValueError(f"works along the axes {tuple(layer.axis)}, where only the last one can be read")
    mean, std = (np.broadcast_to(np.ravel(value), shape[-1]) for value in (layer.mean, np.sqrt(layer.variance)))
    scale = 1.0 / np.maximum(std, keras.backend.epsilon())
    return Rescale(tuple(map(float, scale)), tuple(map(float, -mean * scale)))


def from_keras(model: keras.Model, config: Mapping[str, Any], input_shape: Shape) -> KerasModel:
    """Returns a Functional model as data.

    Args:
        model: Functional model of `LAYERS` and layers that `reader_of` knows, each called once.
        config: Configuration of the model.
        input_shape: Shape of its images, (height, width, channels).

    Raises:
        ValueError: If a layer cannot be read; the message names it.
    """
    reader, layers = _Reader(input_shape), {layer.name: layer for layer in model.layers}
    for entry in config["layers"]:
        inputs = [source[0] for call in entry["inbound_nodes"] for source in call]
        layer = layers.get(entry["name"])
        kind = entry["class_name"] if layer is None else type(layer).__name__  # one's own may be registered otherwise
        reader.read(entry["name"], kind, entry["config"], inputs, layer)
    scaling, nodes = _with_scaling(reader.nodes, {name for name, own in reader.weights.items() if own}, input_shape)
    block = Block(tuple(nodes[:-1]), tuple(nodes[-1:]))
    height, width, channels = input_shape
    architecture = Architecture((height, width, channels), reader.shapes[nodes[-1].name][-1], scaling, (block,))
    weights = {node.name: reader.weights[node.name] for node in nodes}
    return KerasModel(Weighted(architecture, weights), reader.ends_in_softmax, reader.regularizers)


def _with_scaling(nodes: Sequence[Node], weighted: Collection[str], input_shape: Shape) -> tuple[Scaling, list[Node]]:
    """Returns the first affine maps of the image as one scaling, and the other nodes."""
    scale, offset, left = np.ones(input_shape[-1]), np.zeros(input_shape[-1]), list(nodes)
    while len(left) > 1 and [node for node in left if IMAGE in node.inputs] == left[:1]:
        # These have fixed numbers, not weights.
        affine = None if left[0].name in weighted else left[0].operator.affine({})
        if affine is None or not np.all(affine[0] > 0):
            break
        scale, offset = scale * affine[0], offset * affine[0] + affine[1]
        gone = left.pop(0).name
        left = [
            dataclasses.replace(node, inputs=tuple(IMAGE if name == gone else name for name in node.inputs))
            for node in left
        ]
    mean, std = -offset / scale, 1 / scale
    return Scaling(tuple((mean + 0.0).tolist()), tuple(std.tolist())), left


def to_keras(weighted: Weighted, *, softmax: bool, name: str) -> keras.Model:
    """Returns an uncompiled Functional model of plain Keras layers; pruned connections are exactly zero.

    Args:
        weighted: Network of one block.
        softmax: Whether it ends in softmax instead of logits.
        name: Name of the model.
    """
    architecture, weights = weighted
    image = keras.Input(architecture.input_shape, name=IMAGE)
    std = np.asarray(architecture.scaling.std)
    scale, offset = (1 / std).tolist(), (-np.asarray(architecture.scaling.mean) / std).tolist()
    is_scaled = scale != [1.0] * len(scale) or any(offset)
    tensors = {IMAGE: keras.layers.Rescaling(scale, offset, name="rescaling")(image) if is_scaled else image}
    for node in architecture.nodes:
        layer = node.operator.layer(node.name.replace("/", "_"), 0)
        inputs = [tensors[source] for source in node.inputs]
        plain = layer.layer if isinstance(layer, MaskedLayer) else layer
        tensors[node.name] = plain(inputs if node.operator.is_variadic else inputs[0])
        own = weights[node.name]
        for variable in plain.weights:
            kind = variable.name.rpartition("/")[2].partition(":")[0].replace("depthwise_kernel", "kernel")
            variable.assign(own[kind] * own["mask"] if kind == "kernel" and "mask" in own else own[kind])
    logits = tensors[architecture.logits(0)]
    return keras.Model(image, keras.layers.Softmax(name="softmax")(logits) if softmax else logits, name=name)
