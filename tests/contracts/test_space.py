"""What every search space owes."""

import abc
import importlib
import inspect
import json
import math
import pkgutil

import pytest

from kgrow import searching
from kgrow.architecture import Architecture, Scaling
from kgrow.architecture.operations import head_grid
from kgrow.searching import SPACES, SearchSpace

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (96, 96, 3), (100, 60, 3)]


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def test_every_space_of_the_package_has_a_name_in_the_table():
    names = [found.name for found in pkgutil.iter_modules(searching.__path__) if not found.name.startswith("ray_")]
    modules = [importlib.import_module(f"kgrow.searching.{name}") for name in names]  # Ray need not be installed
    classes = {
        c
        for m in modules
        for _, c in inspect.getmembers(m, lambda it: type(it) is abc.ABCMeta)
        if issubclass(c, SearchSpace)
    }
    assert {type(space) for space in SPACES.values()} == {c for c in classes if not inspect.isabstract(c)}


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_architecture_is_for_the_input_and_the_classes(space, input_shape):
    architecture = space.build(input_shape, 7)
    assert architecture.input_shape == input_shape
    assert architecture.num_classes == 7
    assert len(architecture.blocks) >= 2
    assert all(op.output_shape == (1, 1, 7) for op in architecture.operations if op.name.endswith("head/dense"))


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_every_map_is_read_and_every_side_stays_positive(space, input_shape):
    architecture = space.build(input_shape, 10)
    last_of_blocks = {architecture.first_cell(index + 1) - 1 for index in range(len(architecture.blocks))}
    read = {source for cell in architecture.cells for source in cell.inputs} | last_of_blocks
    assert read == set(range(len(architecture.cells)))
    assert all(min(op.output_shape) >= 1 for op in architecture.operations)


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_operations_read_what_was_made_before_them(space, input_shape):
    made = {"image"}
    for op in space.build(input_shape, 10).operations:
        assert made.issuperset(op.inputs)
        assert op.name not in made
        made.add(op.name)


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_heads_read_a_map_that_their_grid_covers(space, input_shape):
    architecture = space.build(input_shape, 10)
    for index, block in enumerate(architecture.blocks):
        height, width, channels = architecture.feature_shape(architecture.first_cell(index + 1) - 1)
        _, pooled = head_grid((height, width), block.head.grid)
        (dense,) = [op for op in architecture.kernels(index) if op.is_head]
        assert dense.kernel_shape == (math.prod(pooled) * channels, 10)


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_building_twice_and_through_text_gives_an_equal_architecture(space, input_shape):
    architecture = space.build(input_shape, 10)
    assert space.build(input_shape, 10) == architecture
    assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture


def test_scaling_is_taken_over_and_leaves_pixels_alone_by_default(space):
    scaling = Scaling((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert space.build((32, 32, 3), 10, scaling).scaling == scaling
    assert space.build((32, 32, 3), 10).scaling == Scaling((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_every_offered_network_can_be_built_and_narrower_ones_cost_less(space, input_shape):
    assert space.widths[0] == 1.0
    assert list(space.widths) == sorted(set(space.widths), reverse=True)
    for links in space.links:
        sizes = [space.build(input_shape, 10, width=width, links=links) for width in space.widths]
        params, macs = [a.kernel_params() for a in sizes], [a.macs() for a in sizes]
        assert params == sorted(set(params), reverse=True)
        assert macs == sorted(set(macs), reverse=True)


def test_defaults_are_the_first_of_what_is_offered(space):
    first = space.build((28, 28, 1), 10, width=space.widths[0], links=space.links[0])
    assert space.build((28, 28, 1), 10) == first


def test_space_is_a_value(space):
    assert type(space)(**vars(space)) == space
