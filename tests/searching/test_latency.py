"""Which networks are left by a limit on latency, and how few are measured for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.run import Run
from kgrow.searching import SPACES
from kgrow.searching.latency import LATENCY, SHARE, measured
from kgrow.searching.limits import LimitError, Limits
from kgrow.searching.proposals import Proposals
from kgrow.task import Task
from kgrow.training import Observer


@pytest.fixture(scope="module")
def task():
    return Task.of("digits")


def proposals_within(task, latency_ms):
    return Proposals(SPACES["compact"], task, limits=Limits(latency_ms=latency_ms))


class Clock:
    """Takes a network to need a millisecond for a million multiply-accumulates."""

    def __init__(self):
        self.asked = []

    def __call__(self, architecture):
        self.asked.append(architecture)
        return architecture.macs() / 1e6


@given(share=st.floats(0.01, 1.2))
def test_what_is_left_is_all_that_is_quick_enough(share, task, tmp_path_factory):
    whole = proposals_within(task, 1.0).full.macs() / 1e6
    proposals, clock = proposals_within(task, share * whole), Clock()
    expected = [name for name, (_, known) in proposals.variants.items() if known.macs / 1e6 <= SHARE * share * whole]
    with Run.open(tmp_path_factory.mktemp("latency") / "run", {}) as run:
        if not expected:
            with pytest.raises(LimitError, match=r"the quickest one breaks latency_ms"):
                measured(proposals, run, clock, Observer())
            assert not run.has(LATENCY)
        else:
            assert list(measured(proposals, run, clock, Observer()).variants) == expected
            assert list(measured(proposals, run, None, Observer()).variants) == expected
    assert len(clock.asked) <= 2 + len(proposals.variants).bit_length()


def test_a_run_that_is_taken_up_goes_by_what_was_measured_first(task, tmp_path):
    proposals, clock = proposals_within(task, 0.1), Clock()
    with Run.open(tmp_path / "run", {}) as run:
        first = measured(proposals, run, clock, Observer())
        assert measured(proposals, run, None, Observer()).variants == first.variants


def test_without_a_limit_nothing_is_measured(task, tmp_path):
    proposals = Proposals(SPACES["compact"], task, limits=Limits(macs=500_000))
    with Run.open(tmp_path / "run", {}) as run:
        assert measured(proposals, run, None, Observer()) is proposals
