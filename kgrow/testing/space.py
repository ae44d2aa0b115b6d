"""The contract of every search space."""

from __future__ import annotations

import itertools
import json
from typing import Any, ClassVar

import numpy as np
import pytest

from kgrow.graph import Architecture, Scaling
from kgrow.network import GrowingNetwork
from kgrow.searching import SearchSpace
from kgrow.searching.space import deviations, started_by

Shape = tuple[int, int, int]
SHAPES: list[Shape] = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (96, 96, 3), (100, 60, 3)]


class SpaceContract:
    """Tests of a search space's contract; a subclass has the space as `space`."""

    space: ClassVar[SearchSpace]

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> SearchSpace:
        """The space."""
        return cls.space

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_architecture_is_for_the_input_and_the_classes(self, subject: SearchSpace, input_shape: Shape) -> None:
        """Every head has a logit per class."""
        architecture = subject.build(input_shape, 7)
        assert architecture.input_shape == input_shape
        assert architecture.num_classes == 7
        assert len(architecture.blocks) >= 2
        assert all(architecture.shapes[architecture.logits(head)] == (7,) for head in range(len(architecture.blocks)))

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_every_map_is_read_and_every_side_stays_positive(self, subject: SearchSpace, input_shape: Shape) -> None:
        """No map is computed without a reader."""
        architecture = subject.build(input_shape, 10)
        answers = {architecture.logits(head) for head in range(len(architecture.blocks))}
        assert {name for name, readers in architecture.readers.items() if not readers} == answers
        assert all(min(shape) >= 1 for shape in architecture.shapes.values())

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_heads_read_a_map_that_their_grid_covers(self, subject: SearchSpace, input_shape: Shape) -> None:
        """A head pools the output of its block."""
        architecture = subject.build(input_shape, 10)
        for index, block in enumerate(architecture.blocks):
            height, width, channels = architecture.shapes[block.head[0].inputs[0]]
            (dense,) = [kernel for kernel in architecture.kernels(index) if kernel.is_head]
            positions = dense.kernel_shape[0] // channels
            assert dense.kernel_shape == (positions * channels, 10)
            assert 1 <= positions <= height * width

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_building_twice_and_through_text_gives_an_equal_architecture(
        self, subject: SearchSpace, input_shape: Shape
    ) -> None:
        """A run directory identifies the architecture by its text."""
        architecture = subject.build(input_shape, 10)
        assert subject.build(input_shape, 10) == architecture
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture

    def test_scaling_is_taken_over_and_leaves_pixels_alone_by_default(self, subject: SearchSpace) -> None:
        """The scaling is part of the network; given weights may need their own, whatever the data."""
        scaling = Scaling((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
        if subject.brings_scaling:
            assert subject.build((32, 32, 3), 10, scaling).scaling == subject.build((32, 32, 3), 10).scaling != scaling
            return
        assert subject.build((32, 32, 3), 10, scaling).scaling == scaling
        assert subject.build((32, 32, 3), 10).scaling == Scaling((0.0,) * 3, (1.0,) * 3)

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_every_offered_network_can_be_built_and_narrower_ones_cost_no_more(
        self, subject: SearchSpace, input_shape: Shape
    ) -> None:
        """Widths decrease from 1, and costs never rise with them."""
        assert subject.widths[0] == 1.0
        assert list(subject.widths) == sorted(set(subject.widths), reverse=True)
        for choices in deviations(subject.choices(input_shape)):
            sizes = [subject.build(input_shape, 10, width=width, **choices) for width in subject.widths]
            params, macs = [a.kernel_params() for a in sizes], [a.macs() for a in sizes]
            assert params == sorted(params, reverse=True)
            assert macs == sorted(macs, reverse=True)

    def test_defaults_are_the_first_of_what_is_offered(self, subject: SearchSpace) -> None:
        """The first width and the first of each choice are the default."""
        choices = {name: values[0] for name, values in subject.choices((28, 28, 1)).items()}
        first = subject.build((28, 28, 1), 10, width=subject.widths[0], **choices)
        assert subject.build((28, 28, 1), 10) == first

    @pytest.mark.parametrize("input_shape", SHAPES[:2], ids=str)
    def test_initial_values_fit_the_network(self, subject: SearchSpace, input_shape: Shape) -> None:
        """A network with given initial values is built as usual."""
        for width, choices in itertools.product(subject.widths, deviations(subject.choices(input_shape))):
            architecture = subject.build(input_shape, 10, width=width, **choices)
            images = np.random.default_rng(0).integers(0, 256, (8, *input_shape)).astype(np.uint8)
            values = started_by(subject, architecture, images)
            if values:
                network = GrowingNetwork(architecture)
                network.load_state({**network.state(), **values})
                assert values.keys() <= network.state().keys()
                assert np.isfinite(np.concatenate(network.logits(np.zeros((1, *input_shape))))).all()

    def test_space_is_a_value(self, subject: Any) -> None:
        """Equal arguments make equal spaces."""
        assert type(subject)(**vars(subject)) == subject
