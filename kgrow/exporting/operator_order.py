"""`in_order`: a converted model whose operations run when what they give is wanted."""

from __future__ import annotations

from collections.abc import Iterable

from kgrow.exporting.assembly import pack, parse, signature_of
from kgrow.exporting.cost import tensor_bytes
from kgrow.graph.arena import best_order


def in_order(model: bytes, outputs: Iterable[str]) -> bytes:
    """Returns the model with its operations in the order of `best_order`, whatever order the converter chose.

    The memory of a file then follows from the network alone, as `kgrow.searching.memory` predicts it. Answers do not
    change.

    Args:
        model: The file's content.
        outputs: Names in its signature, in the order in which they are wanted: an earlier head before a later one.
    """
    parsed = parse(model)
    if len(parsed.subgraphs) != 1:
        return model
    (graph,), tensors = parsed.subgraphs, signature_of(parsed)[1]
    operations = {int(tensor): op for op in graph.operators for tensor in op.outputs}
    sizes = {number: tensor_bytes(parsed, tensor) for number, tensor in enumerate(graph.tensors)}
    activations = {number: size for number, size in sizes.items() if size}
    reads = {
        tensor: tuple(int(read) for read in op.inputs if int(read) in activations) for tensor, op in operations.items()
    }
    wanted = [tensors[name] for name in outputs]
    order = (operations[tensor] for tensor in best_order(reads, activations, wanted))
    graph.operators = list({id(op): op for op in order}.values())  # one may have several outputs
    return pack(parsed)
