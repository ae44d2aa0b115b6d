"""Connections that come back: what an exchange keeps, and how a training with it ends."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.lifecycle import Lifecycle
from kgrow.run import Run
from kgrow.structure import Decisions, Exchange, Regrowth, Scoring
from kgrow.structure.exchange import exchanged
from kgrow.testing import PolicyContract, samples
from kgrow.training import Observer


@given(st.integers(0, 2**32), st.floats(0, 0.99), st.floats(0, 1))
def test_an_exchange_is_that_of_the_definition(seed, fraction, density):
    """The weakest of the kept go, the strongest of all that are then pruned come; their number stays."""
    generator = np.random.default_rng(seed)
    mask = (generator.random((3, 3, 2, 4)) < density).astype(np.float32)
    strength, gain = generator.permutation(72).reshape(mask.shape), generator.permutation(72).reshape(mask.shape)
    made = exchanged(mask, strength, gain, fraction)
    assert made.sum() == mask.sum()
    by_strength = sorted(np.flatnonzero(mask), key=lambda place: strength.flat[place])
    stay = set(by_strength[int(fraction * len(by_strength)) :])
    others = sorted(set(range(72)) - stay, key=lambda place: -gain.flat[place])
    assert set(np.flatnonzero(made)) == stay | set(others[: len(by_strength) - len(stay)])


@pytest.mark.parametrize("grown_by", ["gradient", "random"])
def test_what_comes_back_starts_at_zero_and_what_stays_keeps_its_weight(varied_copy, cross_entropy, grown_by):
    generator = np.random.default_rng(0)
    for kernel in varied_copy.kernels():
        kernel.mask.assign((generator.random(kernel.mask.shape) < 0.6).astype(np.float32))
    varied_copy.apply_masks()
    before = varied_copy.state()
    for kernel in varied_copy.kernels():  # as after an optimizer step
        kernel.weight.assign_add(np.full(kernel.weight.shape, 1e-3) * (1 - kernel.mask))
    images = generator.integers(0, 256, (8, *varied_copy.architecture.input_shape)).astype(np.float32)
    labels = np.arange(8) % varied_copy.architecture.num_classes
    change = Exchange(0.3, grown_by, draw=2)
    change.remask(varied_copy, Scoring(None, [(images, labels)], cross_entropy))
    after = varied_copy.state()
    moved = 0
    for kernel in varied_copy.kernels():
        old, new = before[f"{kernel.name}/mask"], after[f"{kernel.name}/mask"]
        weight = after[f"{kernel.name}/kernel"]
        assert new.sum() == old.sum()
        assert not weight[new == 0].any()
        assert not weight[(new == 1) & (old == 0)].any()
        both = (new == 1) & (old == 1)
        np.testing.assert_array_equal(weight[both], before[f"{kernel.name}/kernel"][both])
        moved += int(((new == 1) & (old == 0)).sum())
    assert moved > 0
    again = varied_copy.state()
    varied_copy.load_state(before)
    change.remask(varied_copy, Scoring(None, [(images, labels)], cross_entropy))
    assert all(np.array_equal(varied_copy.state()[name], value) for name, value in again.items())


class Regrowing(Regrowth):
    """Has both blocks from the start."""

    def propose(self, state):
        return state.next_block or super().propose(state)


class TestRegrowth(PolicyContract):
    policy = Regrowing("gradient", 0.5)

    def test_connections_move_and_their_number_stays(self, lived):
        exchanges = [event for event in lived.events if event["event"] == "exchanged"]
        assert [event["epoch"] for event in exchanges] == [2, 3, 4]  # pruned before epochs 1 and 3, until 4.5
        fractions = [event["change"]["fraction"] for event in exchanges]
        assert fractions == sorted(fractions, reverse=True)
        changes = [event for event in lived.events if "change" in event]
        for before, event in itertools.pairwise(changes):
            if event["event"] == "exchanged":
                assert event["kept_params"] == before["kept_params"]


@pytest.mark.parametrize("grown_by", ["gradient", "random"])
def test_a_search_may_let_connections_come_back(tiny_task, tiny_architecture, tiny_settings, tmp_path, grown_by):
    settings = dataclasses.replace(tiny_settings, regrowth=grown_by)
    with Run.open(tmp_path / "run", {}) as run:
        life = Lifecycle(tiny_task, tiny_architecture, (0.4, 0.4), settings, run, Observer())
        life.train()
    kept = life.network.kept_params()
    assert kept == sum(int(0.4 * tiny_architecture.kernel_params(block)) for block in range(2))
    assert {event["change"]["grown_by"] for event in life.events if event["event"] == "exchanged"} == {grown_by}
    assert life.events[-1]["is_settled"]


def test_slots_of_what_comes_back_are_zero(tiny_task, tiny_architecture, tiny_settings, tmp_path):
    settings = dataclasses.replace(tiny_settings, regrowth="random")
    found = []
    with Run.open(tmp_path / "run", {}) as run:
        life = Lifecycle(tiny_task, tiny_architecture, (0.4, 0.4), settings, run, Observer())
        apply = life._apply

        def watched(epoch, change):
            masks = life.statistics(0).masks()
            apply(epoch, change)
            if isinstance(change, Exchange):
                slots = life.trainer.momentum()
                found.extend(
                    slots[f"{name}/kernel"][(mask == 1) & (masks[name] == 0)]
                    for name, mask in life.statistics(0).masks().items()
                )

        life._apply = watched
        life.train()
    assert sum(map(len, found)) > 0
    assert not any(slots.any() for slots in found)


def test_values_out_of_range_are_named():
    for change, message in (
        (lambda: Exchange(1.0), r"`fraction` must be in \[0, 1\)"),
        (lambda: Exchange(0.1, "gradeint"), "Did you mean 'gradient'"),
        (lambda: Regrowth(until=1.0), r"`until` must be in \(0, 1\)"),
        (lambda: Regrowth(fraction=0), r"`fraction` must be in \(0, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            change()


@pytest.mark.parametrize(
    ("config", "name"),
    [({"pruning": {"regrowth": "gradient"}}, "pruning.regrowth"), ({"growth": {"policy": "market"}}, "growth.policy")],
)
def test_whole_channels_do_not_come_back(config, name, tmp_path):
    import kgrow

    images, labels = samples.tiny_task().train.images, samples.tiny_task().train.labels
    with pytest.raises(ValueError, match=f"`{name}` must come with connections that are pruned one by one"):
        kgrow.search((images, labels), config=config, trials=1, epochs=6, directory=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("growth", "pruning", "name"),
    [
        ("market", {"regrowth": "gradient"}, "regrowth"),
        ("market", {"strategy": "iterative"}, "strategy"),
        ("market", {"criterion": "random"}, "criterion"),
        ("market", {"scope": "layer"}, "scope"),
        ("interleaved", {"strategy": "bayes", "criterion": "fisher"}, "strategy"),
    ],
)
def test_what_a_policy_that_prunes_would_ignore_is_refused(growth, pruning, name, tmp_path):
    import kgrow

    images, labels = samples.tiny_task().train.images, samples.tiny_task().train.labels
    config = {"growth": {"policy": growth}, "pruning": {"keep_ratio": 0.5, **pruning}}
    with pytest.raises(ValueError, match=rf"`pruning\.{name}` must be left out with a growth policy that prunes"):
        kgrow.search((images, labels), config=config, trials=1, epochs=6, directory=tmp_path)
    assert not list(tmp_path.iterdir())


def test_draws_differ_between_epochs_and_seeds(tiny_architecture):
    pruned = {"event": "pruned", "epoch": 1, "change": {}}
    draws = {
        Regrowth("random", seed=seed)
        .propose(Decisions((), tiny_architecture, (0.4, 0.4), 6).state(epoch, tiny_architecture, (pruned,)))
        .draw
        for seed in range(3)
        for epoch in range(2, 5)
    }
    assert len(draws) == 9
