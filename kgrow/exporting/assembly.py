"""`Assembly`: a TensorFlow Lite model assembled from the parts of another, with each weight stored once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from kgrow._keras import quiet_stderr
from kgrow.exporting.measure import SIGNATURE

with quiet_stderr():
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

INT8, IF, REDUCE_MAX = schema.TensorType.INT8, schema.BuiltinOperator.IF, schema.BuiltinOperator.REDUCE_MAX
QUANTIZE = schema.BuiltinOperator.QUANTIZE
WEIGHTED = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
}
TYPE_BYTES = {
    getattr(schema.TensorType, name): size
    for name, size in {"FLOAT32": 4, "FLOAT16": 2, "INT32": 4, "INT64": 8, "INT8": 1, "UINT8": 1, "BOOL": 1}.items()
}
TYPE_NAMES = {value: name for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
IDENTIFIER = b"TFL3"
# The first versions of operations that support int8.
VERSIONS = {"REDUCE_MAX": 2, "GREATER": 2, "SELECT_V2": 1, "IF": 1, "DEQUANTIZE": 2, "QUANTIZE": 2, "SHAPE": 1}
# "CONVERSION_METADATA" records how TensorFlow was called; a device does not need it.
KEPT_METADATA = (b"min_runtime_version",)


def parse(model: bytes) -> Any:
    """Returns a model as objects of the schema.

    Raises:
        ValueError: If it is not a TensorFlow Lite model, or is damaged.
    """
    if model[4:8] != IDENTIFIER:
        raise ValueError(f"`model` must be a TensorFlow Lite model, but got {len(model)} other bytes.")
    try:
        return flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    except Exception as error:  # the generated code checks nothing; any error means a damaged file
        raise ValueError(f"`model` must be a whole TensorFlow Lite model, but got a damaged one: {error!r}.") from error


class _SharingBuilder(flatbuffers.Builder):
    """A builder that stores equal vectors and texts once.

    The zero points of a kernel in 8 bits, one of 8 bytes per channel, are all zero: half of what such a channel costs.
    """

    def __init__(self) -> None:
        super().__init__(1024)
        self._stored: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 - FlatBuffers' names
        """Returns the position of a vector."""
        return self._once((x.dtype.str, x.tobytes()), super().CreateNumpyVector, x)

    def CreateString(self, s: Any, *coding: str) -> int:  # noqa: N802
        """Returns the position of a text."""
        return self._once(("text", s if isinstance(s, bytes) else s.encode()), super().CreateString, s, *coding)

    def _once(self, key: tuple[str, bytes], create: Callable[..., int], *what: Any) -> int:
        if key not in self._stored:
            self._stored[key] = create(*what)
        return self._stored[key]


def pack(model: Any) -> bytes:
    """Returns the bytes of a model; the inverse of `parse`."""
    builder = _SharingBuilder()
    # Lists would be written item by item; read again, they are vectors.
    again = parse(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    builder.Finish(again.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def signature_of(model: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Returns the tensors of a model's one signature by name: inputs and outputs."""
    (signature,) = model.signatureDefs
    inputs, outputs = (
        {str(t.name, "utf-8"): t.tensorIndex for t in ts} for ts in (signature.inputs, signature.outputs)
    )
    return inputs, outputs


def add_metadata(model: Any, name: bytes, data: bytes) -> None:
    """Sets a named buffer of a parsed model; interpreters that do not know the name ignore it."""
    for entry in model.metadata or []:
        if entry.name == name:
            model.buffers[entry.buffer].data = np.frombuffer(data, np.uint8)
            return
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, _add_buffer(model, np.frombuffer(data, np.uint8))
    model.metadata = [*(model.metadata or []), entry]


def remove_metadata(model: Any, name: bytes) -> None:
    """Removes a named buffer of a parsed model, if there is one."""
    for entry in model.metadata or []:
        if entry.name == name:
            model.buffers[entry.buffer].data = None  # removal would renumber the others
    model.metadata = [entry for entry in model.metadata or [] if entry.name != name]


def _add_buffer(model: Any, data: np.ndarray) -> int:
    buffer = schema.BufferT()
    buffer.data = data
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def operation_names(model: Any) -> list[str]:
    """Returns the names of a model's operations, such as "CONV_2D", in the order of its table."""
    return [flatbuffer_utils.opcode_to_name(model, index) or "CUSTOM" for index in range(len(model.operatorCodes))]


def type_name(tensor: Any) -> str:
    """Returns the name of a tensor's type, such as "INT8"."""
    return TYPE_NAMES[tensor.type]


