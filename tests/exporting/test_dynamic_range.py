"""Versions of operations: what a converter writes must be known to the oldest interpreter that is promised."""

import json
from pathlib import Path

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS
from kgrow.exporting.assembly import operation_names, parse
from kgrow.exporting.dynamic_range import SMALLEST
from kgrow.exporting.measure import open_interpreter
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.network import GrowingNetwork

# Highest version per operation, asked of the interpreter itself: see tests/test_device.py.
KNOWN = json.loads((Path(__file__).parent / "tflite_runtime_2_14.json").read_text())


def versions_of(model):
    """Returns the highest version of each operation of a model."""
    versions = {}
    for name, code in zip(operation_names(model), model.operatorCodes, strict=True):
        versions[name] = max(versions.get(name, 0), code.version)
    return versions


@pytest.fixture(scope="module")
def with_large_kernels():
    """A convolution and a Dense layer that are both large enough for 8 bits."""
    block = CellBlock((Cell("conv", 48, stride=2),), Head(2))
    return GrowingNetwork(of_cells((8, 8, 3), 64, Scaling((128.0,) * 3, (64.0,) * 3), (block,)))


@pytest.mark.parametrize("name", EXPORTERS)
def test_tflite_runtime_2_14_knows_every_operation(name, with_large_kernels):
    assert min(int(np.prod(kernel.weight.shape)) for kernel in with_large_kernels.kernels()) >= SMALLEST
    model = EXPORTERS[name].convert(with_large_kernels, (0,), "uint8", np.zeros((16, 8, 8, 3), np.uint8))
    written = versions_of(parse(model))
    assert not {name: version for name, version in written.items() if version > KNOWN[name]}


def test_interpreter_that_is_too_old_is_blamed_in_place_of_the_file(make_empty_model):
    with pytest.raises(ValueError, match=r"this interpreter is older than the model: .*'CONV_2D' version '99'"):
        open_interpreter(make_empty_model("CONV_2D", 99))
