"""What TensorFlow Lite Micro cannot run."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from kgrow.exporting.assembly import INT8, operation_names, parse, type_name

# Made by recipes/ask_tflite_micro.py, which asks the interpreter; see test_micro.py.
TABLE = "micro_operations.json"
RESCALED = ", rescaled"


@functools.cache
def operations_that_run() -> frozenset[str]:
    """Returns the kinds of operations that TensorFlow Lite Micro runs, named as by `kind_of`."""
    return frozenset(json.loads((importlib.resources.files("kgrow.exporting") / TABLE).read_text())["runs"])


def kind_of(model: Any, graph: Any, operation: Any) -> str:
    """Returns an operation's name with what decides whether there is a kernel, such as "CAST UINT8 -> FLOAT32".

    These are the types, and of an operation with one input whether its values have another scale than its output's.

    Args:
        model: What `kgrow.exporting.assembly.parse` returned.
        graph: One of its subgraphs.
        operation: One of the subgraph's operations.
    """
    name = operation_names(model)[operation.opcodeIndex]
    read = [graph.tensors[index] for index in operation.inputs[:2] if index >= 0]
    made = graph.tensors[operation.outputs[0]]
    kind = f"{name} {', '.join(map(type_name, read))} -> {type_name(made)}"
    # Of some, such as RELU6, the kernel takes for granted that it need not.
    return f"{kind}{RESCALED}" if len(operation.inputs) == 1 and _changes_scale(read[0], made) else kind


def _changes_scale(read: Any, made: Any) -> bool:
    if not read.type == made.type == INT8:
        return False
    ranges = [(tensor.quantization.scale, tensor.quantization.zeroPoint) for tensor in (read, made)]
    return not all(np.array_equal(*pair) for pair in zip(*ranges, strict=True))


def check_micro(model: bytes) -> list[str]:
    """Returns what keeps a model from running on a microcontroller, in words; empty if nothing does.

    Args:
        model: The file's content.

    Raises:
        ValueError: If it is no TensorFlow Lite model.
    """
    parsed = parse(model)
    kinds = {kind_of(parsed, graph, operation) for graph in parsed.subgraphs for operation in graph.operators}
    known = operations_that_run()
    problems = [f"operation {kind}" for kind in sorted(kinds) if not {kind, f"{kind}{RESCALED}"} & known]
    if any(tensor.sparsity is not None for graph in parsed.subgraphs for tensor in graph.tensors):
        problems.append("sparse tensors")
    return problems


def require_micro(models: Iterable[bytes], quantization: str) -> None:
    """Checks that models run on a microcontroller.

    Args:
        models: Content of the files.
        quantization: Name of the exporter that made them.

    Raises:
        ValueError: If one does not; the message names what it has.
    """
    problems = sorted({problem for model in models for problem in check_micro(model)})
    if not problems:
        return
    cure = (
        "Choose other layers or activations: it is int8 already."
        if quantization == "int8"
        else "Use 'int8', or 'float32' with `input_dtype='float32'`."
    )
    raise ValueError(
        f"`micro` needs a model that TensorFlow Lite Micro runs, but this one has {', '.join(problems)}. {cure}"
    )
