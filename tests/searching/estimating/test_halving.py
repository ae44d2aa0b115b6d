"""Tests of successive halving: where trials are compared, and which go on."""

import dataclasses
from types import SimpleNamespace

import pytest

from kgrow.lifecycle import PRESETS
from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.estimating import Halving
from kgrow.searching.estimating.estimates import Estimates
from kgrow.searching.estimating.halving import rungs
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal
from kgrow.searching.trials import Trials
from kgrow.training import Observer

pytestmark = pytest.mark.usefixtures("eagerly")

FIRST, RUNG, EPOCHS, FACTOR = 1, 2, 4, 3
RATIOS = (0.5, 0.02, 0.4, 0.01, 0.9, 0.3)


@pytest.fixture(scope="module")
def search(tiny_task, tiny_settings, tiny_architecture):
    """Returns the outcomes of a search of one rung in a run directory, and the events of each trial."""
    preset = dataclasses.replace(
        tiny_settings.preset, epochs=EPOCHS, batch_size=24, grow_epochs=(0,), prune_epochs=(FIRST, RUNG)
    )

    def search(run, num_trials):
        settings = dataclasses.replace(tiny_settings, preset=preset)
        trials = Trials(tiny_task, settings, Accuracy(), tiny_architecture.macs(), run, Observer())
        estimates = Estimates(Halving(FACTOR), trials, SimpleNamespace(is_one_network=True), Observer())
        for index, ratio in enumerate(RATIOS[:num_trials]):
            candidate = Candidate(tiny_architecture, (ratio, ratio))
            footprint = costs(tiny_architecture).footprint(candidate.keep_ratios)
            estimates.train(index, Proposal(candidate, {"keep": ratio}, footprint))
        return list(estimates.found.values()), [estimates.directory(index).events() for index in range(num_trials)]

    return search


@pytest.fixture(scope="module")
def searched(search, tmp_path_factory):
    with Run.open(tmp_path_factory.mktemp("halving") / "run", {}) as run:
        return search(run, len(RATIOS))


def test_networks_that_are_the_same_to_their_end_are_compared_nowhere():
    assert rungs(PRESETS["base"], PRESETS["base"].epochs, FACTOR) == set()


def accuracies(events):
    return [event["val_accuracy"][-1] for event in events if event["event"] == "epoch"]


@pytest.mark.slow
def test_trial_goes_on_if_it_is_in_the_best_third_of_those_that_came_so_far(searched):
    outcomes, histories = searched
    reached = []
    for trial, events in zip(outcomes, histories, strict=True):
        (objective,) = (event["objective"] for event in events if event["event"] == "rung")
        assert objective == accuracies(events)[RUNG - 1]
        better = sum(other > objective for other in reached)
        reached.append(objective)
        passes = better < -(-len(reached) // FACTOR)
        assert (trial.status, trial.estimated) == (("done", False) if passes else ("cut", True))
        assert len(accuracies(events)) == (EPOCHS if passes else RUNG)
    assert {trial.status for trial in outcomes} == {"done", "cut"}


def test_trial_that_is_cut_stays_as_far_behind_as_it_is(searched):
    outcomes, histories = searched
    index = next(index for index, trial in enumerate(outcomes) if trial.status == "cut")
    leader = accuracies(histories[0])
    assert outcomes[index].val_accuracy == pytest.approx(
        min(1.0, accuracies(histories[index])[-1] * leader[-1] / leader[RUNG - 1])
    )


def test_search_that_starts_again_compares_with_what_is_on_disk(search, searched, tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        search(run, 3)
    with Run.open(tmp_path / "run", {}) as run:
        outcomes, histories = search(run, len(RATIOS))
    assert outcomes == searched[0]
    assert list(map(accuracies, histories)) == list(map(accuracies, searched[1]))


@pytest.mark.parametrize(
    ("preset", "start", "expected"),
    [
        ("default", 8, {11, 16}),  # a ninth and a third of the 22 epochs after the first pruning
        ("default", 0, {2, 8, 10}),
        ("grow_iter", 0, {10, 35, 85}),
        ("base", 0, set()),  # nothing changes: no prefix is kept
        ("default", 29, set()),
    ],
)
def test_rungs_are_structural_events_at_falling_parts_of_what_a_candidate_costs(preset, start, expected):
    assert rungs(PRESETS[preset], start, 3) == expected


@pytest.mark.parametrize("factor", [1, 0, 2.5])
def test_factor_below_two_is_refused(factor):
    with pytest.raises(ValueError, match="`factor` must be"):
        Halving(factor)
