"""Conversion of a user's model to an architecture with weights, or an error that names the obstacle."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.graph.keras_models import KerasModel
from kgrow.models.opened import is_of_keras_3, opened
from kgrow.models.reading import as_data, check_layers
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
    given = as_data(plain, task.input_shape)
    _check_faithful(plain if isinstance(model, (str, os.PathLike)) else model, given, task)
    return given


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
    return GrowingNetwork.of(given.weighted.architecture, given.weighted.state, seed)
