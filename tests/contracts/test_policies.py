"""Policies keep the contract: kgrow's own, and some that do what its own do not."""

import dataclasses

import numpy as np
import pytest

from kgrow.pruning import Magnitude
from kgrow.registry import POLICIES
from kgrow.structure import (
    DepthSearch,
    FixedGrowth,
    GradientNoise,
    InsertIdentity,
    Interleaved,
    LossPlateau,
    Market,
    ProgressiveResolution,
    RemoveChannels,
    Revive,
    StructurePolicy,
    Widen,
)
from kgrow.testing import PolicyContract


@dataclasses.dataclass(frozen=True)
class Whole(StructurePolicy):
    """Has all blocks from the start, and changes something later."""

    def propose(self, state):
        return state.next_block or self.later(state)

    def later(self, state):
        raise NotImplementedError

    def is_settled(self, state):
        return state.next_block is None


class Reviving(Whole):
    """Brings back what is pruned before epoch 4, as far as each kernel has places for its third."""

    def later(self, state):
        if state.epoch != 4 or any(event["event"] == "revived" for event in state.changes):
            return None
        gone = {name: np.flatnonzero(mask == 0) for name, mask in state.statistics.masks().items()}
        return Revive({name: tuple(places[: len(places) // 3].tolist()) for name, places in gone.items()})


class Deepening(Whole):
    """Inserts a convolution, and widens it, before epoch 3."""

    def later(self, state):
        after, new = "block_0/cell_0/first", "block_0/deeper"
        if state.epoch < 3:
            return None
        if new not in state.architecture.by_name:
            return InsertIdentity(after, new)
        width = state.architecture.shapes[new][-1]
        return Widen(new, (2,) * width) if width == state.architecture.shapes[after][-1] else None


class Narrowing(Whole):
    """Removes the channel whose connections score least, before epoch 2."""

    def later(self, state):
        if state.epoch != 2 or any(event["event"] == "removed" for event in state.changes):
            return None
        name = state.architecture.kernels()[0].name
        scores = state.statistics.saliency(Magnitude())[name].sum(axis=(0, 1, 2))
        return RemoveChannels({name: tuple(bool(stays) for stays in np.arange(len(scores)) != scores.argmin())})


class TestFixedGrowth(PolicyContract):
    policy = FixedGrowth((2,))


@pytest.mark.slow
class TestLossPlateau(PolicyContract):
    policy = LossPlateau(1, tolerance=0.5)


@pytest.mark.slow
class TestGradientNoise(PolicyContract):
    policy = GradientNoise(threshold=-1e6, num_examples=8)


class TestDepthSearch(PolicyContract):
    policy = DepthSearch(2)


@pytest.mark.slow
class TestMarket(PolicyContract):
    policy = Market(num_examples=24, credit=20.0)


@pytest.mark.slow
class TestInterleaved(PolicyContract):
    policy = Interleaved(0.3, 0.15)


def test_every_policy_with_a_name_is_held_to_the_contract():
    tested = {type(suite.policy) for suite in PolicyContract.__subclasses__() if suite.__module__ == __name__}
    assert {type(POLICIES[name]) for name in POLICIES.own} <= tested


class Enlarging(Whole):
    """Trains on smaller images before epoch 3."""

    def later(self, state):
        return ProgressiveResolution(((0, 0.75), (3, 1.0))).propose(state)

    def is_settled(self, state):
        return super().is_settled(state) and state.architecture.input_shape == state.target.input_shape


class TestEnlarging(PolicyContract):
    policy = Enlarging()

    def test_images_were_smaller(self, lived):
        sizes = [event["change"]["size"] for event in lived.events if event["event"] == "resized"]
        assert sizes == [[6, 6], [8, 8]]


class TestReviving(PolicyContract):
    policy = Reviving()

    def test_connections_come_back_and_are_trained(self, lived):
        kept = [event["kept_params"] for event in lived.events if "change" in event]
        assert sum(kept[-1]) > sum(kept[-2])
        (revived,) = [event["change"]["connections"] for event in lived.events if event["event"] == "revived"]
        state = lived.network.state()
        for name, places in revived.items():
            assert state[f"{name}/mask"].flat[places].all()
            assert state[f"{name}/kernel"].flat[places].all()


class TestDeepening(PolicyContract):
    policy = Deepening()

    def test_network_is_deeper_and_wider(self, lived):
        assert [event["event"] for event in lived.events if "change" in event] == [
            "grew", "grew", "pruned", "inserted", "widened", "pruned",
        ]  # fmt: skip
        assert lived.network.architecture.shapes["block_0/deeper"][-1] == 8


class TestNarrowing(PolicyContract):
    policy = Narrowing()

    def test_a_channel_is_gone(self, lived):
        assert lived.network.architecture.shapes["block_0/cell_0/first"][-1] == 3
