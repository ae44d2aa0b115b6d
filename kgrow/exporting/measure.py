"""Accuracy and costs of a `.tflite` file, measured on the file itself by an interpreter."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import importlib
import importlib.metadata
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from kgrow_device.run import UNKNOWN_OPERATION, check_seal, content_of

from kgrow._keras import quiet_stderr, tf

SIGNATURE, IMAGE, LOGITS, PROBABILITIES = "serving_default", "image", "logits", "probabilities"
EXIT_INDEX, FEATURES = "exit_index", "features"

Model = bytes | str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Artefact:
    """Measurements of an exported file; `dataclasses.asdict` gives plain JSON values.

    Args:
        path: Path of the file or of the folder of a bundle.
        quantization: Name of the exporter that made it, a key of `EXPORTERS`.
        bytes: Size of the model in bytes, all stages together.
        gzip_bytes: Size in bytes after `gzip -9`, which compresses the zeros of pruned connections.
        test_accuracy: Test accuracy of the interpreter over the whole test split, in [0, 1].
        test_accuracy_interval: Lower and upper end of its 95 % interval.
        accuracy_drop: Accuracy of the Keras network minus that of the file; negative if the file is better.
        agreement: Fraction of test images with the same class from file and network.
        max_abs_diff: Largest difference from the Keras network over the test split: of logits, or of probabilities if
            there are early exits or the file gives only probabilities.
        latency_ms: Median of one image on one thread of this machine.
        latency_p95_ms: 95th percentile of the same.
        ram_bytes: Memory of activations in bytes on a microcontroller; see `arena_bytes`. For several stages, the
            largest one's.
        macs: Multiply-accumulates of an image through the whole file, pruned connections included.
        exit_index: Head that answers; the last one if there are early exits.
        early_exit: `threshold`, `fallback`, `mean_macs`, the `exit_indices` of the heads that may answer, and for each
            of them the `exits` (fraction of test images that stop there) and the `latency_ms` of such images; None
            without early exits.
        fine_tune_epochs: Number of epochs of fine-tuning for 8 bits before the conversion.
        runtime: Interpreter of the measurements, with its version.
    """

    path: str
    quantization: str
    bytes: int
    gzip_bytes: int
    test_accuracy: float
    test_accuracy_interval: list[float]
    accuracy_drop: float
    agreement: float
    max_abs_diff: float
    latency_ms: float
    latency_p95_ms: float
    ram_bytes: int
    macs: int
    exit_index: int
    early_exit: dict[str, Any] | None
    fine_tune_epochs: int
    runtime: str


@functools.cache
def _runtime() -> tuple[str, Any]:
    for package in ("ai_edge_litert", "tflite_runtime"):
        # tflite_runtime 2.14 was built against NumPy 1: under NumPy 2 it imports, but opens no model.
        if package == "tflite_runtime" and int(np.__version__.split(".")[0]) > 1:
            continue
        try:
            return package, importlib.import_module(f"{package}.interpreter").Interpreter
        except ImportError:
            continue
    return "tensorflow", tf.lite.Interpreter


def runtime_name() -> str:
    """Returns the package of the interpreter in use and its version, such as "ai_edge_litert 2.3.0".

    The order of preference is LiteRT, `tflite_runtime`, TensorFlow.
    """
    package, _ = _runtime()
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:  # installed under another name, such as a nightly build
        return package


def open_interpreter(model: Model, num_threads: int = 1, has_branches: bool = False) -> Any:
    """Returns an interpreter with its tensors allocated.

    Args:
        model: Content of the file or its path.
        num_threads: Number of threads per inference.
        has_branches: Whether memory is traded for time. An interpreter frees a branch's memory each time it leaves the
            branch and prepares all its operations again for the next image, unless it keeps their results.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is not a TensorFlow Lite model, or is damaged.
    """
    content = model if isinstance(model, bytes) else content_of(Path(model))
    check_seal("`model`" if isinstance(model, bytes) else repr(str(model)), content)
    _, interpreter_class = _runtime()
    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tf.lite.Interpreter's removal and the memory of branches
            options = {"num_threads": num_threads, "experimental_preserve_all_tensors": has_branches}
            interpreter = interpreter_class(model_content=content, **options)
            # Without it tflite_runtime runs a signature five times slower: XNNPACK is applied here.
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip()
        if any(words in reason for words in UNKNOWN_OPERATION):
            raise ValueError(
                f"`model` must consist of operations that {runtime_name()} knows, but this interpreter is older than "
                f"the model: {reason} Use a newer one, such as ai-edge-litert."
            ) from error
        what = f"{len(content)} bytes" if isinstance(model, bytes) else repr(str(model))
        raise ValueError(f"`model` must be a whole TensorFlow Lite model, but got {what}: {reason}") from error
    return interpreter


def operators(model: Model) -> list[str]:
    """Returns the names of the operations in execution order, such as "CONV_2D"."""
    names = [str(details["op_name"]) for details in open_interpreter(model)._get_ops_details()]
    return [name for name in names if name != "DELEGATE"]  # added by XNNPACK to replace others


def classify(model: Model, images: np.ndarray) -> np.ndarray:
    """Runs a model over images one by one, as on a device, through its named signature.

    Args:
        model: Content of the file or its path.
        images: Raw pixels (num_images, height, width, channels) of the type the model reads.

    Returns:
        Logits (num_images, num_classes).

    Raises:
        ValueError: If the images do not fit the model, or it has no such signature.
    """
    interpreter = open_interpreter(model)
    signature = interpreter.get_signature_list().get(SIGNATURE, {"inputs": [], "outputs": []})
    if signature["inputs"] != [IMAGE] or LOGITS not in signature["outputs"]:
        raise ValueError(
            f"`model` must have a signature {SIGNATURE!r} from {IMAGE!r} to {LOGITS!r}, but got {signature}. "
            "Files of one head have it."
        )
    dtype, runner = check_images(interpreter, images), interpreter.get_signature_runner(SIGNATURE)
    return np.concatenate([runner(**{IMAGE: images[i : i + 1].astype(dtype)})[LOGITS] for i in range(len(images))])


def gzip_size(data: bytes) -> int:
    """Returns the number of bytes after `gzip -9`; equal data gives equal sizes."""
    return len(gzip.compress(data, compresslevel=9, mtime=0))


def check_images(interpreter: Any, images: np.ndarray) -> np.dtype:
    """Returns the type that a model reads.

    Raises:
        ValueError: If the images have another shape, or values that this type cannot represent.
    """
    # A signature silently accepts images of another size: it resizes its input tensor.
    (expected,) = interpreter.get_input_details()
    shape, dtype = tuple(expected["shape"].tolist()), np.dtype(expected["dtype"])
    if not len(images) or images.shape[1:] != shape[1:] or not np.can_cast(images.dtype, dtype):
        raise ValueError(
            f"`images` must be at least one, of shape {shape[1:]} and type {dtype}, but got an array of shape "
            f"{images.shape} and type {images.dtype}."
        )
    return dtype
