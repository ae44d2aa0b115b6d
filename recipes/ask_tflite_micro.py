"""Asks TensorFlow Lite Micro which operations of kgrow's files it runs, and prints the table that `--micro` goes by.

    pip install -e ".[micro]"
    python recipes/ask_tflite_micro.py > kgrow/exporting/micro_operations.json

Every operation of many exported files is cut out and run alone, on the interpreter for microcontrollers and on LiteRT.
An operation counts as one that runs if both give the same, up to rounding.
"""

import argparse
import copy
import importlib.metadata
import itertools
import json
import tempfile
from pathlib import Path

import numpy as np

from kgrow._keras import keras, quiet_stderr, tf
from kgrow.compressing.reading import network_of, read
from kgrow.exporting import EXPORTERS, ExportOptions, cut, export, int8
from kgrow.exporting.assembly import IF, Assembly, parse
from kgrow.exporting.exporter import ONE_RANGE_PER_DENSE, open_converter, run_converter
from kgrow.exporting.folded import FoldedNetwork
from kgrow.exporting.measure import open_interpreter
from kgrow.exporting.micro import kind_of
from kgrow.graph.keras_models import ACTIVATIONS
from kgrow.graph.operators.activation import hard_swish
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import FALLBACKS, ExitRule
from kgrow.searching import SPACES
from kgrow.task import Split, Task

SHAPE, NUM_CLASSES = (16, 16, 3), 10
FORMATS = [("int8", "uint8"), ("int8", "float32"), ("float32", "float32"), ("float32", "uint8"), ("dynamic", "float32")]
ASKED = {"compact": FORMATS, "cells": FORMATS[:1]}
ARENA_BYTES = 1_000_000
LARGEST_DIFFERENCE = {"int8": 3, "uint8": 3, "float32": 1e-4}  # kernels round differently


def images(number):
    return np.random.default_rng(0).integers(0, 256, (number, *SHAPE), np.uint8)


def files_of_space(space, formats):
    """Yields files of an untrained network."""
    architecture = SPACES[space].build(SHAPE, NUM_CLASSES, width=0.25)
    network, heads = GrowingNetwork(architecture), tuple(range(len(architecture.blocks)))
    for quantization, pixels in formats:
        converted = EXPORTERS[quantization].convert(network, heads, pixels, images(16))
        yield cut.one_head(converted, heads[-1])
        yield from (cut.early_exits(converted, heads, ExitRule(0.5, fallback)) for fallback in FALLBACKS)
        if quantization == "int8":
            yield from (cut.one_head(converted, 0, dtype) for dtype in ("int8", "uint8"))


def model_with(activation):
    """Returns a model of all kinds of layers that `kgrow.compress` takes, with one activation."""
    layers, image = keras.layers, keras.Input(SHAPE)
    x = layers.Rescaling(1 / 255)(layers.Normalization(mean=3.0, variance=2.0)(image))
    x = layers.Conv2D(8, 3, strides=2, activation=activation)(layers.ZeroPadding2D()(x))
    y = layers.DepthwiseConv2D(3, padding="same", activation=activation)(x)
    y = layers.BatchNormalization()(layers.SeparableConv2D(8, 3, padding="same")(y))
    y = layers.ReLU(6.0)(layers.LeakyReLU()(y))
    x = layers.Activation(activation)(layers.Add()([x, layers.Activation(activation)(y)]))
    x = layers.Concatenate()([layers.MaxPooling2D()(x), layers.AveragePooling2D()(x)])
    leaky = layers.LeakyReLU()(x)
    x = layers.Concatenate()([leaky, layers.ReLU()(leaky), layers.ReLU(6.0)(leaky), layers.ReLU(threshold=0.5)(x)])
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x), layers.Flatten()(x)])
    x = layers.Dense(16, activation=activation)(x)
    return keras.Model(image, layers.Dense(NUM_CLASSES, activation="softmax")(x))


