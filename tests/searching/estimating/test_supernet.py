"""Tests of candidates that are cut from one trained network."""

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from kgrow.lifecycle import ChannelPruning, Snapshot
from kgrow.pruning import CHANNEL_CRITERIA
from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.estimating import EstimationContext, Supernet
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal
from kgrow.searching.trials import Trials
from kgrow.training import Observer

pytestmark = pytest.mark.usefixtures("eagerly")


class Recorder(Observer):
    """Remembers whose epochs were trained, and what was pruned."""

    def __init__(self):
        self.trained, self.kept = set(), {}

    def progress(self, trial, epoch, done, total):
        self.trained.add((trial, epoch))

    def event(self, trial, event):
        if event["event"] == "epoch":
            self.kept[trial] = event["kept_params"]


@pytest.fixture(scope="module")
def context(tmp_path_factory, tiny_task, tiny_settings, tiny_architecture):
    preset = dataclasses.replace(tiny_settings.preset, epochs=3, grow_epochs=(1,), prune_epochs=(1, 2))
    settings = dataclasses.replace(tiny_settings, preset=preset)
    shallow = dataclasses.replace(tiny_architecture, blocks=tiny_architecture.blocks[:1])
    known = {(len(a.blocks), 1.0): (a, costs(a)) for a in (tiny_architecture, shallow)}
    with Run.open(tmp_path_factory.mktemp("supernet") / "run", {}) as run:
        trials = Trials(tiny_task, settings, Accuracy(), tiny_architecture.macs(), run, Observer())
        yield EstimationContext(trials, SimpleNamespace(variants=known), run.child("estimates"), Recorder())


def proposal_of(context, ratios):
    architecture, known = context.proposals.variants[len(ratios), 1.0]
    return Proposal(Candidate(architecture, ratios), {"keep": str(ratios)}, known.footprint(ratios))


def test_one_network_is_trained_for_all_candidates_and_stays_as_it_is(context):
    estimator = Supernet()
    first = estimator.estimate(0, proposal_of(context, (0.5, 0.3)), context)
    (supernet,) = context.kept.values()
    before = {key: array.copy() for key, array in supernet.arrays.items()}
    estimator.estimate(1, proposal_of(context, (0.2, 0.2)), context)
    shallow = estimator.estimate(2, proposal_of(context, (0.5,)), context)
    assert list(context.kept.values()) == [supernet]
    assert before.keys() == supernet.arrays.keys()
    assert all(np.array_equal(array, supernet.arrays[key]) for key, array in before.items())
    assert all(np.all(array == 1) for key, array in before.items() if key.endswith("mask"))
    assert estimator.estimate(3, proposal_of(context, (0.5, 0.3)), context) == first
    assert {epoch for trial, epoch in context.observer.trained if trial == "supernet"} == {0, 1, 2}
    assert {trial for trial, epoch in context.observer.trained if epoch > 0} == {"supernet"}
    # Connections of channels that lead nowhere go with these.
    assert 0.9 * (78 + 70) < context.observer.kept["0000"] == context.observer.kept["0003"] <= 78 + 70
    assert 0.75 * 78 < context.observer.kept["0002"] <= 78
    assert (shallow.status, shallow.epochs) == ("done", 1)


def test_supernet_is_not_trained_again_by_another_process(context):
    context.observer.trained.clear()
    again = dataclasses.replace(context, kept={})
    assert again.kept == {}
    Supernet().estimate(0, proposal_of(context, (0.5, 0.3)), again)
    assert context.observer.trained == {("0000", 0)}


def test_without_epochs_only_statistics_move(context, monkeypatch, tiny_network):
    taken = []
    monkeypatch.setattr("kgrow.run.Run.clear", lambda run: taken.append(Snapshot.load(run, "last.npz")))
    Supernet(epochs=0).estimate(4, proposal_of(context, (1.0, 1.0)), context)
    (supernet,) = context.kept.values()
    moved = {
        name
        for name, variable in tiny_network.named_variables().items()
        if not np.array_equal(supernet.arrays[name], taken[0].arrays[name])
    }
    assert moved
    assert all(name.endswith(("moving_mean", "moving_variance")) for name in moved)


def test_shallow_candidate_loses_its_channels_too(context):
    channels = ChannelPruning((0.5, 0.5), CHANNEL_CRITERIA["norm"](0))
    trials = copy.copy(context.trials)
    trials.settings = dataclasses.replace(trials.settings, channels=channels)
    Supernet().estimate(5, proposal_of(context, (1.0,)), dataclasses.replace(context, trials=trials))
    assert context.observer.kept["0005"] == 78  # two of four filters, and what the head reads of them


def test_fork_owns_its_arrays_and_starts_without_momentum(context):
    (supernet,) = context.kept.values()
    forked = supernet.renewed(supernet.architecture)
    assert not any(np.shares_memory(array, supernet.arrays[name]) for name, array in forked.arrays.items())
    assert (forked.epoch, forked.step_number, forked.events) == (0, 0, ())
    assert not any(name.startswith("momentum/") for name in forked.arrays)


@pytest.mark.parametrize("epochs", [-1, 0.5])
def test_epochs_that_are_no_count_are_refused(epochs):
    with pytest.raises(ValueError, match="`epochs` must be a whole number of at least 0"):
        Supernet(epochs=epochs)
