r"""Files cut from a model of all heads: one head, early exits in one file, or a file per stage.

A stage contains the operations needed for one head and not for any earlier one. In the file with early exits, stage 0
is the main graph. The next stage is the second branch of an `IF` that tests the confidence, and further stages are
nested in the same way. Weights and ranges of values are those of the model, so all of these files agree.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_name
from kgrow.exporting.assembly import IF, INT8, Assembly, Part, pack, parse, signature_of
from kgrow.exporting.exporter import head_outputs
from kgrow.exporting.measure import EXIT_INDEX, FEATURES, IMAGE, LOGITS, PROBABILITIES
from kgrow.network.early_exit import ExitRule

OUTPUT_DTYPES = ("float32", "uint8", "int8")


@dataclasses.dataclass(frozen=True)
class Stage:
    """The operations between one head and the one before.

    Args:
        operations: Positions in the source's list of operations, in order.
        inputs: Source tensors that earlier stages computed and this or a later stage reads.
        logits: Logits tensor of the source.
        probabilities: Probabilities tensor of the source.
    """

    operations: tuple[int, ...]
    inputs: tuple[int, ...]
    logits: int
    probabilities: int


def split(source: Any, exit_indices: Sequence[int]) -> list[Stage]:
    """Returns the stages of a model with the given heads.

    Args:
        source: Model that `parse` returned.
        exit_indices: Head indices, increasing.
    """
    graph = source.subgraphs[0]
    (image,), outputs = signature_of(source)[0].values(), signature_of(source)[1]
    producer = {tensor: number for number, op in enumerate(graph.operators) for tensor in op.outputs}
    ends = [tuple(outputs[name] for name in head_outputs(index)) for index in exit_indices]
    stage_of: dict[int, int] = {}
    for stage, tensors in enumerate(ends):
        for number in _needed(graph, producer, tensors):
            stage_of.setdefault(number, stage)
    stages = []
    for stage, (logits, probabilities) in enumerate(ends):
        later = (number for number, owner in stage_of.items() if owner >= stage)
        read = {tensor for number in later for tensor in graph.operators[number].inputs}
        earlier = (number for number, owner in stage_of.items() if owner < stage)
        made = {image} | {tensor for number in earlier for tensor in graph.operators[number].outputs}
        inputs = tuple(sorted(read & made)) if stage else (image,)
        operations = tuple(sorted(number for number, owner in stage_of.items() if owner == stage))
        stages.append(Stage(operations, inputs, logits, probabilities))
    return stages


def _needed(graph: Any, producer: dict[int, int], tensors: Iterable[int]) -> set[int]:
    needed: set[int] = set()
    open_tensors = list(tensors)
    while open_tensors:
        number = producer.get(open_tensors.pop())
        if number is not None and number not in needed:
            needed.add(number)
            open_tensors.extend(graph.operators[number].inputs)
    return needed


def one_head(model: bytes, exit_index: int, output_dtype: str = "float32", single_output: bool = False) -> bytes:
    """Returns the file of one head, from `image` to `probabilities` and `logits`.

    Args:
        model: Model that `Exporter.convert` returned.
        exit_index: Index of a converted head.
        output_dtype: Type of the outputs: `"float32"`, or `"uint8"` or `"int8"` for a quantized model.
        single_output: Whether `logits` are left out.
    """
    source = parse(model)
    (stage,) = split(source, (exit_index,))
    assembly = Assembly(source)
    main = assembly.subgraph()
    (image,) = (main.tensor(index) for index in stage.inputs)
    _copy(main, stage)
    # Probabilities first, as in a file with early exits: a microcontroller addresses outputs by number.
    outputs = {PROBABILITIES: main.tensor(stage.probabilities)}
    if not single_output:
        outputs[LOGITS] = main.tensor(stage.logits)
    outputs = {name: _as_dtype(main, tensor, output_dtype) for name, tensor in outputs.items()}
    assembly.sign({IMAGE: image}, outputs)
    return assembly.to_bytes()


def early_exits(model: bytes, exit_indices: Sequence[int], rule: ExitRule, output_dtype: str = "float32") -> bytes:
    """Returns the file that answers at the first confident head, without running the later layers.

    It maps `image` to `probabilities` (1, num_classes) and `exit_index` (1,), int32: the head after which it stopped.

    Args:
        model: Model that `Exporter.convert` returned.
        exit_indices: Heads at which it may stop, increasing.
        rule: Rule that decides which head answers, as in `predict_early`. `set_threshold` changes its threshold later.
        output_dtype: Type of the probabilities: `"float32"`, or `"uint8"` or `"int8"` for a quantized model.
    """
    source = parse(model)
    assembly = Assembly(source)
    main = assembly.subgraph()
    stages = split(source, exit_indices)
    (image,) = (main.tensor(index) for index in stages[0].inputs)
    limits = rule.thresholds(len(stages))
    probabilities, exit_index = _nest(main, stages, exit_indices, limits, rule.fallback, None)
    probabilities = _as_dtype(main, probabilities, output_dtype)
    assembly.sign({IMAGE: image}, {PROBABILITIES: probabilities, EXIT_INDEX: exit_index})
    return assembly.to_bytes()


def _nest(
    part: Part,
    stages: Sequence[Stage],
    exit_indices: Sequence[int],
    limits: Sequence[float],
    fallback: str,
    best: int | None,
) -> tuple[int, int]:
    """Fills a subgraph with the first stage and the following ones; returns the tensors of answer and exit."""
    stage, following = stages[0], stages[1:]
    _copy(part, stage)
    answer = part.tensor(stage.probabilities)
    if not following and best is None:
        return answer, part.constant(np.array([exit_indices[0]], np.int32))
    confidence = part.largest(answer)
    if best is not None:
        is_better = part.greater(confidence, part.largest(best))
        new, answer = answer, part.like(stage.probabilities)
        part.operation("SELECT_V2", (is_better, new, best), (answer,))
    if not following:
        return answer, part.constant(np.array([exit_indices[0]], np.int32))
    limit = _threshold(part.quantization(confidence) if part.is_quantized(confidence) else None, limits[0])
    leaves = part.greater(confidence, part.constant(limit, part.quantization(confidence)))
    inputs = [part.tensor(index) for index in following[0].inputs]
    result = (part.like(stage.probabilities), part.new((1,), "int32"))
    leave, go_on = part.assembly.subgraph(), part.assembly.subgraph()
    part.operation(
        "IF", (leaves, *inputs, answer), result, thenSubgraphIndex=leave.index, elseSubgraphIndex=go_on.index
    )
    for branch in (leave, go_on):
        carried = branch.like(stage.probabilities)
        branch.graph.inputs = [*(branch.tensor(index) for index in following[0].inputs), carried]
        if branch is leave:
            # An input that nothing reads has no lifetime for TensorFlow Lite Micro: values in use would share its
            # place, and the copy into it would overwrite them.
            for tensor in branch.graph.inputs[:-1]:
                branch.touch(tensor)
            branch.graph.outputs = [carried, branch.constant(np.array([exit_indices[0]], np.int32))]
        else:
            best = carried if fallback == "most_confident" else None
            if best is None:
                branch.touch(carried)
            branch.graph.outputs = list(_nest(branch, following, exit_indices[1:], limits[1:], fallback, best))
    return result


def set_threshold(model: bytes, rule: ExitRule) -> bytes:
    """Returns a file with early exits with only its threshold changed; nothing is converted again.

    Args:
        model: File that `early_exits` returned.
        rule: Rule with another threshold and the fallback of the model.

    Raises:
        ValueError: If the model has no early exits, or the rule has another number of thresholds.
    """
    parsed = parse(model)
    codes = [code.builtinCode for code in parsed.operatorCodes]
    limits = []  # in the order of the exits: a branch follows the graph that it belongs to
    for graph in parsed.subgraphs:
        made_by = {int(op.outputs[0]): op for op in graph.operators}
        branches = [op for op in graph.operators if codes[op.opcodeIndex] == IF]
        limits += [graph.tensors[made_by[int(op.inputs[0])].inputs[1]] for op in branches]
    if not limits:
        raise ValueError("`model` must have early exits in it, but has none.")
    for tensor, limit in zip(limits, rule.thresholds(len(limits) + 1), strict=True):
        value = _threshold(tensor.quantization if tensor.type == INT8 else None, limit)
        parsed.buffers[tensor.buffer].data = np.frombuffer(value.tobytes(), np.uint8)
    return pack(parsed)


def stage_files(model: bytes, exit_indices: Sequence[int]) -> list[bytes]:
    """Returns one file per stage, for callers that decide between stages or use delegates.

    The first reads `image`. Each gives `probabilities` of its own head, and the feature maps that later stages read.
    Their names, `features_0`, `features_1` and further ones, are the same in all files.

    Args:
        model: Model that `Exporter.convert` returned.
        exit_indices: Heads at which a file ends, increasing.
    """
    source = parse(model)
    graph, stages = source.subgraphs[0], split(source, exit_indices)
    crossing = sorted({index for stage in stages[1:] for index in stage.inputs})
    names = {index: f"{FEATURES}_{number}" for number, index in enumerate(crossing)}
    files = []
    for number, stage in enumerate(stages):
        assembly = Assembly(source)
        part = assembly.subgraph()
        read = {int(index) for position in stage.operations for index in graph.operators[position].inputs}
        made = {int(index) for position in stage.operations for index in graph.operators[position].outputs}
        wanted = stages[number + 1].inputs if number + 1 < len(stages) else ()
        inputs = {names.get(index, IMAGE): part.tensor(index) for index in stage.inputs if index in read}
        _copy(part, stage)
        outputs = {PROBABILITIES: _as_dtype(part, part.tensor(stage.probabilities), "float32")}
        assembly.sign(inputs, outputs | {names[index]: part.tensor(index) for index in wanted if index in made})
        files.append(assembly.to_bytes())
    return files


def _copy(part: Part, stage: Stage) -> None:
    for position in stage.operations:
        part.copy_operation(part.assembly.source.subgraphs[0].operators[position])


def _threshold(quantization: Any, threshold: float) -> np.ndarray:
    """Returns the value that a confidence must exceed, (1, 1), in the type of the confidences."""
    if quantization is None:
        return np.nextafter(np.full((1, 1), threshold, np.float32), np.float32(-1))
    steps = np.ceil(threshold / float(quantization.scale[0])) + int(quantization.zeroPoint[0]) - 1
    return np.full((1, 1), np.clip(steps, -128, 127), np.int8)


def _as_dtype(part: Part, tensor: int, dtype: str) -> int:
    check_name(OUTPUT_DTYPES, dtype, "output_dtype")
    if not part.is_quantized(tensor):
        if dtype != "float32":
            raise ValueError(f"`output_dtype` must be 'float32' unless the model is int8, but got {dtype!r}.")
        return tensor
    if dtype == "int8":
        return tensor
    shape = part.graph.tensors[tensor].shape
    quantization = None
    if dtype == "uint8":
        quantization = copy.copy(part.quantization(tensor))
        quantization.zeroPoint = np.asarray(quantization.zeroPoint) + 128
    result = part.new(shape, dtype, quantization)
    part.operation("DEQUANTIZE" if dtype == "float32" else "QUANTIZE", (tensor,), (result,))
    return result
