"""Tests of predicted memory: it is that of the file, for whatever a search may offer."""

import dataclasses
import random

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS, cut
from kgrow.exporting.cost import arena_bytes
from kgrow.exporting.memory_plan import with_plan
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.network import GrowingNetwork
from kgrow.searching import SPACES
from kgrow.searching.footprint import FORMATS, costs
from kgrow.searching.space import deviations

SHAPES = [(8, 8, 1), (12, 12, 3), (28, 28, 1), (32, 32, 3), (30, 45, 3), (64, 64, 3), (96, 96, 3)]
# Every space, small and large images, both formats and both types of pixels, pooled and plain heads.
SAMPLE = [
    ("compact", (64, 64, 3), 0.875, 2, (), "int8", "uint8"),
    ("compact", (8, 8, 1), 0.25, 1, (), "int8", "float32"),
    ("flexible", (28, 28, 1), 0.5, 2, (("cell", "inverted"), ("kernel_size", 5)), "int8", "uint8"),
    ("flexible", (32, 32, 3), 0.25, 1, (("cell", "inverted"), ("stem_stride", 2)), "float32", "float32"),
    ("cascade", (12, 12, 3), 0.25, 2, (), "float32", "float32"),
    ("large", (28, 28, 1), 0.25, 1, (), "int8", "uint8"),
    ("cells", (8, 8, 1), 0.25, 2, (), "int8", "uint8"),
    ("seed", (8, 8, 1), 0.25, 1, (("links", "concat"),), "float32", "uint8"),
    ("seed", (8, 8, 1), 0.25, 1, (("links", "add"),), "int8", "uint8"),
    ("seed_plain", (8, 8, 1), 0.5, 1, (), "int8", "uint8"),
]


def everything():
    """Yields all that the spaces offer for some shapes, in both formats."""
    for name, space in SPACES.items():
        for shape in (shape for shape in SHAPES if max(shape) <= 32 or not name.startswith("seed")):
            depths = range(1, len(space.build(shape, 10).blocks) + 1)
            for width in space.widths:
                for choices in deviations(space.choices(shape)):
                    for depth in depths:
                        yield from (
                            (name, shape, width, depth, tuple(choices.items()), quantization, dtype)
                            for quantization in FORMATS
                            for dtype in ("uint8", "float32")
                        )


def predicted_and_measured(space, shape, width, depth, choices, quantization, dtype):
    scaling = Scaling((100.0,) * shape[2], (60.0,) * shape[2])
    deepest = SPACES[space].build(shape, 10, scaling, width=width, **dict(choices))
    architecture = dataclasses.replace(deepest, blocks=deepest.blocks[:depth])
    return costs(architecture, quantization, dtype).ram_bytes, measured(architecture, quantization, dtype)


def measured(architecture, quantization, dtype):
    images = np.random.default_rng(0).integers(0, 256, (32, *architecture.input_shape), np.uint8)
    last = len(architecture.blocks) - 1
    converted = EXPORTERS[quantization].convert(GrowingNetwork(architecture), (last,), dtype, images)
    return arena_bytes(with_plan(cut.one_head(converted, last, "float32")))


@pytest.mark.parametrize("case", SAMPLE, ids=str)
def test_predicted_memory_is_that_of_the_file(case, eagerly):
    predicted, found = predicted_and_measured(*case)
    assert predicted == found


@pytest.mark.slow
@pytest.mark.parametrize("case", random.Random(0).sample(sorted(everything()), 300), ids=str)
def test_predicted_memory_is_that_of_the_file_over_all_spaces(case, eagerly):
    predicted, found = predicted_and_measured(*case)
    assert predicted == found


def test_pixels_without_a_mean_are_not_copied():
    block = CellBlock((Cell("conv", 2),), Head(2))
    plain = of_cells((8, 8, 1), 3, Scaling((0.0,), (1.0,)), (block,))
    centered = dataclasses.replace(plain, scaling=Scaling((9.0,), (1.0,)))
    images = 8 * 8 * 4
    # The stem reads the pixels and writes two channels; their mean is subtracted into a third place.
    assert costs(plain, "float32", "float32").ram_bytes == 3 * images
    assert costs(centered, "float32", "float32").ram_bytes == 3 * images
    assert costs(plain, "int8", "float32").ram_bytes == 5 * 64


def test_memory_worked_out_by_hand():
    residual = Cell("residual", 4, inputs=(0,), hidden_filters=8, shortcut="identity")
    block = CellBlock((Cell("conv", 4), residual), Head(1))
    architecture = of_cells((4, 4, 1), 5, Scaling((0.0,), (1.0,)), (block,))
    # The stem's 4 channels are needed by the shortcut while 8 become 4: 16 channels at 4 x 4 positions.
    assert costs(architecture, "int8").ram_bytes == 16 * 16
    assert costs(architecture, "float32", "float32").ram_bytes == 4 * 16 * 16
