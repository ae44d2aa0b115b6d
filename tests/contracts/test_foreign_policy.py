"""Policies and changes of other packages that break their contract are named with their package."""

import dataclasses

import pytest

from kgrow import execution
from kgrow._plugins import PluginError
from kgrow.lifecycle import Lifecycle
from kgrow.registry import POLICIES
from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal
from kgrow.searching.trials import Trials
from kgrow.structure import Decisions
from kgrow.training import Observer

RATIOS = (0.5, 0.6)
MODULE = """
from kgrow.structure import Change, Prune, StructurePolicy


class Whole(StructurePolicy):
    def propose(self, state):
        return state.next_block or (None if state.changes[-1]["event"] == "own" else self.more())

    def more(self):
        return None

    def is_settled(self, state):
        return state.next_block is None


class Shifting(Change):
    event = "own"

    def remask(self, network, scoring):
        network.kernels()[0].weight.assign_add(network.kernels()[0].mask)

    def to_json(self):
        return {}


class Thinning(Prune):
    event = "own"


class Biasing(Shifting):
    def remask(self, network, scoring):
        name, bias = next((name, it) for name, it in network.named_variables().items() if name.endswith("beta"))
        bias.assign(bias + 1.0)


class Shift(Whole):
    def more(self):
        return Shifting()


class Bias(Whole):
    def more(self):
        return Biasing()


class Thin(Whole):
    def more(self):
        return Thinning({0: 0.9})


class Never(Whole):
    def is_settled(self, state):
        return False


class Planless(Whole):
    def pruning_schedule(self, given, epochs):
        raise RuntimeError("no plan")


class Misplanned(Whole):
    def pruning_schedule(self, given, epochs):
        return (1, 2)


class Asking(Whole):
    def more(self):
        return None

    def propose(self, state):
        state.statistics.masks()
        return super().propose(state)
"""
POINTS = """
[kgrow.policies]
shift = plugged:Shift
bias = plugged:Bias
thin = plugged:Thin
never = plugged:Never
planless = plugged:Planless
misplanned = plugged:Misplanned
asking = plugged:Asking
"""
PACKAGE = "of the package 'plugged 1.5'"


@pytest.fixture
def settings(plug_in, tiny_settings):
    """Returns the settings of a training of three epochs by a policy of another package."""
    plug_in(MODULE, POINTS)
    preset = dataclasses.replace(tiny_settings.preset, epochs=3, grow_epochs=(), prune_epochs=(1, 2))
    return lambda name: dataclasses.replace(tiny_settings, growth=POLICIES[name], preset=preset)


@pytest.fixture
def live(settings, tmp_path, tiny_task, tiny_architecture):
    def live(name):
        with Run.open(tmp_path / "0000", {}) as run:
            life = Lifecycle(tiny_task, tiny_architecture, RATIOS, settings(name), run, Observer())
            life.train()
        return life

    return live


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "shift",
            "`Shifting` of the package 'plugged 1.5' must leave kept weights as they are .* but changes block_0/.*",
        ),
        ("bias", "`Biasing` of the package 'plugged 1.5' must leave kept weights as they are .* but changes .*beta"),
    ],
)
def test_change_that_remasks_and_changes_weights_is_named_with_its_package(name, problem, live):
    with pytest.raises(PluginError, match=problem):
        live(name)


def test_change_that_prunes_may_set_what_it_prunes_to_zero(live):
    changes = [event["event"] for event in live("thin").events if "change" in event]
    assert changes[:3] == ["grew", "grew", "own"]


def test_policy_that_never_settles_is_named_with_its_package(settings, tmp_path, tiny_task, tiny_architecture):
    proposal = Proposal(Candidate(tiny_architecture, RATIOS), {}, costs(tiny_architecture).footprint(RATIOS))
    with Run.open(tmp_path / "run", {}) as run:
        trials = Trials(tiny_task, settings("never"), Accuracy(), tiny_architecture.macs(), run, Observer())
        outcome = trials.train(0, proposal)
    problem = str(execution._nothing_found([outcome]))
    assert f"because `Never` of the entry point `kgrow.policies: never = plugged:Never` {PACKAGE} never set" in problem
    assert "`trials` must be more" not in problem


def test_policy_that_asks_for_statistics_agrees_with_no_log(settings, tiny_architecture):
    decisions = Decisions((settings("asking").growth,), tiny_architecture, RATIOS, 2)
    assert not decisions.agree_with([{"event": "epoch", "epoch": 0, "is_settled": True}])


@pytest.mark.parametrize(
    ("name", "problem"),
    [("planless", "raised RuntimeError: no plan"), ("misplanned", r"must return a `PruningSchedule`.*\(1, 2\)")],
)
def test_policy_whose_schedule_is_none_is_named_with_its_package(name, problem, settings):
    with pytest.raises(PluginError, match=f"{PACKAGE}.*{problem}"):
        settings(name).policies  # noqa: B018 - the schedule is asked for here
