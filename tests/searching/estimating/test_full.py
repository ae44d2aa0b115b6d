"""Tests of candidates that end early because another one is ahead and time is short."""

import dataclasses
import time
from types import SimpleNamespace

import pytest

from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.estimating import Full
from kgrow.searching.estimating.estimates import Estimates
from kgrow.searching.estimating.full import _LeaderStopper
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal
from kgrow.searching.trials import Trials
from kgrow.training import Observer

pytestmark = pytest.mark.usefixtures("eagerly")

EPOCHS = 6


def epochs(*accuracies):
    return [{"event": "epoch", "val_accuracy": [0.1, accuracy]} for accuracy in accuracies]


def contest(*leading):
    run = SimpleNamespace(events=lambda: epochs(*leading))
    settings = SimpleNamespace(preset=SimpleNamespace(epochs=EPOCHS))
    return _LeaderStopper(SimpleNamespace(trials=SimpleNamespace(directory=lambda index: run, settings=settings)), 0)


@pytest.mark.parametrize(
    ("own", "is_lost"),
    [
        ((0.3, 0.4, 0.4), True),
        ((0.3, 0.4, 0.5), False),  # as good as the other one
        ((0.6, 0.6, 0.6), False),
        ((0.1, 0.1), False),  # not there yet
        ((0.1, 0.1, 0.1, 0.1), False),  # beyond it: decided before
    ],
)
def test_candidate_ends_in_the_middle_if_it_is_behind(own, is_lost):
    found = contest(0.3, 0.4, 0.5, 0.6, 0.8, 0.8)
    assert found.is_lost(SimpleNamespace(events=[{"event": "grew"}, *epochs(*own)])) == is_lost
    # It would gain what the other one gained: from 0.4 to 0.733 on average.
    assert found.expected == (pytest.approx(sum(own) / 3 * (2.2 / 3) / 0.4) if is_lost else None)


def test_leader_that_shares_no_middle_ends_nobody():
    assert not contest(0.9).is_lost(SimpleNamespace(events=epochs(0.1, 0.1, 0.1)))


@pytest.mark.parametrize(("left_s", "is_held"), [(60.0, True), (-1.0, False), (float("inf"), False)])
def test_time_that_is_up_or_has_no_limit_decides_nothing(left_s, is_held):
    stops = []
    outcome = SimpleNamespace(
        status="done", unfinished=False, val_accuracy=0.5, epochs=6, epochs_trained=6, estimated=False, error=None,
        traceback=None,
    )  # fmt: skip

    def train(index, proposal, deadline, stop):
        stops.append(stop)
        return outcome

    trials = SimpleNamespace(
        ranked=lambda: [0],
        train=train,
        directory=lambda index: SimpleNamespace(events=list),
        settings=SimpleNamespace(preset=SimpleNamespace(epochs=EPOCHS)),
    )
    proposals = SimpleNamespace(wants_small=False)
    context = SimpleNamespace(trials=trials, proposals=proposals, deadline=time.monotonic() + left_s)
    Full().estimate(1, None, context)
    assert (stops[0] is not None) == is_held


@pytest.mark.slow
@pytest.mark.parametrize(("wants_small", "left_s"), [(False, 600), (True, 600), (False, float("inf"))])
def test_only_a_search_for_accuracy_in_limited_time_ends_candidates(
    tiny_task, tiny_settings, tiny_architecture, tmp_path, wants_small, left_s
):
    preset = dataclasses.replace(tiny_settings.preset, epochs=EPOCHS, batch_size=24, grow_epochs=(0,), prune_epochs=())
    settings, proposals = dataclasses.replace(tiny_settings, preset=preset), SimpleNamespace(wants_small=wants_small)
    with Run.open(tmp_path / "run", {}) as run:
        trials = Trials(tiny_task, settings, Accuracy(), tiny_architecture.macs(), run, Observer())
        estimates = Estimates(Full(), trials, proposals, Observer())
        shallow = dataclasses.replace(tiny_architecture, blocks=tiny_architecture.blocks[:1])
        for index, architecture in enumerate((tiny_architecture, shallow)):
            candidate = Candidate(architecture, (1.0,) * len(architecture.blocks))
            footprint = costs(architecture).footprint(candidate.keep_ratios)
            proposal = Proposal(candidate, {"depth": len(architecture.blocks)}, footprint)
            estimates.train(index, proposal, time.monotonic() + left_s)
        estimates.train_finalists(time.monotonic() + left_s)
        first, second = estimates.outcomes
        histories = [
            [event["val_accuracy"][-1] for event in estimates.directory(index).events() if event["event"] == "epoch"]
            for index in (0, 1)
        ]
        behind = sum(histories[1][:3]) < sum(histories[0][:3])
        ends = behind and not wants_small and left_s < float("inf")
        assert first.status == "done"
        assert (second.status, second.estimated) == (("cut", True) if ends else ("done", False))
        assert len(histories[1]) == (EPOCHS // 2 if ends else EPOCHS)
        assert trials.ranked()[0] == 0 or not ends
        assert estimates.are_complete == (not ends)  # the same call without a limit goes on with it
        assert not (ends and estimates.directory(1).has("last.npz"))
        if ends:  # without a limit it is trained to its end, and stays so in any later call
            for left in (float("inf"), left_s):
                again = Estimates(Full(), trials, proposals, Observer())
                assert again.train(1, proposal, time.monotonic() + left).status == "done"
                assert again.are_complete