class Assembly:
    """A model under construction.

    Args:
        source: Parsed model, as `parse` returns it, whose tensors and operations are copied.
    """

    def __init__(self, source: Any):
        self.source = source
        self.model = schema.ModelT()
        self.model.version, self.model.description = source.version, b"kgrow"
        self.model.operatorCodes, self.model.subgraphs, self.model.signatureDefs = [], [], []
        self.model.buffers = [schema.BufferT()]  # the first is empty by convention
        self.model.metadata = []
        self._buffers: dict[int, int] = {0: 0}
        for entry in source.metadata or []:
            if entry.name in KEPT_METADATA:
                add_metadata(self.model, entry.name, bytes(bytearray(source.buffers[entry.buffer].data)))

    def subgraph(self) -> Part:
        """Appends an empty subgraph."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
        self.model.subgraphs.append(graph)
        return Part(self, graph, len(self.model.subgraphs) - 1)

    def buffer(self, data: np.ndarray) -> int:
        """Appends a buffer; returns its index."""
        return _add_buffer(self.model, data)

    def buffer_of(self, source_index: int) -> int:
        """Returns the index of a buffer's copy; each buffer is copied once."""
        if source_index not in self._buffers:
            data = self.source.buffers[source_index].data
            self._buffers[source_index] = 0 if data is None else self.buffer(data)
        return self._buffers[source_index]

    def opcode(self, name: str, version: int) -> int:
        """Returns the index of a built-in operation."""
        builtin = getattr(schema.BuiltinOperator, name)
        for index, code in enumerate(self.model.operatorCodes):
            if (code.builtinCode, code.version) == (builtin, version):
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        # Readers older than the second field know only the first, a byte.
        code.deprecatedBuiltinCode = min(builtin, 127)
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def sign(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Sets the signature of the first subgraph, with its inputs and outputs in order."""
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
        signature.inputs, signature.outputs = ([_named(*i) for i in named.items()] for named in (inputs, outputs))
        self.model.signatureDefs = [signature]
        graph = self.model.subgraphs[0]
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        for name, index in (*inputs.items(), *outputs.items()):
            graph.tensors[index].name = name.encode()

    def to_bytes(self) -> bytes:
        """Returns the content of the file."""
        return pack(self.model)


class Part:
    """A subgraph under construction, made by `Assembly.subgraph`; each source tensor has one copy in it."""

    def __init__(self, assembly: Assembly, graph: Any, index: int):
        self.assembly, self.graph, self.index = assembly, graph, index
        self._tensors: dict[int, int] = {}

    def tensor(self, source_index: int) -> int:
        """Returns this subgraph's index of a tensor of the source's only subgraph."""
        if source_index not in self._tensors:
            tensor = copy.copy(self.assembly.source.subgraphs[0].tensors[source_index])
            tensor.buffer = self.assembly.buffer_of(tensor.buffer)
            tensor.name = None  # the converter's names are long traces of its own functions
            self._tensors[source_index] = self._append(tensor)
        return self._tensors[source_index]

    def like(self, source_index: int) -> int:
        """Returns a new tensor of a source tensor's shape, type and quantization."""
        tensor = copy.copy(self.assembly.source.subgraphs[0].tensors[source_index])
        tensor.name, tensor.buffer = None, 0
        return self._append(tensor)

    def new(self, shape: Sequence[int], dtype: str, quantization: Any = None) -> int:
        """Returns a new tensor that an operation writes."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), getattr(schema.TensorType, dtype.upper())
        tensor.quantization, tensor.hasRank = quantization, True
        return self._append(tensor)

    def constant(self, value: np.ndarray, quantization: Any = None) -> int:
        """Returns a new tensor of a fixed value."""
        index = self.new(value.shape, value.dtype.name, quantization)
        self.graph.tensors[index].buffer = self.assembly.buffer(np.frombuffer(value.tobytes(), np.uint8))
        return index

    def quantization(self, index: int) -> Any:
        """Returns scale and zero point of a tensor of this subgraph."""
        return self.graph.tensors[index].quantization

    def is_quantized(self, index: int) -> bool:
        """Returns whether a tensor of this subgraph is int8."""
        return self.graph.tensors[index].type == schema.TensorType.INT8

    def copy_operation(self, operation: Any) -> None:
        """Appends an operation of the source and its tensors."""
        code = self.assembly.source.operatorCodes[operation.opcodeIndex]
        name = flatbuffer_utils.opcode_to_name(self.assembly.source, operation.opcodeIndex)
        twin = copy.copy(operation)
        twin.opcodeIndex = self.assembly.opcode(name, code.version)
        twin.inputs = [index if index < 0 else self.tensor(index) for index in operation.inputs]
        twin.outputs = [self.tensor(index) for index in operation.outputs]
        self.graph.operators.append(twin)

    def operation(self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """Appends an operation with its options, such as `keepDims`."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self.assembly.opcode(name, VERSIONS[name])
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        kind = "Reducer" if name == "REDUCE_MAX" else name.title().replace("_", "")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
        operator.builtinOptions = getattr(schema, f"{kind}OptionsT")()
        for option, value in options.items():
            setattr(operator.builtinOptions, option, value)
        self.graph.operators.append(operator)

    def largest(self, values: int) -> int:
        """Appends the maximum over the classes of (1, num_classes); returns a tensor (1, 1)."""
        kind = "int8" if self.is_quantized(values) else "float32"
        result = self.new((1, 1), kind, self.quantization(values))
        self.operation("REDUCE_MAX", (values, self.constant(np.array([1], np.int32))), (result,), keepDims=True)
        return result

    def greater(self, left: int, right: int) -> int:
        """Appends a comparison of two (1, 1) tensors; returns a tensor (1, 1)."""
        result = self.new((1, 1), "bool")
        self.operation("GREATER", (left, right), (result,))
        return result

    def touch(self, tensor: int) -> None:
        """Appends an operation that reads only a tensor's shape but counts as a use of it."""
        shape = self.new((len(self.graph.tensors[tensor].shape),), "int32")
        self.operation("SHAPE", (tensor,), (shape,), outType=schema.TensorType.INT32)

    def _append(self, tensor: Any) -> int:
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1


def _named(name: str, index: int) -> Any:
    tensor = schema.TensorMapT()
    tensor.name, tensor.tensorIndex = name.encode(), index
    return tensor
