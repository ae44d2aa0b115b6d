"""A flat tf_keras model of layers that were read as data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from kgrow._keras import keras
from kgrow.graph.keras_models import LAYERS
from kgrow.graph.operators.activation import hard_swish
from kgrow.models.described import Described, Layer
from kgrow.models.flat import flattened
from kgrow.models.patterns import simplified

# Options that say how a layer begins or is computed, not what it computes.
LEFT_OUT = ("dtype", "trainable", "seed", "name", "input_shape", "batch_input_shape", "noise_shape")


def rebuilt(described: Described) -> tuple[keras.Model, tuple[str, ...]]:
    """Returns a Functional model with the layers and weights of a described one, and messages about what is left out.

    Only layers that kgrow reads are made, by their own classes and with plain options, so no code of the file is run.

    Raises:
        ValueError: If a layer cannot be made; the message names it.
    """
    layers, notes = simplified(flattened(described))
    tensors: dict[str, Any] = {}
    names: set[str] = set()
    for layer in layers:
        if layer.kind == "InputLayer":
            tensors[layer.name] = keras.Input([None if side is None else int(side) for side in layer.config["shape"]])
            continue
        made = _made(layer, _plain_name(layer.name, names))
        inputs = [tensors[name] for name in layer.inputs]
        try:
            tensors[layer.name] = made(inputs if len(inputs) > 1 else inputs[0])
            if layer.weights or made.weights:
                made.set_weights(list(layer.weights))
                if isinstance(made, keras.layers.Normalization):
                    made.finalize_state()
        except ValueError as error:
            raise ValueError(
                f"`model` must have layers that fit, but its layer {layer.name!r} ({layer.kind}) does not: {error}"
            ) from error
    name = _plain_name(described.source, set())
    return keras.Model(tensors[layers[0].name], tensors[layers[-1].name], name=name), notes


def _made(layer: Layer, name: str) -> keras.layers.Layer:
    if layer.kind not in LAYERS:
        raise ValueError(
            f"`model` must consist of layers that can be pruned, but its layer {layer.name!r} is a {layer.kind}. "
            f"Supported are {', '.join(LAYERS)}, and models of them."
        )
    kind = getattr(keras.layers, layer.kind)
    known = inspect.signature(kind.__init__).parameters
    options: dict[str, Any] = {}
    for key, value in layer.config.items():
        if key in known and key not in LEFT_OUT and not key.endswith(("initializer", "constraint")):
            options[key] = _plain(key, value, layer)
    if layer.kind == "LeakyReLU" and "negative_slope" in layer.config:  # as Keras 3 names it
        options["alpha"] = layer.config["negative_slope"]
    try:
        return kind(**options, name=name)
    except ValueError as error:
        raise ValueError(
            f"`model` must have layers that can be made, but its layer {layer.name!r} ({layer.kind}) cannot: {error}"
        ) from error


def _plain(name: str, value: Any, layer: Layer) -> Any:
    """Returns an option of a layer as Keras 2 takes it."""
    if name == "activation" and isinstance(value, str):
        return hard_swish if value == "hard_swish" else value
    if name.endswith("regularizer"):
        return None if value is None else _regularizer(value, layer)
    if isinstance(value, Mapping):
        config = value.get("config")
        if value.get("class_name") in ("__numpy__", "__tuple__"):
            return config["value"] if isinstance(config, Mapping) else value.get("items", config)
        raise ValueError(
            f"`model` must have layers with plain options, but `{name}` of its layer {layer.name!r} ({layer.kind}) is "
            f"{value.get('class_name', 'an object')}."
        )
    return tuple(value) if isinstance(value, list) and name not in ("mean", "variance", "axis") else value


def _regularizer(value: Any, layer: Layer) -> Any:
    config = value.get("config", {}) if isinstance(value, Mapping) else {}
    kind = value.get("class_name") if isinstance(value, Mapping) else None
    if kind not in ("L1", "L2", "L1L2"):
        raise ValueError(
            f"`model` must have regularizers L1, L2 or L1L2, but its layer {layer.name!r} ({layer.kind}) has {kind}."
        )
    return keras.regularizers.L1L2(float(config.get("l1", 0.0)), float(config.get("l2", 0.0)))


def _plain_name(name: str, used: set[str]) -> str:
    """Returns a name that Keras accepts for a layer and that is not used yet; it is added to the used ones."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_./-") else "_" for letter in name)
    plain = found = plain.strip("_./-") or "layer"
    while found in used:
        found = f"{plain}_{len(used)}"
    used.add(found)
    return found
