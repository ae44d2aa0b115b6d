"""`Exporter`: how a network becomes a `.tflite` file, and the steps that all implementations share."""

from __future__ import annotations

import abc
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from kgrow._keras import quiet_stderr, tf
from kgrow.exporting.measure import IMAGE, LOGITS, PROBABILITIES, SIGNATURE, open_interpreter, operators
from kgrow.network import GrowingNetwork

INPUT_DTYPES = ("uint8", "float32")


class Exporter(abc.ABC):
    """Turns a network into the content of a `.tflite` file.

    What the file is like (the exit that answers, the type of the pixels) is said in the constructor, so that one
    exporter serves many networks; `convert` takes what belongs to one network.
    """

    @abc.abstractmethod
    def convert(self, network: GrowingNetwork, representative_dataset: Iterable[np.ndarray] | None = None) -> bytes:
        """Returns the content of the file; the network keeps its weights, except that pruned ones become zero.

        The file has one signature, `serving_default`, from `image` (1, height, width, channels), raw pixels, to
        `logits` and `probabilities` (1, num_classes).

        Args:
            network: What to convert.
            representative_dataset: Some hundred raw images (height, width, channels), for exporters that quantize.

        Raises:
            RuntimeError: If the converter does not give such a file.
        """


def check_exit_index(network: GrowingNetwork, exit_index: int | None) -> int:
    """Returns the index of the head that answers, the last one by default.

    Raises:
        ValueError: If the network has no such head.
    """
    last = len(network.blocks) - 1
    if last < 0:
        raise ValueError("`network` must have at least one block, but has none. Grow it first.")
    if exit_index is None:
        return last
    if not 0 <= exit_index <= last:
        raise ValueError(f"`exit_index` must be in [0, {last}], but got {exit_index!r}.")
    return exit_index


def open_converter(network: GrowingNetwork, exit_index: int | None, input_dtype: str) -> Any:
    """Returns TensorFlow's converter for one head of a network, at batch size 1.

    Args:
        network: Its pruned weights are set to zero first.
        exit_index: The head that answers; the last one by default.
        input_dtype: Type of the raw pixels, `"uint8"` or `"float32"`.
    """
    head = check_exit_index(network, exit_index)
    if input_dtype not in INPUT_DTYPES:
        raise ValueError(f"`input_dtype` must be one of {', '.join(map(repr, INPUT_DTYPES))}, but got {input_dtype!r}.")
    network.apply_masks()
    signature = tf.TensorSpec((1, *network.architecture.input_shape), input_dtype, name=IMAGE)

    @tf.function(input_signature=[signature], autograph=False)
    def classify(image: Any) -> dict[str, Any]:
        logits = network(image, training=False)[head]
        return {LOGITS: logits, PROBABILITIES: tf.nn.softmax(logits)}

    # The converter saves the module first. If that fails, it drops the signature without a word: as when the module
    # lacks a variable that is read, or holds a Keras model that was not called yet; see test_tflite.py. More than the
    # variables that are read, such as masks and counters, would double the time.
    function = classify.get_concrete_function()
    module = tf.Module()
    module.variables_read = list(function.variables)
    return tf.lite.TFLiteConverter.from_concrete_functions([function], module)


def run_converter(converter: Any) -> bytes:
    """Returns what the converter makes, without its log on the terminal unless it fails."""
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(converter.convert())


def check_model(model: bytes, network: GrowingNetwork, input_dtype: str) -> None:
    """Checks a converted model against what `Exporter.convert` promises.

    Args:
        model: The content of the file.
        network: What was converted.
        input_dtype: Type of the raw pixels.

    Raises:
        RuntimeError: If signature, names, shapes or types differ, or an operation is not one of TFLite's own.
    """
    try:
        interpreter = open_interpreter(model)
        foreign = sorted({name for name in operators(model) if not name.isupper()})
    except ValueError as error:
        raise RuntimeError(f"The converted model does not run: {error}") from error
    if foreign:
        raise RuntimeError(
            f"The converted model must consist of built-in operations, but has {', '.join(foreign)}: interpreters on "
            "small devices do not know them."
        )
    if SIGNATURE not in interpreter.get_signature_list():
        raise RuntimeError(f"The converter dropped the signature {SIGNATURE!r}: it could not save the traced function.")
    runner = interpreter.get_signature_runner(SIGNATURE)
    tensors = {**runner.get_input_details(), **runner.get_output_details()}
    found = {name: (tuple(t["shape_signature"].tolist()), np.dtype(t["dtype"]).name) for name, t in tensors.items()}
    answer = ((1, network.architecture.num_classes), "float32")
    expected = {IMAGE: ((1, *network.architecture.input_shape), input_dtype), LOGITS: answer, PROBABILITIES: answer}
    if found != expected:
        raise RuntimeError(f"The converted model must read and give {expected}, but has {found}.")
