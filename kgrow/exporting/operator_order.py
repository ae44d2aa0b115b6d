"""`in_order`: a converted model whose operations run when what they give is wanted, if that takes less memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kgrow.exporting.assembly import pack, parse, signature_of
from kgrow.exporting.cost import arena_bytes


def in_order(model: bytes, outputs: Iterable[str]) -> bytes:
    """Returns the model with its operations in the order that needs less memory: as they are, or the last moment first.

    The converter runs all that reads a map one after the other, so that branches wait in memory for their sum. Here
    each operation comes after what it reads, operand by operand, and no sooner. Answers do not change.

    Args:
        model: The file's content.
        outputs: Names in its signature, in the order in which they are wanted: an earlier head before a later one.
    """
    parsed = parse(model)
    if len(parsed.subgraphs) != 1:
        return model
    (graph,), tensors = parsed.subgraphs, signature_of(parsed)[1]
    graph.operators = [graph.operators[index] for index in _last_moments(graph, [tensors[name] for name in outputs])]
    lazy = pack(parsed)
    return lazy if arena_bytes(lazy) < arena_bytes(model) else model


def _last_moments(graph: Any, tensors: Sequence[int]) -> list[int]:
    """Returns the positions of the operations that some tensors need, each after those that it needs itself."""
    producer = {int(tensor): number for number, op in enumerate(graph.operators) for tensor in op.outputs}
    order: dict[int, None] = {}
    waiting = [int(tensor) for tensor in reversed(tensors)]
    while waiting:
        number = producer.get(waiting[-1])
        if number is None or number in order:  # a weight or the image, or done
            waiting.pop()
            continue
        inputs = [int(tensor) for tensor in graph.operators[number].inputs]
        missing = [tensor for tensor in inputs if tensor in producer and producer[tensor] not in order]
        if missing:
            waiting += reversed(missing)
        else:
            order[number] = None
    return list(order)
