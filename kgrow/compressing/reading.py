"""Conversion of a user's model to an architecture with weights, or an error that names the obstacle."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.graph.keras_models import LAYERS, KerasModel, broken_readers, from_keras, reader_of
from kgrow.models.opened import is_of_keras_3, opened
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import softmax
from kgrow.task import Task

TOLERANCE = 1e-4
NUM_COMPARED = 64


def read(model: Any, task: Task, note: Callable[[str], None] = lambda _: None) -> KerasModel:
    """Returns a model as data; the model is not changed.

    Args:
        model: Model of tf_keras or of Keras 3, or the path of its file; see `kgrow.models.opened`.
        task: Data that the model must fit.
        note: Function called with messages about what is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is not a model of Keras.
        ValueError: If it cannot be compressed, or does not fit the data; the message says what to do.
    """
    plain, notes = opened(model)
    for message in notes:
        note(message)
    check_layers(plain)
    _check_shapes(plain, task)
    _check_end(plain.layers[-1])
    given = from_keras(plain, _functional_config(plain), task.input_shape)
    _check_faithful(plain if isinstance(model, (str, os.PathLike)) else model, given, task)
    return given


def _check_end(layer: Any) -> None:
    """Raises ValueError unless the last layer gives logits or the softmax of logits."""
    kind, function = type(layer).__name__, getattr(layer, "activation", None)
    end = kind if kind in ("ReLU", "LeakyReLU") else getattr(function, "__name__", "linear")
    if end not in ("linear", "softmax"):
        raise ValueError(
            f"`model` must end in softmax or in logits, but its last layer {layer.name!r} ({kind}) ends in {end}. "
            "Train it with one output per class, also for two classes, and a softmax."
        )


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


def _check_shapes(model: keras.Model, task: Task) -> None:
    reads, gives = tuple(model.inputs[0].shape[1:]), tuple(model.outputs[0].shape[1:])
    fits = len(reads) == 3 and all(side in (None, given) for side, given in zip(reads, task.input_shape, strict=True))
    if not fits:
        raise ValueError(
            f"`model` must read images of {task.input_shape}, as the data set gives them, but reads {reads}. Pass data "
            "of that shape; `image_size` resizes images."
        )
    if gives != (task.num_classes,):
        raise ValueError(
            f"`model` must give one value for each of the {task.num_classes} classes of the data set, but gives "
            f"{gives}. A single sigmoid for two classes must become two outputs with softmax."
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
    return config


def outputs(model: Any, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Runs a model in inference over many images; returns float32 (num_images, num_classes)."""
    if is_of_keras_3(model):
        return np.asarray(model.predict(np.asarray(images, model.inputs[0].dtype), batch_size=batch_size, verbose=0))
    dtype = model.inputs[0].dtype
    infer = tf.function(lambda batch: model(tf.cast(batch, dtype), training=False), autograph=False)
    starts = range(0, len(images), batch_size)
    return np.concatenate([infer(np.asarray(images[start : start + batch_size])).numpy() for start in starts])


def _check_faithful(model: Any, given: KerasModel, task: Task) -> None:
    images = np.asarray(task.validation.images[:NUM_COMPARED])
    expected, found = outputs(model, images), network_of(given).logits(images)[0]
    found = softmax(found) if given.ends_in_softmax else found
    difference = float(np.max(np.abs(found - expected)))
    if not difference <= TOLERANCE * max(1.0, float(np.max(np.abs(expected)))):  # in this form, NaN fails too
        raise ValueError(
            "`model` must compute what its layers say, and finite values, but a copy of its layers differs by up to "
            f"{difference:.3g}. An own `call`, or a layer that is called with `training=True`, cannot be compressed."
        )


def network_of(given: KerasModel, seed: int = 0) -> GrowingNetwork:
    """Returns the network of a model that `read` returned."""
    network = GrowingNetwork(given.weighted.architecture, seed=seed)
    network.load_state(given.weighted.state)
    return network
