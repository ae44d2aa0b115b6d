"""What every search space owes."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar

import pytest

from kgrow.architecture import Architecture, Scaling
from kgrow.architecture.operations import head_grid
from kgrow.searching import SearchSpace

Shape = tuple[int, int, int]
SHAPES: list[Shape] = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (96, 96, 3), (100, 60, 3)]


class SpaceContract:
    """What every search space owes; a subclass has one as `space`."""

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
        assert all(op.output_shape == (1, 1, 7) for op in architecture.operations if op.name.endswith("head/dense"))

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_every_map_is_read_and_every_side_stays_positive(self, subject: SearchSpace, input_shape: Shape) -> None:
        """Nothing is computed for nobody."""
        architecture = subject.build(input_shape, 10)
        last_of_blocks = {architecture.first_cell(index + 1) - 1 for index in range(len(architecture.blocks))}
        read = {source for cell in architecture.cells for source in cell.inputs} | last_of_blocks
        assert read == set(range(len(architecture.cells)))
        assert all(min(op.output_shape) >= 1 for op in architecture.operations)

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_operations_read_what_was_made_before_them(self, subject: SearchSpace, input_shape: Shape) -> None:
        """Operations come in the order in which they run."""
        made = {"image"}
        for op in subject.build(input_shape, 10).operations:
            assert made.issuperset(op.inputs)
            assert op.name not in made
            made.add(op.name)

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_heads_read_a_map_that_their_grid_covers(self, subject: SearchSpace, input_shape: Shape) -> None:
        """A head pools what its block gives."""
        architecture = subject.build(input_shape, 10)
        for index, block in enumerate(architecture.blocks):
            height, width, channels = architecture.feature_shape(architecture.first_cell(index + 1) - 1)
            _, pooled = head_grid((height, width), block.head.grid)
            (dense,) = [op for op in architecture.kernels(index) if op.is_head]
            assert dense.kernel_shape == (math.prod(pooled) * channels, 10)

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_building_twice_and_through_text_gives_an_equal_architecture(
        self, subject: SearchSpace, input_shape: Shape
    ) -> None:
        """A run directory is known by the text."""
        architecture = subject.build(input_shape, 10)
        assert subject.build(input_shape, 10) == architecture
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture

    def test_scaling_is_taken_over_and_leaves_pixels_alone_by_default(self, subject: SearchSpace) -> None:
        """The scaling is part of the network."""
        scaling = Scaling((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
        assert subject.build((32, 32, 3), 10, scaling).scaling == scaling
        assert subject.build((32, 32, 3), 10).scaling == Scaling((0.0,) * 3, (1.0,) * 3)

    @pytest.mark.parametrize("input_shape", SHAPES, ids=str)
    def test_every_offered_network_can_be_built_and_narrower_ones_cost_less(
        self, subject: SearchSpace, input_shape: Shape
    ) -> None:
        """Widths fall from 1, and costs with them."""
        assert subject.widths[0] == 1.0
        assert list(subject.widths) == sorted(set(subject.widths), reverse=True)
        for links in subject.links:
            sizes = [subject.build(input_shape, 10, width=width, links=links) for width in subject.widths]
            params, macs = [a.kernel_params() for a in sizes], [a.macs() for a in sizes]
            assert params == sorted(set(params), reverse=True)
            assert macs == sorted(set(macs), reverse=True)

    def test_defaults_are_the_first_of_what_is_offered(self, subject: SearchSpace) -> None:
        """The first width and links are the default."""
        first = subject.build((28, 28, 1), 10, width=subject.widths[0], links=subject.links[0])
        assert subject.build((28, 28, 1), 10) == first

    def test_space_is_a_value(self, subject: Any) -> None:
        """Equal arguments make equal spaces."""
        assert type(subject)(**vars(subject)) == subject