def files_of_models():
    """Yields files of untrained models with every activation."""
    split = Split(images(32), np.arange(32, dtype=np.int32) % NUM_CLASSES)
    task = Task("noise", split, split, split, tuple(map(str, range(NUM_CLASSES))))
    for activation in ACTIVATIONS:
        model = model_with(hard_swish if activation == "hard_swish" else activation)  # Keras 2 has no such name
        model.compile("adam", "sparse_categorical_crossentropy")
        yield quantized_by_tensorflow(network_of(read(model, task)))
        for quantization, pixels in FORMATS[:3]:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.tflite"
                export(
                    network_of(read(model, task)),
                    task,
                    path,
                    ExportOptions(quantization, input_dtype=pixels, max_drop=1.0),
                )
                yield path.read_bytes()


def quantized_by_tensorflow(network):
    """Returns a file in which TensorFlow found all ranges itself, also inside of what kgrow leaves as floats."""
    folded = FoldedNetwork(network)
    converter = open_converter(folded.architecture, folded.heads, (0,), "float32")
    options = {
        **int8.converter_options("uint8"),
        "representative_dataset": lambda: ([image[np.newaxis].astype(np.float32)] for image in images(32)),
        "target_spec": tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]),
        **ONE_RANGE_PER_DENSE,
    }
    for name, value in options.items():
        setattr(converter, name, value)
    return cut.one_head(run_converter(converter), 0)


def alone(model, source, graph, operation):
    """Returns a model of one operation; of a branch, the whole model."""
    if source.operatorCodes[operation.opcodeIndex].builtinCode == IF:
        return model
    one_graph = copy.copy(source)
    one_graph.subgraphs = [graph]
    assembly = Assembly(one_graph)
    part = assembly.subgraph()
    part.copy_operation(operation)
    read = [i for i in operation.inputs if i >= 0 and source.buffers[graph.tensors[i].buffer].data is None]
    names = {f"input_{number}": part.tensor(index) for number, index in enumerate(dict.fromkeys(read))}
    assembly.sign(names, {f"output_{number}": part.tensor(index) for number, index in enumerate(operation.outputs)})
    return assembly.to_bytes()


def on_micro(model, inputs):
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    for number, value in enumerate(inputs):
        interpreter.set_input(value, number)
    interpreter.invoke()
    return [interpreter.get_output(number) for number in range(len(parse(model).subgraphs[0].outputs))]


def on_litert(model, inputs):
    interpreter = open_interpreter(model)
    for details, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]


def runs(model):
    """Returns whether the interpreter for microcontrollers gives what LiteRT gives."""
    generator = np.random.default_rng(0)
    inputs = [
        generator.integers(*((0, 2) if details["dtype"] == np.bool_ else (1, 100)), details["shape"]).astype(
            details["dtype"]
        )
        for details in open_interpreter(model).get_input_details()
    ]
    with quiet_stderr():
        try:
            found = on_micro(model, inputs)
        except (RuntimeError, ValueError):
            return False
    return all(
        np.allclose(one, other, 1e-4, LARGEST_DIFFERENCE.get(one.dtype.name, 0), equal_nan=True)
        for one, other in zip(found, on_litert(model, inputs), strict=True)
    )


def ask():
    """Returns the table."""
    answers = {}
    spaces = (file for space, formats in ASKED.items() for file in files_of_space(space, formats))
    for file in itertools.chain(spaces, files_of_models()):
        source = parse(file)
        for graph, operation in ((part, operation) for part in source.subgraphs for operation in part.operators):
            kind = kind_of(source, graph, operation)
            if kind not in answers:
                answers[kind] = runs(alone(file, source, graph, operation))
    return {
        "tflite_micro": importlib.metadata.version("tflite_micro"),
        "runs": sorted(kind for kind, is_running in answers.items() if is_running),
        "refused": sorted(kind for kind, is_running in answers.items() if not is_running),
    }


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(json.dumps(ask(), indent=2))
