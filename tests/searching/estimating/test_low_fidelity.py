"""Tests of cheaper training: what is made of task, settings and architecture."""

import dataclasses

import pytest

from kgrow.lifecycle import ChannelPruning
from kgrow.pruning import CHANNEL_CRITERIA
from kgrow.run import Run
from kgrow.searching import SPACES, Candidate
from kgrow.searching.estimating import EstimationContext, LowFidelity
from kgrow.searching.estimating.low_fidelity import at_depths
from kgrow.searching.limits import Limits
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposals
from kgrow.searching.trials import Trials
from kgrow.training import Observer


class Caught(Trials):
    """Trains nothing: remembers what was to be trained."""

    def train(self, index, proposal, deadline=float("inf"), stop=None):
        self.proposal = proposal
        return self._trial(index, proposal, "done", 0.5, self.settings.preset.epochs)


@pytest.fixture
def caught(tmp_path, monkeypatch, tiny_task, tiny_settings):
    """Returns the trials that an estimator trains a candidate with."""
    monkeypatch.setattr("kgrow.searching.estimating.low_fidelity.Trials", Caught)

    def estimate(estimator, ratios=(0.5, 0.4, 0.3), **settings):
        proposals = Proposals(SPACES["compact"], tiny_task, limits=Limits())
        with Run.open(tmp_path / "run", {}) as run:
            given = dataclasses.replace(tiny_settings, **settings)
            trials = Trials(tiny_task, given, Accuracy(), proposals.full.macs(), run, Observer())
            context = EstimationContext(trials, proposals, run.child("estimates"), Observer())
            proposal = dataclasses.replace(proposals.sample(Defaults()), candidate=Candidate(proposals.full, ratios))
            estimator.estimate(0, proposal, context)
            return context.once("low_fidelity", lambda: None)

    return estimate


class Defaults:
    """Hyper-parameters that are what they are by default."""

    def Float(self, name, **options):  # noqa: N802
        return options["default"]

    def Choice(self, name, values, **options):  # noqa: N802
        return options["default"]


def test_every_part_is_reduced_by_its_ratio(caught):
    inner = caught(LowFidelity(data_ratio=0.5, resolution_ratio=0.5, epoch_ratio=0.5))
    assert len(inner.task.train) == 24
    assert inner.task.input_shape == inner.proposal.candidate.architecture.input_shape == (4, 4, 3)
    assert (inner.settings.preset.epochs, inner.settings.preset.prune_epochs) == (3, (0, 2))
    assert inner.settings.augmentation.shift == 0
    assert inner.run.path.name == "estimates"


def test_architecture_is_the_candidates_own_at_full_resolution(caught, tiny_task):
    inner = caught(LowFidelity(data_ratio=0.5))
    candidate = inner.proposal.candidate
    full = SPACES["compact"].build(tiny_task.input_shape, tiny_task.num_classes, candidate.architecture.scaling)
    assert candidate == Candidate(full, (0.5, 0.4, 0.3))
    assert candidate.architecture.scaling.mean == pytest.approx(inner.task.pixel_mean)


def test_channels_are_pruned_at_the_same_relative_depth(caught):
    channels = ChannelPruning((0.5, 0.4, 0.3, 0.2), CHANNEL_CRITERIA["norm"](0))
    inner = caught(LowFidelity(resolution_ratio=0.5), channels=channels)
    assert inner.settings.channels.keep_ratios == (0.5, 0.3, 0.2)


def test_batch_is_no_larger_than_the_images_that_are_left(caught, tiny_settings):
    preset = dataclasses.replace(tiny_settings.preset, batch_size=40)
    assert caught(LowFidelity(data_ratio=0.25), preset=preset).settings.preset.batch_size == 12


@pytest.mark.parametrize(
    ("ratios", "num_blocks", "expected"),
    [((0.5, 0.4, 0.3, 0.2), 3, (0.5, 0.3, 0.2)), ((0.5, 0.4), 2, (0.5, 0.4)), ((0.5, 0.4), 1, (0.5,))],
)
def test_ratios_go_to_the_same_relative_depth(ratios, num_blocks, expected):
    assert at_depths(ratios, num_blocks) == expected


@pytest.mark.parametrize("name", ["data_ratio", "resolution_ratio", "epoch_ratio"])
@pytest.mark.parametrize("value", [0, 1.5, -1])
def test_ratio_that_is_no_fraction_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be in \(0, 1\], but got"):
        LowFidelity(**{name: value})
