"""What every search space owes."""

import abc
import importlib
import inspect
import json
import pkgutil

import pytest

from kgrow import searching
from kgrow.graph import Architecture, Scaling
from kgrow.searching import SPACES, SearchSpace

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (96, 96, 3), (100, 60, 3)]


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def test_every_space_of_the_package_has_a_name_in_the_table():
    modules = [
        importlib.import_module(f"kgrow.searching.{found.name}") for found in pkgutil.iter_modules(searching.__path__)
    ]
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
    assert all(architecture.shapes[architecture.logits(head)] == (7,) for head in range(len(architecture.blocks)))


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_every_map_is_read_and_every_side_stays_positive(space, input_shape):
    architecture = space.build(input_shape, 10)
    answers = {architecture.logits(head) for head in range(len(architecture.blocks))}
    assert {name for name, readers in architecture.readers.items() if not readers} == answers
    assert all(min(shape) >= 1 for shape in architecture.shapes.values())


@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_heads_read_a_map_that_their_grid_covers(space, input_shape):
    architecture = space.build(input_shape, 10)
    for index, block in enumerate(architecture.blocks):
        height, width, channels = architecture.shapes[block.head[0].inputs[0]]
        (dense,) = [kernel for kernel in architecture.kernels(index) if kernel.is_head]
        positions = dense.kernel_shape[0] // channels
        assert dense.kernel_shape == (positions * channels, 10)
        assert 1 <= positions <= height * width


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
