"""Tests of the removal of pruned channels in the middle of a training."""

import dataclasses

import numpy as np
import pytest

from kgrow.lifecycle import Lifecycle
from kgrow.lifecycle.settings import ChannelPruning
from kgrow.pruning import NoPruning
from kgrow.registry import CHANNEL_CRITERIA
from kgrow.run import Run
from kgrow.structure import Compaction
from kgrow.training import Observer


def trained(task, architecture, settings, path, epochs=None):
    with Run.open(path, {}) as run:
        life = Lifecycle(task, architecture, (0.3,) * len(architecture.blocks), settings, run, Observer())
        life.train(epochs=epochs)
        return life


@pytest.fixture
def by_channels(tiny_settings):
    """Settings whose keep ratios are reached by removing channels."""
    return dataclasses.replace(tiny_settings, channels=ChannelPruning(None, CHANNEL_CRITERIA["norm"](0)))


def test_channels_go_with_the_connections_and_out_of_the_network(tiny_task, tiny_architecture, by_channels, tmp_path):
    life = trained(tiny_task, tiny_architecture, by_channels, tmp_path / "run")
    removed = [event for event in life.events if event["event"] == "removed"]
    (last,) = (max(e["epoch"] for e in life.events if e["event"] == "pruned"),)
    assert [event["epoch"] for event in removed] == [last]
    assert life.network.architecture.kernel_params() < tiny_architecture.kernel_params()
    assert life.network.kept_params() <= 0.3 * tiny_architecture.kernel_params() + 2
    pruned = [event["change"] for event in life.events if event["event"] == "pruned"][-1]
    for block, ratio in pruned["channel_keep_ratios"].items():
        assert ratio == pytest.approx(np.sqrt(pruned["keep_ratios"][block]))


def test_logits_stay_when_pruned_channels_are_taken_out(tiny_task, tiny_architecture, by_channels, tmp_path):
    class Settings(type(by_channels)):
        @property
        def policies(self):
            return super().policies[:2]

    masked = Settings(**vars(by_channels))
    first = trained(tiny_task, tiny_architecture, by_channels, tmp_path / "out", epochs=4)
    second = trained(tiny_task, tiny_architecture, masked, tmp_path / "masked", epochs=4)
    smaller, larger = (life.network.logits(tiny_task.test.images) for life in (first, second))
    assert first.network.architecture.kernel_params() < second.network.architecture.kernel_params()
    # Dead channels still decay, and count for the norm by which gradients are clipped.
    np.testing.assert_allclose(smaller, larger, atol=0.05)


def test_interrupted_training_goes_on_with_the_smaller_network(tiny_task, tiny_architecture, by_channels, tmp_path):
    whole = trained(tiny_task, tiny_architecture, by_channels, tmp_path / "whole")
    for epochs in (4, 5, None):
        parts = trained(tiny_task, tiny_architecture, by_channels, tmp_path / "parts", epochs)
    one, other = whole.network.state(), parts.network.state()
    assert all(np.array_equal(one[name], other[name]) for name in one.keys() | other.keys())


def test_nothing_is_taken_out_where_nothing_was_pruned(tiny_task, tiny_architecture, tiny_settings, tmp_path):
    unpruned = dataclasses.replace(tiny_settings, preset=dataclasses.replace(tiny_settings.preset, prune_epochs=()))
    life = trained(tiny_task, tiny_architecture, unpruned, tmp_path / "run")
    assert life.network.architecture == tiny_architecture
    assert Compaction(NoPruning()).is_settled(life.decisions.state(0, tiny_architecture, ()))
