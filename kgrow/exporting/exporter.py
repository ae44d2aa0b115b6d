"""`Exporter`: the conversion of a network to a TensorFlow Lite model, with the steps all implementations share."""

from __future__ import annotations

import abc
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_name
from kgrow._keras import quiet_stderr, tf
from kgrow.exporting.folded import FoldedNetwork
from kgrow.exporting.measure import IMAGE, LOGITS, PROBABILITIES, SIGNATURE, open_interpreter, operators
from kgrow.exporting.operator_order import in_order
from kgrow.graph import Architecture
from kgrow.network import GrowingNetwork
from kgrow.registry import blamed, broken, is_foreign

INPUT_DTYPES = ("uint8", "float32")
# Older interpreters, and some for microcontrollers, support only one range per Dense kernel; see test_dynamic_range.py.
ONE_RANGE_PER_DENSE = {"_experimental_disable_per_channel_quantization_for_dense_layers": True}


class Exporter(abc.ABC):
    """Converts a network to a TensorFlow Lite model from which files are cut.

    All requested heads are converted at once. Plain files, stages and a file with early exits (see
    `kgrow.exporting.cut`) therefore have the same weights and the same ranges of values.
    """

    @property
    def remedy(self) -> str:
        """Advice against too large a loss of accuracy, as sentences."""
        return ""

    @abc.abstractmethod
    def convert(
        self,
        network: GrowingNetwork,
        exit_indices: Sequence[int],
        input_dtype: str = "uint8",
        representative_dataset: np.ndarray | None = None,
    ) -> bytes:
        """Returns the model; the network is not changed.

        The model has one signature, `serving_default`, from `image` (1, height, width, channels), raw pixels, to
        `logits_K` and `probabilities_K` (1, num_classes) for every requested head K. If the exporter stores tensors in
        8 bits, these outputs are int8.

        Args:
            network: Network to convert; masked weights count as zero.
            exit_indices: Requested heads.
            input_dtype: Type of the raw pixels that the device feeds, `"uint8"` or `"float32"`.
            representative_dataset: Some hundred raw images (num_images, height, width, channels) of the training split;
                required by exporters that quantize activations.

        Raises:
            ValueError: If an argument is not usable.
            RuntimeError: If the converter does not return such a model.
        """

    def stored(self, kernel: Any) -> Any:
        """Returns the values of a kernel as a device reads them."""
        return kernel

    def layer_errors(self, network: GrowingNetwork, images: np.ndarray) -> dict[str, float]:
        """Returns the mean squared error of the final logits, per layer, if only that layer is stored as in the file.

        Args:
            network: Converted network.
            images: Raw pixels (num_images, height, width, channels).
        """
        folded, pixels = FoldedNetwork(network), tf.cast(images, tf.float32)
        exact = folded.heads(pixels)[-1]

        def error(layer: str) -> float:
            logits = folded.heads(pixels, kernel_of=lambda name, it: self.stored(it) if name == layer else it)[-1]
            return float(tf.reduce_mean(tf.square(logits - exact)))

        return {op.name: error(op.name) for op in folded.architecture.kernels()}


def converted_by(
    exporter: Exporter, network: GrowingNetwork, heads: Sequence[int], pixels: str, images: np.ndarray | None
) -> bytes:
    """Returns an exporter's model; the result of a plug-in is checked against its contract.

    Raises:
        PluginError: If the plug-in violates it; the message names the package.
    """
    before = network.state() if is_foreign(exporter) else {}
    with blamed(exporter):
        converted = exporter.convert(network, heads, pixels, images)
    if is_foreign(exporter):
        if not isinstance(converted, bytes) or converted[4:8] != b"TFL3":
            raise broken(exporter, "give the bytes of a TensorFlow Lite model", f"gives {str(converted)[:40]!r}")
        after = network.state()
        if not all(np.array_equal(after[name], value) for name, value in before.items()):
            raise broken(exporter, "leave the network alone", "changes its weights")
        try:
            check_model(converted, network.architecture, heads, pixels, "float32", "int8")
        except Exception as error:
            found = f"gives another one. {error}".rstrip(".")
            raise broken(exporter, "give the model that `Exporter.convert` describes", found) from error
    return converted


def check_exit_index(network: GrowingNetwork, exit_index: int | None) -> int:
    """Returns the index of the answering head, the last one by default.

    Raises:
        ValueError: If the network has no such head.
    """
    last = len(network.architecture.blocks) - 1
    if last < 0:
        raise ValueError("`network` must have at least one block, but has none. Grow it first.")
    if exit_index is None:
        return last
    if not 0 <= exit_index <= last:
        raise ValueError(f"`exit_index` must be in [0, {last}], but got {exit_index!r}.")
    return exit_index


