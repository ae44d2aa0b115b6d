"""Cells small enough to be built in a second."""

import pytest

from kgrow.cells.stack import Stack
from kgrow.graph import Scaling
from kgrow.graph.edge import Edge
from kgrow.graph.genotype import Genotype

SCALING = Scaling((128.0,) * 3, (64.0,) * 3)


@pytest.fixture(scope="session")
def small_stack():
    """Three cells of two filters on 8x8x3 images."""
    return Stack((8, 8, 3), 3, SCALING, cells="NRN", filters=2, stem_stride=1)


@pytest.fixture(scope="session")
def varied_genotype():
    """Every operation, with and without stride, from inputs and from nodes."""
    normal = (Edge(2, 0, "sep3"), Edge(2, 1, "max3"), Edge(3, 2, "identity"), Edge(3, 0, "dil5"), Edge(3, 2, "avg3"))
    reduction = (Edge(2, 0, "identity"), Edge(2, 1, "avg3"), Edge(4, 2, "sep5"), Edge(4, 1, "dil3"))
    return Genotype(normal, reduction)


@pytest.fixture
def double_precision():
    """Keras in float64."""
    from kgrow._keras import keras

    keras.backend.set_floatx("float64")
    yield
    keras.backend.set_floatx("float32")
