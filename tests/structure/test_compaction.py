"""Tests of the removal of pruned channels in the middle of a training."""

import dataclasses

import numpy as np
import pytest

from kgrow.lifecycle import Lifecycle
from kgrow.lifecycle.settings import ChannelPruning
from kgrow.network import GrowingNetwork
from kgrow.pruning import NoPruning, OneShot
from kgrow.registry import CHANNEL_CRITERIA, SPACES
from kgrow.run import Run
from kgrow.structure import Compaction, Decisions, FixedGrowth, ScheduledPruning
from kgrow.structure.statistics import Statistics
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


class Masks(Statistics):
    def __init__(self, masks):
        self._masks = masks

    def masks(self):
        return self._masks


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.6])
def test_logits_of_any_masks_stay(kept):
    generator = np.random.default_rng(int(100 * kept))
    deepest = SPACES["compact"].build((8, 8, 1), 4, width=0.25)
    target = dataclasses.replace(deepest, blocks=deepest.blocks[:2])
    network = GrowingNetwork(target)
    for name, variable in network.named_variables().items():
        if name.endswith(("beta", "bias", "moving_mean")):
            variable.assign(generator.normal(0, 1, variable.shape))
        if name.endswith("/mask"):
            made, read = (generator.random(size) < kept for size in variable.shape[:-3:-1])
            variable.assign(np.broadcast_to(np.outer(read, made), variable.shape))  # some are made only, or read only
    network.apply_masks()
    masks = {kernel.name: kernel.mask.numpy() for kernel in network.kernels()}
    policy = Compaction((FixedGrowth((0,)), ScheduledPruning(OneShot((0, 0)))))
    pruned = ({"event": "pruned", "epoch": 0, "change": {}},)
    state = Decisions((policy,), target, (0.5, 0.5), 1).state(0, target, pruned, Masks(masks))
    architecture, weight_map = policy.propose(state).apply(target)
    assert architecture.kernel_params() < target.kernel_params()
    smaller = GrowingNetwork(architecture)
    smaller.load_state(weight_map.values(network.state(), smaller.state()))
    images = generator.normal(size=(5, 8, 8, 1)).astype(np.float32)
    for after, before in zip(smaller(images), network(images), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_logits_stay_when_pruned_channels_are_taken_out(tiny_task, tiny_architecture, by_channels, tmp_path):
    class Settings(type(by_channels)):
        @property
        def policies(self):
            return tuple(policy for policy in super().policies if not isinstance(policy, Compaction))

    masked = Settings(**vars(by_channels))
    first = trained(tiny_task, tiny_architecture, by_channels, tmp_path / "out", epochs=4)
    second = trained(tiny_task, tiny_architecture, masked, tmp_path / "masked", epochs=4)
    smaller, larger = (life.network.logits(tiny_task.test.images) for life in (first, second))
    assert first.network.architecture.kernel_params() < second.network.architecture.kernel_params()
    # Dead channels still decay, and count for the norm by which gradients are clipped.
    np.testing.assert_allclose(smaller, larger, atol=0.05)


@pytest.mark.slow
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
    compaction = Compaction((FixedGrowth((0,)), ScheduledPruning(NoPruning())))
    assert compaction.is_settled(life.decisions.state(0, tiny_architecture, ()))
