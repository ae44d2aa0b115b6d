"""The C source of a model for TensorFlow Lite Micro, with a name prefix so that a program can contain several."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kgrow_device.run import EIGHT_BITS

from kgrow.exporting.assembly import operation_names, pack, parse, remove_metadata
from kgrow.exporting.micro_arena import arena_size
from kgrow.exporting.standard_metadata import NAME as STANDARD_METADATA

HEADER, SOURCE = "model_data.h", "model_data.cc"
BYTES_PER_LINE = 16
DEFAULT_NAME = "model"

HEADER_TEXT = """\
// Made by kgrow. A program may hold several models if their names differ.
#ifndef KGROW_{name}_MODEL_DATA_H_
#define KGROW_{name}_MODEL_DATA_H_

extern const unsigned char {name}_model_data[];
extern const unsigned int {name}_model_data_size;

// Bytes that tflite::MicroInterpreter needs on a 64 bit machine, which is more than on a microcontroller.
constexpr int {name}_arena_size = {arena_size};

constexpr int {name}_num_classes = {num_classes};
extern const char* const {name}_class_names[{name}_num_classes];

// What black and white are in the input: a camera's pixels, from 0 to 255, are scaled to it.
constexpr float {name}_lowest_pixel = {lowest};
constexpr float {name}_highest_pixel = {highest};

// Registers what the model consists of with a tflite::MicroMutableOpResolver<{name}_num_operations>.
constexpr int {name}_num_operations = {num_operations};
template <typename Resolver>
inline void {name}_add_operations(Resolver& resolver) {{
{operations}
}}

#endif  // KGROW_{name}_MODEL_DATA_H_
"""
SOURCE_TEXT = """\
#include "model_data.h"

alignas(16) const unsigned char {name}_model_data[] = {{
{rows}
}};
const unsigned int {name}_model_data_size = {size};

const char* const {name}_class_names[] = {{
{class_names}
}};
"""


def identifier(text: str) -> str:
    """Returns the closest valid C name, such as "my_flowers" for "my flowers"."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return words if words[:1].isalpha() else f"{DEFAULT_NAME}_{words}".rstrip("_")


def is_identifier(text: str) -> bool:
    """Returns whether a name is valid in C, also as a prefix."""
    return identifier(text) == text


def c_files(
    model: bytes, name: str, classes: Sequence[str], pixel_range: Sequence[float] = EIGHT_BITS
) -> dict[str, bytes]:
    """Returns the header and the source of a model that TensorFlow Lite Micro runs.

    Args:
        model: Content of the file; its zip and its standard metadata are not needed there and are left out.
        name: Prefix of the defined names.
        classes: Names of the classes.
        pixel_range: Smallest and largest pixel of the data.
    """
    parsed = parse(model)
    remove_metadata(parsed, STANDARD_METADATA)
    bare = pack(parsed)
    operations = sorted(set(operation_names(parsed)))
    rows = (bare[start : start + BYTES_PER_LINE] for start in range(0, len(bare), BYTES_PER_LINE))
    header = HEADER_TEXT.format(
        name=name,
        arena_size=arena_size(bare),
        num_classes=len(classes),
        lowest=_number(pixel_range[0]),
        highest=_number(pixel_range[1]),
        num_operations=len(operations),
        operations="\n".join(f"  resolver.Add{operation.title().replace('_', '')}();" for operation in operations),
    )
    source = SOURCE_TEXT.format(
        name=name,
        rows="\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows),
        size=len(bare),
        class_names="\n".join(f"    {_literal(name)}," for name in classes),
    )
    return {HEADER: header.encode(), SOURCE: source.encode()}


def _number(value: float) -> str:
    return f"{float(value)!r}f"


def _literal(text: str) -> str:
    """Returns a string literal; other than plain ASCII becomes octal UTF-8 bytes, which no digit can extend."""
    plain = (chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'
