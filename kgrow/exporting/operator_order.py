"""`in_order`: reorders a converted model's operations to run as late as possible."""

from __future__ import annotations

from collections.abc import Iterable

from kgrow.exporting.assembly import pack, parse, signature_of
from kgrow.exporting.cost import tensor_bytes
from kgrow.graph.arena import best_order


def in_order(model: bytes, outputs: Iterable[str]) -> bytes:
    """Returns the model with its operations in the order of `best_order`, instead of the converter's order.

    The memory of a file then depends only on the network, as `kgrow.searching.memory` predicts it. Outputs do not
    change.

    Args:
        model: Content of the file.
        outputs: Names in its signature, in the order in which they are needed: an earlier head before a later one.
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
