"""The arena size that TensorFlow Lite Micro needs for a model: activations and the interpreter's own data."""

from __future__ import annotations

import importlib
from typing import Any

from kgrow._keras import quiet_stderr
from kgrow.exporting.assembly import WEIGHTED, parse
from kgrow.exporting.cost import arena_bytes, lifetimes
from kgrow.graph.arena import ALIGNMENT, aligned

RUNTIME = "tflite_micro.python.tflite_micro.runtime"
# Bytes that the interpreter keeps on a 64 bit machine; see test_micro_arena.py. On 32 bits it keeps fewer.
PER_MODEL, PER_SUBGRAPH, PER_OPERATION, PER_TENSOR, PER_CHANNEL = 1024, 64, 176, 24, 8
# Bytes that it needs temporarily, in the place of activations, to plan their layout.
PLAN_PER_MODEL, PLAN_PER_TENSOR, PLAN_PER_LIFETIME = 256, 24, 80

PRECISION = 0.01


def arena_size(model: bytes) -> int:
    """Returns a sufficient arena size in bytes, a multiple of its alignment.

    With `tflite-micro` installed the interpreter itself determines the size to one hundredth. Without it the size is an
    upper bound, about a tenth larger.

    Args:
        model: Content of a file that TensorFlow Lite Micro runs.

    Raises:
        ValueError: If it is not a TensorFlow Lite model.
    """
    most = arena_bound(model)
    try:
        interpreter = importlib.import_module(RUNTIME).Interpreter
    except ImportError:
        return most
    with quiet_stderr():
        return _smallest(interpreter, model, arena_bytes(model), most)


def arena_bound(model: bytes) -> int:
    """Returns a sufficient arena size in bytes, computed from the file alone."""
    parsed = parse(model)
    codes = [code.builtinCode for code in parsed.operatorCodes]
    operations = [(graph, op) for graph in parsed.subgraphs for op in graph.operators]
    num_tensors = sum(len(graph.tensors) for graph in parsed.subgraphs)
    num_channels = sum(
        int(graph.tensors[op.outputs[0]].shape[-1]) for graph, op in operations if codes[op.opcodeIndex] in WEIGHTED
    )
    kept = PER_MODEL + PER_SUBGRAPH * len(parsed.subgraphs) + PER_OPERATION * len(operations)
    kept += PER_TENSOR * num_tensors + PER_CHANNEL * num_channels
    planning = PLAN_PER_MODEL + PLAN_PER_TENSOR * num_tensors + PLAN_PER_LIFETIME * len(lifetimes(parsed))
    return aligned(max(arena_bytes(model), planning) + kept)


def _smallest(interpreter: Any, model: bytes, too_small: int, enough: int) -> int:
    """Returns approximately the smallest arena that fits a model's tensors, by bisection."""
    while not _is_enough(interpreter, model, enough):  # the interpreter keeps more than those measured
        too_small, enough = enough, 2 * enough
    low, high = too_small // ALIGNMENT, enough // ALIGNMENT
    while high - low > max(1, high * PRECISION):
        middle = (low + high) // 2
        low, high = (low, middle) if _is_enough(interpreter, model, middle * ALIGNMENT) else (middle, high)
    return high * ALIGNMENT


def _is_enough(interpreter: Any, model: bytes, num_bytes: int) -> bool:
    try:
        interpreter.from_bytes(model, arena_size=num_bytes)
    except RuntimeError:
        return False
    return True
