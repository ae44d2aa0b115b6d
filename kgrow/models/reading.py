"""Conversion of a model of plain Keras layers to an architecture with weights."""

from __future__ import annotations

from typing import Any

from kgrow._keras import keras
from kgrow.graph.keras_models import LAYERS, KerasModel, broken_readers, from_keras, reader_of
from kgrow.graph.operators import Shape


def as_data(model: keras.Model, input_shape: Shape) -> KerasModel:
    """Returns a model as an architecture with weights.

    Args:
        model: Model that `opened` returned and `check_layers` accepts.
        input_shape: Shape of its images, (height, width, channels).

    Raises:
        ValueError: If a layer cannot be read, or the last one gives neither logits nor their softmax.
    """
    _check_end(model.layers[-1])
    return from_keras(model, _functional_config(model), input_shape)


def check_layers(model: keras.Model) -> None:
    """Checks without data that a model consists of layers that can be pruned.

    Raises:
        ValueError: If it has several inputs or outputs, or other layers.
    """
    for what, tensors in (("input", model.inputs), ("output", model.outputs)):
        if len(tensors) != 1:
            raise ValueError(
                f"`model` must have one {what}, but has {len(tensors)}. Make a model of the one that counts."
            )
    for layer in model.layers:
        _check_layer(layer)


def _check_layer(layer: Any) -> None:
    kind = type(layer).__name__
    # A layer of Keras, or one of another name that another package's operator reads.
    is_known = type(layer) is getattr(keras.layers, kind) if kind in LAYERS else reader_of(kind) is not None
    if not is_known:
        raise ValueError(
            f"`model` must consist of layers that can be pruned, but its layer {layer.name!r} is a {kind}. Supported "
            f"are {', '.join(LAYERS)}.{''.join(f' {error}' for error in broken_readers())}"
        )
    if layer.compute_dtype != "float32" and kind != "InputLayer":
        raise ValueError(
            f"`model` must compute in float32, but its layer {layer.name!r} computes in {layer.compute_dtype}. "
            "Build it under the policy 'float32' and load the weights."
        )


def _check_end(layer: Any) -> None:
    """Raises ValueError unless the last layer gives logits or the softmax of logits."""
    kind, function = type(layer).__name__, getattr(layer, "activation", None)
    end = kind if kind in ("ReLU", "LeakyReLU") else getattr(function, "__name__", "linear")
    if end not in ("linear", "softmax"):
        raise ValueError(
            f"`model` must end in softmax or in logits, but its last layer {layer.name!r} ({kind}) ends in {end}. "
            "Train it with one output per class, also for two classes, and a softmax."
        )


def _functional_config(model: keras.Model) -> dict[str, Any]:
    # A Sequential model is also a Functional one, whose configuration has the connections. The tensors are shared.
    config: dict[str, Any] = keras.Model(model.inputs, model.outputs).get_config()
    for entry in config["layers"]:
        if len(entry["inbound_nodes"]) > 1:
            raise ValueError(
                f"`model` must call every layer once, but calls {entry['name']!r} {len(entry['inbound_nodes'])} times. "
                "Give each place a layer of its own."
            )
        if any(source[3].get("training") for call in entry["inbound_nodes"] for source in call):
            raise ValueError(
                f"`model` must compute in inference what its layers say, but calls {entry['name']!r} with "
                "`training=True`."
            )
    return config
