"""`with_plan`: a better memory plan than TensorFlow Lite Micro's own, as metadata in the file.

A plan holds an offset per tensor. The interpreter numbers the tensors of all subgraphs consecutively; older
interpreters look up each tensor by its number in its own subgraph. Both read the plans here alike. In a file with early
exits only the first subgraph is planned, which has the largest activations, and its tensors have numbers that belong
only to weights in the others. The interpreter places the rest around them. A map that an `IF` passes to a branch has
the same number and the same offset in both subgraphs: the copy has the place of the original.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.exporting.assembly import IF, add_metadata, pack, parse
from kgrow.exporting.cost import PLAN, arena_bytes, completed, lifetimes
from kgrow.graph.arena import Lifetime, peak, plans

VERSION = 1
SMALLEST_SHARED = 1024  # bytes; smaller maps are not worth a number


def with_plan(model: bytes) -> bytes:
    """Returns the model with the best plan that a few orders find, or unchanged if that saves nothing.

    Args:
        model: Content of the file.

    Raises:
        ValueError: If it is not a TensorFlow Lite model.

    References:
        The format: TensorFlow Lite Micro, `tensorflow/lite/micro/docs/memory_management.md`.
    """
    parsed = parse(model)
    num_shared = _number_apart(parsed)
    lives = _joined(lifetimes(parsed), num_shared)
    taken = {life.tensor for life in lives if life.subgraph > 0}
    fixed = [[(offset, life) for offset, life in plan if _is_planned(life, taken)] for plan in plans(lives)]
    free = [life for life in lives if not _is_planned(life, taken)]
    best = min(fixed, key=lambda plan: peak(completed(plan, free)))
    if peak(completed(best, free)) >= arena_bytes(model):
        return model
    offsets = [np.full(len(graph.tensors), -1, np.int32) for graph in parsed.subgraphs]
    for offset, life in best:
        for graph in offsets[:1] if life.tensor >= num_shared else offsets:
            graph[life.tensor : life.tensor + 1] = offset  # a subgraph may have fewer tensors
    header = np.array([VERSION, 0, sum(map(len, offsets))], np.int32)
    add_metadata(parsed, PLAN, np.concatenate([header, *offsets]).tobytes())
    return pack(parsed)


def _is_planned(life: Lifetime, taken: set[int]) -> bool:
    return life.subgraph == 0 and life.tensor not in taken


def _joined(lives: Sequence[Lifetime], num_shared: int) -> list[Lifetime]:
    """Returns the lifetimes; those with a shared number are merged into one of the first subgraph."""
    shared: dict[int, Lifetime] = {}
    for life in lives:
        if 0 <= life.tensor < num_shared:
            whole = shared.setdefault(life.tensor, dataclasses.replace(life, subgraph=0))
            whole.first, whole.last = min(whole.first, life.first), max(whole.last, life.last)
    return [*shared.values(), *(life for life in lives if not 0 <= life.tensor < num_shared)]


def _number_apart(model: Any) -> int:
    """Gives the maps passed to branches the same numbers in all subgraphs, and other large activations separate ones.

    The largest of the first subgraph get the highest numbers, the activations of the others low ones.

    Returns:
        The number of shared numbers, which start at 0.
    """
    sizes = {(life.subgraph, life.tensor): life.size for life in lifetimes(model)}
    shared = _handed_on(model, sizes)
    for index, graph in enumerate(model.subgraphs):
        weights = [number for number in range(len(graph.tensors)) if (index, number) not in sizes]
        front = [names.get(index, -1) for names in shared]
        while front.count(-1) > len(weights):
            weights.append(_add_placeholder(model, graph))
        front = [number if number >= 0 else weights.pop() for number in front]
        rest = sorted({number for i, number in sizes if i == index} - set(front), key=lambda n: sizes[index, n])
        numbers = _renumber(graph, [*front, *(weights + rest if index == 0 else rest + weights)])
        if index == 0:
            for signature in model.signatureDefs or []:
                for named in (*signature.inputs, *signature.outputs):
                    named.tensorIndex = numbers[named.tensorIndex]
    return len(shared)


def _handed_on(model: Any, sizes: Mapping[tuple[int, int], int]) -> list[dict[int, int]]:
    """Returns the large maps that are passed to branches: for each, its tensor's number by subgraph."""
    codes = [code.builtinCode for code in model.operatorCodes]
    maps: list[dict[int, int]] = []
    for index, graph in enumerate(model.subgraphs):  # a branch comes after its parent
        for op in (op for op in graph.operators if codes[op.opcodeIndex] == IF):
            for branch in (op.builtinOptions.thenSubgraphIndex, op.builtinOptions.elseSubgraphIndex):
                for outer, inner in zip(op.inputs[1:], model.subgraphs[branch].inputs, strict=True):
                    if sizes.get((index, int(outer)), 0) < SMALLEST_SHARED:
                        continue
                    known = [names for names in maps if names.get(index) == outer]
                    maps += [] if known else [{index: int(outer)}]
                    (known or maps[-1:])[0][branch] = int(inner)
    return maps


def _add_placeholder(model: Any, graph: Any) -> int:
    """Appends an unread tensor, which needs no memory because it has a value; returns its number."""
    constants = (tensor for tensor in model.subgraphs[0].tensors if model.buffers[tensor.buffer].data is not None)
    graph.tensors.append(min(constants, key=lambda tensor: len(model.buffers[tensor.buffer].data)))
    return len(graph.tensors) - 1


def _renumber(graph: Any, order: Sequence[int]) -> Mapping[int, int]:
    """Reorders the tensors of a subgraph; returns the new number of each."""
    numbers = {old: new for new, old in enumerate(order)} | {-1: -1}  # -1: an omitted input
    graph.tensors = [graph.tensors[old] for old in order]
    for part in (graph, *graph.operators):
        part.inputs = [numbers[int(index)] for index in part.inputs]
        part.outputs = [numbers[int(index)] for index in part.outputs]
    return numbers
