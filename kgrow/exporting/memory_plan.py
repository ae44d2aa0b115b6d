"""`with_plan`: a better memory plan than TensorFlow Lite Micro's own, as metadata in the file.

A plan holds one offset per tensor number, and the interpreter looks tensors of every subgraph up in it by their numbers
there. In a file with early exits the first subgraph, where activations are largest, is planned: its tensors get numbers
that only weights have in the others. The interpreter places the rest around them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.exporting.assembly import add_metadata, pack, parse
from kgrow.exporting.cost import PLAN, Lifetime, arena_bytes, completed, lifetimes, peak, place

VERSION = 1

ORDERS: tuple[Callable[[Lifetime], tuple[int, ...]], ...] = (
    lambda life: (-life.size,),
    lambda life: (-life.size, life.first - life.last, life.first),
    lambda life: (-life.size * (life.last - life.first + 1), life.first),
    lambda life: (life.first, -life.size),
)


def with_plan(model: bytes) -> bytes:
    """Returns the model with the best plan that a few orders find, or as it is if that saves nothing.

    Args:
        model: The file's content.

    Raises:
        ValueError: If it is no TensorFlow Lite model.

    References:
        The format: TensorFlow Lite Micro, `tensorflow/lite/micro/docs/memory_management.md`.
    """
    parsed = parse(model)
    _number_apart(parsed)
    lives = lifetimes(parsed)
    taken = {life.tensor for life in lives if life.subgraph > 0}
    plans = [
        [(offset, life) for offset, life in place(sorted(lives, key=order)) if _is_planned(life, taken)]
        for order in ORDERS
    ]
    free = [life for life in lives if not _is_planned(life, taken)]
    best = min(plans, key=lambda plan: peak(completed(plan, free)))
    if peak(completed(best, free)) >= arena_bytes(model):
        return model
    offsets = np.full(sum(len(graph.tensors) for graph in parsed.subgraphs), -1, np.int32)
    for offset, life in best:
        offsets[life.tensor] = offset
    header = np.array([VERSION, 0, len(offsets)], np.int32)
    add_metadata(parsed, PLAN, np.concatenate([header, offsets]).tobytes())
    return pack(parsed)


def _is_planned(life: Lifetime, taken: set[int]) -> bool:
    return life.subgraph == 0 and life.tensor not in taken


def _number_apart(model: Any) -> None:
    """Gives the largest activations of the first subgraph the highest numbers, and those of the others the lowest."""
    sizes = {(life.subgraph, life.tensor): life.size for life in lifetimes(model)}
    first, *branches = model.subgraphs
    for index, graph in enumerate(branches, start=1):
        activations = [number for number in range(len(graph.tensors)) if (index, number) in sizes]
        _renumber(graph, [*activations, *sorted(set(range(len(graph.tensors))) - set(activations))])
    numbers = _renumber(first, sorted(range(len(first.tensors)), key=lambda number: sizes.get((0, number), 0)))
    for signature in model.signatureDefs or []:
        for named in (*signature.inputs, *signature.outputs):
            named.tensorIndex = numbers[named.tensorIndex]


def _renumber(graph: Any, order: Sequence[int]) -> Mapping[int, int]:
    """Puts the tensors of a subgraph in an order; returns the new number of each."""
    numbers = {old: new for new, old in enumerate(order)} | {-1: -1}  # -1: an input that is left out
    graph.tensors = [graph.tensors[old] for old in order]
    for part in (graph, *graph.operators):
        part.inputs = [numbers[int(index)] for index in part.inputs]
        part.outputs = [numbers[int(index)] for index in part.outputs]
    return numbers
