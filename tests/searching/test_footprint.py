"""Tests of predicted costs against files that are really made."""

import dataclasses

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS, cut
from kgrow.exporting.cost import arena_bytes
from kgrow.exporting.memory_plan import with_plan
from kgrow.network import GrowingNetwork
from kgrow.pruning import SCOPES, kept_params
from kgrow.searching import SPACES
from kgrow.searching.footprint import FORMATS, costs

# What a bundle adds to each model that it writes.
DESCRIPTION = 1_400


@pytest.mark.parametrize("scope", SCOPES)
def test_connections_and_operations_are_counted_exactly(scope):
    architecture = SPACES["seed_dense"].build((32, 32, 3), 10)
    ratios = (0.5, 0.31, 0.123, 0.9)
    footprint = costs(architecture).footprint(ratios, scope)
    assert footprint.params == kept_params(architecture, ratios, scope)
    assert footprint.macs == architecture.macs()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "shape", "width", "depth", "quantization"),
    [
        ("compact", (8, 8, 1), 0.75, 3, "int8"),
        ("compact", (28, 28, 1), 0.375, 2, "int8"),
        ("seed_plain", (8, 8, 1), 0.5, 2, "int8"),
        ("compact", (96, 96, 3), 0.25, 2, "int8"),  # a large image, which a strided stem reduces at once
        ("compact", (12, 12, 3), 0.5, 3, "float32"),
        ("seed_dense", (32, 32, 3), 0.25, 2, "float32"),
        ("cells", (8, 8, 1), 0.5, 3, "int8"),
        ("cells", (32, 32, 3), 0.25, 2, "int8"),
        ("cells", (32, 32, 3), 0.25, 1, "int8"),
        ("cells", (32, 32, 3), 0.25, 1, "float32"),
    ],
)
def test_file_is_near_the_real_one_and_memory_equal(space, shape, width, depth, quantization, eagerly):
    deepest = SPACES[space].build(shape, 10, width=width)
    architecture = dataclasses.replace(deepest, blocks=deepest.blocks[:depth])
    images = np.random.default_rng(0).integers(0, 256, (32, *shape), np.uint8)
    network, generator = GrowingNetwork(architecture), np.random.default_rng(1)
    for name, variable in network.named_variables().items():
        if name.endswith(("beta", "bias", "moving_mean")):  # as after training: equal biases would be stored once
            variable.assign(generator.normal(0, 0.2, variable.shape))
    converted = EXPORTERS[quantization].convert(network, (depth - 1,), "uint8", images)
    model = with_plan(cut.one_head(converted, depth - 1, "float32"))
    predicted = costs(architecture, quantization)
    assert 0 <= predicted.flash_bytes - len(model) - DESCRIPTION <= 0.06 * len(model)
    assert predicted.ram_bytes == arena_bytes(model)


def test_every_format_is_one_that_can_be_exported():
    assert set(FORMATS) <= set(EXPORTERS)
