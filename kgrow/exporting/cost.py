"""Costs of a `.tflite` file, computed from the file: its peak RAM on a microcontroller, and MACs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow.exporting.assembly import IF, REDUCE_MAX, TYPE_BYTES, WEIGHTED, parse
from kgrow.graph.arena import Lifetime, aligned, peak, place

PLAN = b"OfflineMemoryAllocation"
INT_BYTES = 4


class _Walk:
    """One pass over the operations in the order they run, subgraphs of `IF` inlined."""

    def __init__(self, model: Any):
        self.model, self.step = model, 0
        self.codes = [code.builtinCode for code in model.operatorCodes]
        self.tensors = [
            [
                Lifetime(index, number, aligned(tensor_bytes(model, tensor)))
                for number, tensor in enumerate(graph.tensors)
            ]
            for index, graph in enumerate(model.subgraphs)
        ]
        self.scratch: list[Lifetime] = []

    def run(self, subgraph: int) -> None:
        """Visits a subgraph and its nested subgraphs."""
        graph, tensors = self.model.subgraphs[subgraph], self.tensors[subgraph]
        for index in graph.inputs:
            tensors[index].create(self.step)
        for op in graph.operators:
            self._run_operation(graph, tensors, op)
        for index in graph.outputs:
            tensors[index].last = self.step

    def _run_operation(self, graph: Any, tensors: Sequence[Lifetime], op: Any) -> None:
        self.step += 1
        started, code = self.step, self.codes[op.opcodeIndex]
        for index in op.outputs:
            tensors[index].create(self.step)
        if code == IF:
            for branch in (op.builtinOptions.thenSubgraphIndex, op.builtinOptions.elseSubgraphIndex):
                self.step += 1
                self.run(branch)
        for index in (*op.inputs, *op.outputs):
            if index >= 0:
                tensors[index].last = self.step
        if code == REDUCE_MAX:  # the axes, and an index of one value per dimension
            rank = len(graph.tensors[op.inputs[0]].shape)
            sizes = (rank * INT_BYTES, INT_BYTES)
            self.scratch += [Lifetime(-1, -1, aligned(size), started, self.step) for size in sizes]


def lifetimes(model: Any) -> list[Lifetime]:
    """Returns the lifetimes of arena buffers, in the numbering of TensorFlow Lite Micro.

    Args:
        model: Model that `kgrow.exporting.assembly.parse` returned.
    """
    walk = _Walk(model)
    walk.run(0)
    return [life for graph in walk.tensors for life in graph if life.size and life.first >= 0] + walk.scratch


def tensor_bytes(model: Any, tensor: Any) -> int:
    """Returns the memory of a tensor in bytes, 0 for a weight, which is read from the file in place."""
    data = model.buffers[tensor.buffer].data
    if data is not None and len(data):
        return 0
    return math.prod(int(side) for side in tensor.shape) * TYPE_BYTES[tensor.type]


def arena_bytes(model: bytes) -> int:
    """Returns the bytes that TensorFlow Lite Micro's planner needs for activations: the head of its arena.

    The interpreter's structures come on top, about 100 bytes per operation on a 32 bit processor.

    Args:
        model: Content of the file; a plan in it is followed.

    Raises:
        ValueError: If it is not a TensorFlow Lite model.
    """
    parsed = parse(model)
    plan = _read_plan(parsed)
    before = np.cumsum([0, *(len(graph.tensors) for graph in parsed.subgraphs)])  # tensors are numbered through
    fixed, free = [], []
    for life in lifetimes(parsed):
        offset = plan[before[life.subgraph] + life.tensor] if plan and life.tensor >= 0 else -1
        (fixed.append((offset, life)) if offset >= 0 else free.append(life))
    return peak(completed(fixed, free))


def completed(fixed: Sequence[tuple[int, Lifetime]], free: Sequence[Lifetime]) -> list[tuple[int, Lifetime]]:
    """Returns the placement of everything by TensorFlow Lite Micro's planner, given a plan for a part of it."""
    return place(sorted(reversed(free), key=lambda life: -life.size), fixed)


def _read_plan(model: Any) -> list[int]:
    """Returns the offset per tensor that a file requests, -1 for no request; empty without a plan."""
    for entry in model.metadata or []:
        if entry.name == PLAN:
            return np.frombuffer(bytes(bytearray(model.buffers[entry.buffer].data)), np.int32)[3:].tolist()
    return []


def macs(model: bytes) -> int:
    """Counts the multiply-accumulates of an image through the whole file, from the shapes in it.

    Args:
        model: Content of the file.

    Raises:
        ValueError: If it is not a TensorFlow Lite model.
    """
    parsed = parse(model)
    codes = [code.builtinCode for code in parsed.operatorCodes]
    total = 0
    for graph in parsed.subgraphs:
        for op in graph.operators:
            if codes[op.opcodeIndex] not in WEIGHTED:
                continue
            kernel, output = graph.tensors[op.inputs[1]].shape, graph.tensors[op.outputs[0]].shape
            # (out, height, width, in) or (out, in); (1, height, width, channels) depthwise, once per output position
            positions = math.prod(int(side) for side in output[1:-1])
            total += math.prod(int(side) for side in kernel) * positions
    return total
