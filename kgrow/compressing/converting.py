"""A compressed model to a verified file: by TensorFlow's own converter, and through the checks of every export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._checks import lookup
from kgrow._keras import keras, pinned, tf
from kgrow.compressing.graph import Graph, build, outputs
from kgrow.compressing.layer_errors import layer_errors
from kgrow.compressing.reading import read
from kgrow.exporting import EXPORTERS, Artefact, ExportOptions, cut, dynamic_range, float16, int8
from kgrow.exporting.answers import Answers
from kgrow.exporting.assembly import QUANTIZE, pack, parse, signature_of
from kgrow.exporting.bundle import check_target
from kgrow.exporting.export import representative_dataset
from kgrow.exporting.exporter import ONE_RANGE_PER_DENSE, convert_checked, open_converter
from kgrow.exporting.measure import IMAGE
from kgrow.exporting.proof import Converted, write_proved
from kgrow.exporting.quantized import check_representative
from kgrow.exporting.verify import advice
from kgrow.task import Task

HEAD = 0  # a user's model has one
FLOAT_OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "float32": dict,
    "float16": float16.converter_options,
    "dynamic": dynamic_range.converter_options,
}
REMEDY = {"int8": "Keep more channels, or use 'dynamic', whose activations stay float32."}


@pinned()
def export_model(model: keras.Model, task: Task, path: Path, options: ExportOptions) -> Artefact:
    """Writes a user's model for a device; see `kgrow.exporting.export`.

    Args:
        model: As `kgrow.compressing.reading.read` accepts it.
        task: Gives the test split, representative images and the type of the raw pixels.
        path: A file if it ends in ".tflite", else the folder of a bundle.
        options: What the file is like.

    Raises:
        ValueError: If an option does not fit a model of one head.
        ExportError: If the file's answers are too far from the model's; nothing is written then.
    """
    lookup({**FLOAT_OPTIONS, "int8": None}, options.quantization, "quantization")
    _check_options(options)
    target = check_target(path, options)
    graph, values = read(model, task)
    logits = build(graph.to_logits(), values)
    converted = _convert(logits, graph, task, options)
    result = Converted(
        models=[cut.one_head(converted, HEAD, options.output_dtype, options.single_output)],
        expected=_answers(logits, task.test.images),
        exit_indices=(HEAD,),
        rule=None,
        costs=[graph.macs(values)],
        advice=lambda: _advice(logits, graph.to_logits(), task, options),
        validation=lambda: _answers(logits, task.validation.images),
    )
    return write_proved(result, task, target, options)


def _answers(logits: keras.Model, images: np.ndarray) -> Answers:
    return Answers(outputs(logits, images), np.full(len(images), HEAD), np.zeros(0))


def _check_options(options: ExportOptions) -> None:
    for name, neutral in {"exit_index": None, "early_exit": None, "fine_tune_epochs": 0}.items():
        if getattr(options, name) != neutral:
            raise ValueError(
                f"`{name}` must be {neutral} for a compressed model, but got {getattr(options, name)!r}: it has one "
                "head, and is fine-tuned by `compress`."
            )


def _advice(logits: keras.Model, graph: Graph, task: Task, options: ExportOptions) -> str:
    name, images = options.quantization, representative_dataset(task, options.seed)
    errors = layer_errors(logits, graph, images, EXPORTERS[name].stored, outputs_too=name == "int8")
    return advice(errors, REMEDY.get(name, ""))


def _convert(logits: keras.Model, graph: Graph, task: Task, options: ExportOptions) -> bytes:
    def heads(images: Any) -> list[Any]:
        return [logits(images, training=False)]

    pixels = options.pixels(task.dtype.name)
    if options.quantization != "int8":
        converter = open_converter(graph, heads, (HEAD,), pixels)
        return convert_checked(
            converter, FLOAT_OPTIONS[options.quantization](), graph, (HEAD,), pixels, output_dtype="float32"
        )
    converter = open_converter(graph, heads, (HEAD,), "float32")
    images = representative_dataset(task, options.seed)
    check_representative(images, task.input_shape)
    model = convert_checked(converter, _int8_options(images, pixels), graph, (HEAD,), pixels, output_dtype="int8")
    return _reads_raw_pixels(model) if pixels == "uint8" else model


def _int8_options(images: np.ndarray, pixels: str) -> dict[str, Any]:
    def batches() -> Iterator[list[np.ndarray]]:
        for index in range(len(images)):
            yield [images[index : index + 1].astype(np.float32)]

    return {
        **int8.converter_options(pixels),
        "representative_dataset": batches,
        "target_spec": tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]),
        **ONE_RANGE_PER_DENSE,
    }


def _reads_raw_pixels(model: bytes) -> bytes:
    """Returns an int8 model whose uint8 input is the pixel itself.

    The converter gives the input the range of the images that it saw, so that a device would have to scale pixels.
    The first operation turns one range into the other: all that changes is the range that it reads.
    """
    parsed = parse(model)
    graph, image = parsed.subgraphs[0], signature_of(parsed)[0][IMAGE]
    readers = [op for op in graph.operators if image in op.inputs]
    if {parsed.operatorCodes[op.opcodeIndex].builtinCode for op in readers} != {QUANTIZE}:
        raise RuntimeError("The converter must quantize the pixels first, but something else reads them.")
    quantization = graph.tensors[image].quantization
    quantization.scale, quantization.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    return pack(parsed)