def head_outputs(exit_index: int) -> tuple[str, str]:
    """Returns the names of a head's logits and probabilities in the result of `Exporter.convert`."""
    return f"{LOGITS}_{exit_index}", f"{PROBABILITIES}_{exit_index}"


def open_converter(
    architecture: Architecture,
    heads: Callable[[Any], Sequence[Any]],
    exit_indices: Sequence[int],
    pixels: str,
) -> Any:
    """Returns TensorFlow's converter for some heads of a network, at batch size 1.

    Args:
        architecture: Architecture of the network.
        heads: Function that maps raw pixels, float32, to the logits of all heads.
        exit_indices: Heads that become outputs.
        pixels: Type of the function's input, which the converter may change afterwards.
    """
    if not exit_indices:
        raise ValueError("`exit_indices` must name at least one head, but is empty.")
    signature = tf.TensorSpec((1, *architecture.input_shape), pixels, name=IMAGE)

    @tf.function(input_signature=[signature], autograph=False)
    def classify(image: Any) -> dict[str, Any]:
        logits = heads(tf.cast(image, tf.float32))
        outputs = {}
        for index in exit_indices:
            name, probabilities = head_outputs(index)
            outputs[name], outputs[probabilities] = logits[index], tf.nn.softmax(logits[index])
        return outputs

    # The converter saves the module first. If that fails, for example because the module lacks a variable that is read,
    # it silently drops the signature; see test_exporter.py.
    function = classify.get_concrete_function()
    module = tf.Module()
    module.variables_read = list(function.variables)
    return tf.lite.TFLiteConverter.from_concrete_functions([function], module)


class FloatExporter(Exporter):
    """Converts to a model whose activations are float32."""

    def options(self) -> dict[str, Any]:
        """Returns the attributes to set on TensorFlow's converter."""
        return {}

    def convert(
        self,
        network: GrowingNetwork,
        exit_indices: Sequence[int],
        input_dtype: str = "uint8",
        representative_dataset: np.ndarray | None = None,
    ) -> bytes:
        """See `Exporter.convert`; needs no representative dataset."""
        check_name(INPUT_DTYPES, input_dtype, "input_dtype")
        folded = FoldedNetwork(network)
        converter = open_converter(folded.architecture, folded.heads, exit_indices, input_dtype)
        return convert_checked(converter, self.options(), folded.architecture, exit_indices, input_dtype, "float32")


def convert_checked(
    converter: Any,
    options: dict[str, Any],
    architecture: Architecture,
    exit_indices: Sequence[int],
    input_dtype: str,
    output_dtype: str,
) -> bytes:
    """Returns a converter's model after checking the guarantees of `Exporter.convert`.

    Args:
        converter: Converter that `open_converter` returned.
        options: Attributes set on the converter.
        architecture: Architecture of the network.
        exit_indices: Requested heads.
        input_dtype: Type of the raw pixels.
        output_dtype: Type of the outputs.

    Raises:
        RuntimeError: If signature, names, shapes or types differ, or an operation is not one of TFLite's own.
    """
    for name, value in options.items():
        setattr(converter, name, value)
    model = run_converter(converter)
    check_model(model, architecture, exit_indices, input_dtype, output_dtype)
    return in_order(model, [name for index in exit_indices for name in head_outputs(index)])


def run_converter(converter: Any) -> bytes:
    """Returns the model of a converter; its log is shown only if it fails."""
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(converter.convert())


def check_model(
    model: bytes, architecture: Architecture, exit_indices: Sequence[int], input_dtype: str, *output_dtypes: str
) -> None:
    """Checks a converted model against the guarantees of `Exporter.convert`.

    Args:
        model: Converted model.
        architecture: Architecture of the network.
        exit_indices: Requested heads.
        input_dtype: Type of the raw pixels.
        output_dtypes: Types of which all outputs may have one.

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
    names = [name for index in exit_indices for name in head_outputs(index)]
    image, answer = {IMAGE: ((1, *architecture.input_shape), input_dtype)}, (1, architecture.num_classes)
    expected = [image | dict.fromkeys(names, (answer, dtype)) for dtype in output_dtypes]
    if found not in expected:
        raise RuntimeError(f"The converted model must read and give {expected[0]}, but has {found}.")
