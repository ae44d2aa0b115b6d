"""TensorFlow Lite's standard metadata, for MediaPipe and other readers without support for kgrow's own.

The tables are written field by field: packages with the generated code are unmaintained (`tflite-support`) or large
(`mediapipe`), and only a small part of the schema is needed. test_standard_metadata.py reads them with MediaPipe's own
code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers

from kgrow.exporting.assembly import add_metadata
from kgrow.exporting.measure import IMAGE, PROBABILITIES

NAME, IDENTIFIER, VERSION = b"TFLITE_METADATA", b"M001", "1.0.0"
EIGHT_BITS = (0, 255)
# Fields by number, and members of enumerations and unions, as in metadata_schema.fbs.
MODEL_NAME, MODEL_SUBGRAPHS, MODEL_MIN_PARSER_VERSION, MODEL_FIELDS = 0, 3, 7, 8
GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_FIELDS = 2, 3, 10
TENSOR_NAME, TENSOR_CONTENT, TENSOR_PROCESS_UNITS, TENSOR_FILES, TENSOR_FIELDS = 0, 3, 4, 6, 7
FILE_NAME, FILE_TYPE, FILE_FIELDS = 0, 2, 5
UNION_TYPE, UNION_VALUE, UNION_FIELDS = 0, 1, 2
MEAN, STD, COLOR_SPACE = 0, 1, 0
TENSOR_AXIS_LABELS, NORMALIZATION_OPTIONS, IMAGE_PROPERTIES, RGB, GRAYSCALE = 2, 1, 2, 1, 2

Field = tuple[str, int]  # storage type, and the value or its position


def add_standard_metadata(model: Any, description: Mapping[str, Any], labels: str) -> None:
    """Adds descriptions of the tensors to a parsed model.

    Args:
        model: A file with one signature.
        description: Description that `kgrow.exporting.bundle.describe` returned.
        labels: Name of the file of class names in the appended zip.
    """
    (signature,) = model.signatureDefs
    graph, builder = model.subgraphs[0], flatbuffers.Builder(512)
    names = {named.tensorIndex: str(named.name, "utf-8") for named in (*signature.inputs, *signature.outputs)}
    inputs = [_input(builder, names[index], description["input"]) for index in graph.inputs]
    outputs = [_output(builder, names[index], labels) for index in graph.outputs]
    of_graph = _table(
        builder,
        GRAPH_FIELDS,
        {GRAPH_INPUTS: _offset(_vector(builder, inputs)), GRAPH_OUTPUTS: _offset(_vector(builder, outputs))},
    )
    fields = {
        MODEL_NAME: _string(builder, description["task"]),
        MODEL_SUBGRAPHS: _offset(_vector(builder, [of_graph])),
        MODEL_MIN_PARSER_VERSION: _string(builder, VERSION),
    }
    builder.Finish(_table(builder, MODEL_FIELDS, fields), IDENTIFIER)
    add_metadata(model, NAME, bytes(builder.Output()))


def _input(builder: Any, name: str, description: Mapping[str, Any]) -> int:
    fields = {TENSOR_NAME: _string(builder, name)}
    if name == IMAGE:
        color = GRAYSCALE if description["shape"][-1] == 1 else RGB
        properties = _table(builder, 2, {COLOR_SPACE: ("Int8", color)})
        fields[TENSOR_CONTENT] = _offset(_union(builder, IMAGE_PROPERTIES, properties, UNION_FIELDS + 1))
        fields[TENSOR_PROCESS_UNITS] = _offset(
            _vector(builder, [_normalization(builder, description.get("range", EIGHT_BITS))])
        )
    return _table(builder, TENSOR_FIELDS, fields)


def _normalization(builder: Any, pixel_range: Sequence[float]) -> int:
    """Returns the unit that scales pixels from 0 to 255 to the model's input, if it reads floats."""
    low, high = pixel_range
    std = EIGHT_BITS[1] / (high - low) if high > low else 1.0
    values = {MEAN: _offset(_floats(builder, [-low * std])), STD: _offset(_floats(builder, [std]))}
    return _union(builder, NORMALIZATION_OPTIONS, _table(builder, 2, values), UNION_FIELDS)


def _output(builder: Any, name: str, labels: str) -> int:
    fields = {TENSOR_NAME: _string(builder, name)}
    if name == PROBABILITIES:
        file = {FILE_NAME: _string(builder, labels), FILE_TYPE: ("Int8", TENSOR_AXIS_LABELS)}
        fields[TENSOR_FILES] = _offset(_vector(builder, [_table(builder, FILE_FIELDS, file)]))
    return _table(builder, TENSOR_FIELDS, fields)


def _table(builder: Any, num_fields: int, fields: Mapping[int, Field]) -> int:
    builder.StartObject(num_fields)
    for slot, (kind, value) in fields.items():
        getattr(builder, f"Prepend{kind}Slot")(slot, value, 0)
    return int(builder.EndObject())


def _union(builder: Any, kind: int, value: int, num_fields: int) -> int:
    return _table(builder, num_fields, {UNION_TYPE: ("Uint8", kind), UNION_VALUE: _offset(value)})


def _string(builder: Any, text: str) -> Field:
    return _offset(builder.CreateString(text))


def _offset(where: int) -> Field:
    return "UOffsetTRelative", where


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: Any, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())
