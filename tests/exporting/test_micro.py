"""What counts as runnable on TensorFlow Lite Micro is what its interpreter says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kgrow.exporting import cut
from kgrow.exporting.assembly import Assembly, pack, parse, schema
from kgrow.exporting.micro import TABLE, check_micro, operations_that_run, require_micro

ROOT = Path(__file__).parents[2]


def model_of(name, read, made, scales=(1.0, 1.0)):
    """A model of one operation."""
    source = schema.ModelT()
    source.version = 3
    assembly = Assembly(source)
    part = assembly.subgraph()
    operation = schema.OperatorT()
    operation.opcodeIndex = assembly.opcode(name, 1)
    tensors = []
    for kind, scale in zip((read, made), scales, strict=True):
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [scale], [0]
        tensors.append(part.new((1, 4), kind, quantization))
    operation.inputs, operation.outputs = tensors[:1], tensors[1:]
    part.graph.operators.append(operation)
    return assembly.to_bytes()


@pytest.mark.parametrize(
    ("name", "read", "made"),
    [("LEAKY_RELU", "int8", "int8"), ("LOGISTIC", "int8", "int8"), ("CAST", "bool", "float32")],
)
def test_activations_that_run_are_accepted(name, read, made):
    assert check_micro(model_of(name, read, made, scales=(0.5, 0.25))) == []


def test_minimum_of_an_activation_is_accepted():
    assert "MINIMUM INT8, INT8 -> INT8" in operations_that_run()


@pytest.mark.parametrize(
    ("name", "read", "made"),
    [("GELU", "int8", "int8"), ("CAST", "uint8", "float32"), ("DEQUANTIZE", "float16", "float32")],
)
def test_what_does_not_run_is_named(name, read, made):
    assert check_micro(model_of(name, read, made)) == [f"operation {name} {read.upper()} -> {made.upper()}"]


def test_relu6_is_refused_only_where_it_would_have_to_scale():
    assert check_micro(model_of("RELU6", "int8", "int8")) == []
    (problem,) = check_micro(model_of("RELU6", "int8", "int8", scales=(0.5, 0.25)))
    assert problem == "operation RELU6 INT8 -> INT8, rescaled"


def test_int8_file_is_not_told_to_be_int8():
    gelu = model_of("GELU", "int8", "int8")
    with pytest.raises(ValueError, match=r"GELU INT8 -> INT8\. Choose other layers or activations: it is int8 already"):
        require_micro([gelu], "int8")
    with pytest.raises(ValueError, match="Use 'int8'"):
        require_micro([gelu], "dynamic")


def test_every_kind_of_int8_file_runs(int8_model):
    for model in (cut.one_head(int8_model, 2), *cut.stage_files(int8_model, (0, 1, 2))):
        assert check_micro(pack(parse(model))) == []


@pytest.mark.slow
def test_table_is_what_the_interpreter_says():
    pytest.importorskip("tflite_micro", reason="pip install -e .[micro]")
    command = [sys.executable, ROOT / "recipes" / "ask_tflite_micro.py"]
    asked = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    known = json.loads((ROOT / "kgrow" / "exporting" / TABLE).read_text())
    assert set(known["runs"]) == set(asked["runs"])
    assert set(known["refused"]) == set(asked["refused"])
