"""What a `.tflite` file does and costs, measured on the file itself by an interpreter."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import importlib
import importlib.metadata
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import quiet_stderr, tf

SIGNATURE, IMAGE, LOGITS, PROBABILITIES = "serving_default", "image", "logits", "probabilities"

Model = bytes | str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Artefact:
    """What is known about an exported file; `dataclasses.asdict` gives plain JSON values.

    Args:
        path: Where the file is.
        quantization: Name of the exporter that made it, a key of `EXPORTERS`.
        bytes: Size of the file.
        gzip_bytes: Size after `gzip -9`, where the zeros of pruned connections count.
        test_accuracy: In [0, 1], by the interpreter over the whole test split.
        latency_ms: Median of one image on one thread of this machine.
        max_abs_diff: Largest difference from the logits of the Keras network over the test split.
        runtime: The interpreter that measured, with its version.
    """

    path: str
    quantization: str
    bytes: int
    gzip_bytes: int
    test_accuracy: float
    latency_ms: float
    max_abs_diff: float
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

    The first that is installed of LiteRT, `tflite_runtime` and TensorFlow.
    """
    package, _ = _runtime()
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:  # installed under another name, as a nightly build is
        return package


def open_interpreter(model: Model, num_threads: int = 1) -> Any:
    """Returns an interpreter with its tensors allocated.

    Args:
        model: The file's content or its path.
        num_threads: Threads that one inference may use.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is no TensorFlow Lite model, or a damaged one.
    """
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    _, interpreter_class = _runtime()
    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf.lite.Interpreter announces its removal
            interpreter = interpreter_class(model_content=content, num_threads=num_threads)
            # Without it tflite_runtime runs a signature five times slower: XNNPACK is applied here.
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip()
        what = f"{len(content)} bytes" if isinstance(model, bytes) else repr(str(model))
        raise ValueError(f"`model` must be a whole TensorFlow Lite model, but got {what}: {reason}") from error
    return interpreter


def operators(model: Model) -> list[str]:
    """Returns the names of the operations in the order they run, such as "CONV_2D"."""
    names = [str(details["op_name"]) for details in open_interpreter(model)._get_ops_details()]
    return [name for name in names if name != "DELEGATE"]  # what XNNPACK adds to take others over


def classify(model: Model, images: np.ndarray) -> np.ndarray:
    """Runs a model over images one by one, as a device does, through its named signature.

    Args:
        model: The file's content or its path.
        images: Raw pixels (num_images, height, width, channels) of the type the model reads.

    Returns:
        Logits float32 (num_images, num_classes).

    Raises:
        ValueError: If the images are not what the model reads, or it has no such signature.
    """
    interpreter = open_interpreter(model)
    signature = interpreter.get_signature_list().get(SIGNATURE, {"inputs": [], "outputs": []})
    if signature["inputs"] != [IMAGE] or LOGITS not in signature["outputs"]:
        raise ValueError(
            f"`model` must have a signature {SIGNATURE!r} from {IMAGE!r} to {LOGITS!r}, but got {signature}. "
            "Files written by `export` have it."
        )
    _check_images(interpreter, images)
    runner = interpreter.get_signature_runner(SIGNATURE)
    return np.concatenate([runner(**{IMAGE: images[i : i + 1]})[LOGITS] for i in range(len(images))])


def latency_ms(model: Model, image: np.ndarray, num_runs: int = 50, warmup: int = 10) -> float:
    """Returns the median time of one inference on one thread, in milliseconds.

    Args:
        model: The file's content or its path.
        image: Raw pixels (height, width, channels) of the type the model reads.
        num_runs: Inferences timed.
        warmup: Inferences before them.

    Raises:
        ValueError: If the image is not what the model reads.
    """
    check_positive_int(num_runs, "num_runs")
    interpreter = open_interpreter(model)
    _check_images(interpreter, image[np.newaxis])
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[np.newaxis])
    for _ in range(warmup):
        interpreter.invoke()
    seconds = []
    for _ in range(num_runs):
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1e3


def gzip_size(data: bytes) -> int:
    """Returns the number of bytes after `gzip -9`; equal data gives equal sizes."""
    return len(gzip.compress(data, compresslevel=9, mtime=0))


def _check_images(interpreter: Any, images: np.ndarray) -> None:
    # A signature takes images of another size without a word: it resizes its input tensor.
    (expected,) = interpreter.get_input_details()
    shape, dtype = tuple(expected["shape"].tolist()), np.dtype(expected["dtype"])
    if not len(images) or images.shape[1:] != shape[1:] or images.dtype != dtype:
        raise ValueError(
            f"`images` must be at least one, of shape {shape[1:]} and type {dtype}, but got an array of shape "
            f"{images.shape} and type {images.dtype}."
        )
