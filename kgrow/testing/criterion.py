"""The contract of every criterion."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from kgrow.pruning import Criterion, prune
from kgrow.pruning.select import select
from kgrow.testing import samples


class CriterionContract:
    """Tests of a criterion's contract; a subclass has the criterion as `criterion`."""

    criterion: ClassVar[Criterion]

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Criterion:
        """The criterion."""
        return cls.criterion

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _eagerly(cls) -> Iterator[None]:
        with samples.eagerly():
            yield

    @pytest.fixture(scope="class")
    @classmethod
    def batches(cls) -> list[tuple[np.ndarray, np.ndarray]]:
        """Two batches of training images."""
        images, labels = samples.tiny_task().train.images, samples.tiny_task().train.labels
        return [(images[:16], labels[:16]), (images[16:24], labels[16:24])]

    @pytest.fixture(scope="class")
    @classmethod
    def scored(cls, subject: Criterion, batches: list) -> SimpleNamespace:
        """The scores of two equal but separate objects, and the network's state before and after."""
        network = samples.varied_network()
        before = network.state()
        twice = [copy.copy(subject).saliency(network, batches, samples.cross_entropy) for _ in range(2)]
        return SimpleNamespace(first=twice[0], second=twice[1], before=before, after=network.state())

    def test_scores_have_the_kernels_shapes(self, scored: SimpleNamespace) -> None:
        """One array per kernel."""
        shapes = [tuple(kernel.weight.shape) for kernel in samples.varied_network().kernels()]
        assert [score.shape for score in scored.first] == shapes

    def test_scores_are_finite_and_not_negative(self, scored: SimpleNamespace) -> None:
        """Higher is better, and 0 is the smallest score."""
        assert all(np.isfinite(score).all() and (score >= 0).all() for score in scored.first)

    def test_scores_tell_connections_apart(self, scored: SimpleNamespace) -> None:
        """A ranking that is mostly random is not useful."""
        flat = np.concatenate([score.ravel() for score in scored.first])
        assert len(np.unique(flat)) > flat.size / 2

    def test_scores_are_the_same_twice(self, scored: SimpleNamespace) -> None:
        """A resumed run must prune like an uninterrupted one."""
        assert all(np.array_equal(first, second) for first, second in zip(scored.first, scored.second, strict=True))

    def test_scoring_changes_no_variable(self, scored: SimpleNamespace) -> None:
        """Scoring only reads the network."""
        assert all(np.array_equal(scored.after[name], value) for name, value in scored.before.items())

    def test_pruning_keeps_the_exact_count_of_the_best(
        self, subject: Criterion, scored: SimpleNamespace, batches: list
    ) -> None:
        """The kept connections follow from the scores."""
        network = samples.varied_copy()
        sizes = [network.architecture.kernel_params(index) for index in range(3)]
        prune(network, {0: 0.5, 2: 0.25}, copy.copy(subject), batches, samples.cross_entropy)
        assert [network.kept_params(index) for index in range(3)] == [sizes[0] // 2, sizes[1], sizes[2] // 4]
        kernels = network.kernels()
        in_block = [index for index, kernel in enumerate(kernels) if kernel.name.startswith("block_0/")]
        found = [scored.first[index] for index in in_block]
        expected = select(found, [np.ones(score.shape) for score in found], sizes[0] // 2)
        for index, mask in zip(in_block, expected, strict=True):
            assert np.array_equal(kernels[index].mask, mask)

    def test_pruning_changes_no_weight_it_keeps(self, subject: Criterion, batches: list) -> None:
        """Only masks and the weights that they remove change."""
        network = samples.varied_copy()
        before = network.state()
        prune(network, {0: 0.5, 1: 0.5, 2: 0.5}, subject, batches, samples.cross_entropy)
        for variable, value in network.state().items():
            if variable.endswith("/kernel"):
                mask = network.named_variables()[variable.replace("/kernel", "/mask")]
                assert np.array_equal(value, before[variable] * mask)
            elif not variable.endswith("/mask"):
                assert np.array_equal(value, before[variable])

    def test_criterion_is_a_value(self, subject: Any) -> None:
        """Equal arguments make equal criteria; a run directory identifies them by their text."""
        assert type(subject)(**vars(subject)) == subject
        assert repr(copy.copy(subject)) == repr(subject)
