"""The timeline of a training: what it counts adds up, and its picture can be drawn."""

import dataclasses
import io

import numpy as np
import pytest

from kgrow.lifecycle import Lifecycle
from kgrow.reporting.timeline import plot_timeline, timeline
from kgrow.run import Run, read_events
from kgrow.structure import Trade
from kgrow.structure.policy import StructurePolicy
from kgrow.training import Observer


@dataclasses.dataclass(frozen=True)
class Swapping(StructurePolicy):
    """Has all blocks from the second epoch on, and exchanges three connections of the first before the fourth."""

    def propose(self, state):
        if len(state.architecture.blocks) <= min(state.epoch, 1):
            return state.next_block
        if state.epoch != 4 or any(event["event"] == Trade.event for event in state.changes):
            return None
        name, mask = next((name, mask) for name, mask in state.statistics.masks().items() if np.sum(mask == 0) > 3)
        chosen = [np.zeros(mask.shape, bool) for _ in range(2)]
        for flags, value in zip(chosen, (1, 0), strict=True):
            flags.flat[np.flatnonzero(mask == value)[:3]] = True
        return Trade({name: chosen[0]}, {name: chosen[1]})

    def is_settled(self, state):
        return state.epoch >= 4


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_task, tiny_architecture, tiny_settings):
    settings = dataclasses.replace(tiny_settings, growth=Swapping())
    with Run.open(tmp_path_factory.mktemp("timeline") / "0000", {}) as run:
        Lifecycle(tiny_task, tiny_architecture, (0.5, 0.6), settings, run, Observer()).train()
        return run


def test_what_came_less_what_went_is_alive(run):
    shown = timeline(run.events())
    ended = [event for event in run.events() if event["event"] == "epoch"]
    assert shown.alive.sum(axis=1).tolist() == [event["kept_params"] for event in ended]
    np.testing.assert_array_equal(np.cumsum(shown.born - shown.died, axis=0), shown.alive)
    assert shown.births == (0, 1)
    assert shown.settled == 4
    assert not shown.alive[0, 1]
    pruned = [event["epoch"] for event in run.events() if event["event"] == "pruned"]
    assert all(shown.died[epoch].any() for epoch in pruned)


def test_what_is_exchanged_counts_though_the_number_stays(run):
    shown = timeline(run.events())
    assert (shown.born[4].sum(), shown.died[4].sum()) == (3, 3)
    np.testing.assert_array_equal(shown.alive[4], shown.alive[3])


def test_unfinished_training_has_a_timeline_and_one_without_an_epoch_none(run):
    events = run.events()
    first = next(number for number, event in enumerate(events) if event["event"] == "epoch")
    shown = timeline(events[: first + 2])  # the change after it has no epoch yet
    assert len(shown.alive) == 1
    assert shown.settled is None
    with pytest.raises(ValueError, match="must have an epoch"):
        timeline(events[:first])


def test_picture_has_both_parts_and_every_block(run):
    figure = plot_timeline(timeline(read_events(run.path)), "tiny")
    above, below = figure.axes
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["block 1", "block 2"]
    assert above.get_title() == "tiny"
    assert below.get_xlabel() == "epoch"
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    assert b"settled" in file.getvalue() or len(file.getvalue()) > 5_000
