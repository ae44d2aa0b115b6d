"""What TensorFlow Lite Micro cannot run."""

from __future__ import annotations

from collections.abc import Iterable

from kgrow.exporting.assembly import is_hybrid, operation_names, parse, tensor_types

# The operations that files of kgrow may consist of and that TensorFlow Lite Micro has kernels for.
OPERATIONS = {
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "FULLY_CONNECTED",
    "GREATER", "IF", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "QUANTIZE", "REDUCE_MAX", "RELU", "RELU6", "RESHAPE",
    "SELECT_V2", "SHAPE", "SOFTMAX", "SUB",
}  # fmt: skip
TYPES = {"FLOAT32", "INT8", "UINT8", "INT32", "INT64", "BOOL"}


def check_micro(model: bytes) -> list[str]:
    """Returns what keeps a model from running on a microcontroller, in words; empty if nothing does.

    Args:
        model: The file's content.

    Raises:
        ValueError: If it is no TensorFlow Lite model.
    """
    parsed = parse(model)
    problems = [f"operation {name}" for name in sorted(operation_names(parsed) - OPERATIONS)]
    problems += [f"tensors of type {name}" for name in sorted(tensor_types(parsed) - TYPES)]
    if is_hybrid(parsed):
        problems.append("8 bit weights with float32 activations (dynamic range)")
    if any(tensor.sparsity is not None for graph in parsed.subgraphs for tensor in graph.tensors):
        problems.append("sparse tensors")
    return problems


def require_micro(models: Iterable[bytes]) -> None:
    """Checks that models run on a microcontroller.

    Raises:
        ValueError: If one does not; the message names what it has.
    """
    problems = sorted({problem for model in models for problem in check_micro(model)})
    if problems:
        raise ValueError(
            f"`micro` needs a model that TensorFlow Lite Micro runs, but this one has {', '.join(problems)}. Use "
            "'int8', or 'float32' with `input_dtype='float32'`."
        )
