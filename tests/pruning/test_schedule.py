"""Tests of when each block is pruned, and to what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.pruning import BayesSchedule, Iterative, NoPruning, OneShot

PUBLISHED = (10, 35, 60, 85, 95, 105, 115)
RATIOS = (0.4, 0.3, 0.2, 0.1)


def all_due(schedule, ratios, epochs=250):
    due = {epoch: schedule.due(epoch, ratios) for epoch in range(epochs)}
    return {epoch: blocks for epoch, blocks in due.items() if blocks}


def after(ratio, step, steps=3):
    return pytest.approx(1 - (1 - ratio) * step / steps)


def test_one_shot_prunes_each_block_once_to_its_own_ratio():
    schedule = OneShot((10, 35, 60, 85))
    assert all_due(schedule, RATIOS) == {10: {0: 0.4}, 35: {1: 0.3}, 60: {2: 0.2}, 85: {3: 0.1}}
    assert schedule.last_epoch(4) == 85
    assert schedule.last_epoch(2) == 35


def test_one_shot_prunes_blocks_of_the_same_epoch_together():
    assert all_due(OneShot((3, 3, 5)), (0.5, 0.6, 0.7)) == {3: {0: 0.5, 1: 0.6}, 5: {2: 0.7}}


def test_one_shot_leaves_events_without_a_block_unused():
    assert all_due(OneShot((1, 2, 3, 4)), (0.5, 0.5)) == {1: {0: 0.5}, 2: {1: 0.5}}


def test_iterative_starts_a_block_at_each_published_event_and_takes_three_steps():
    assert all_due(Iterative(PUBLISHED), RATIOS) == {
        10: {0: after(0.4, 1)},
        35: {0: after(0.4, 2), 1: after(0.3, 1)},
        60: {0: after(0.4, 3), 1: after(0.3, 2), 2: after(0.2, 1)},
        85: {1: after(0.3, 3), 2: after(0.2, 2), 3: after(0.1, 1)},
        95: {2: after(0.2, 3), 3: after(0.1, 2)},
        105: {3: after(0.1, 3)},
        115: dict(enumerate(RATIOS)),
    }
    assert Iterative(PUBLISHED).last_epoch(4) == 115


def test_geometric_path_multiplies_by_the_same_factor_at_each_step():
    due = all_due(Iterative((1, 2, 3), path="geometric"), (0.125,))
    assert {epoch: blocks[0] for epoch, blocks in due.items()} == pytest.approx({1: 0.5, 2: 0.25, 3: 0.125})


@pytest.mark.parametrize("path", ["linear", "geometric"])
@given(
    ratios=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5),
    steps=st.integers(1, 4),
    gaps=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_iterative_only_ever_lowers_a_ratio_and_ends_at_the_last_one(path, ratios, steps, gaps):
    epochs = tuple(sum(gaps[: index + 1]) for index in range(len(gaps)))
    reached = dict.fromkeys(range(len(ratios)), 1.0)
    for blocks in all_due(Iterative(epochs, steps, path), ratios, epochs=30).values():
        for block, ratio in blocks.items():
            assert ratio <= reached[block] + 1e-12
            reached[block] = ratio
    assert list(reached.values()) == pytest.approx(ratios)


def test_events_of_a_short_run_that_fall_on_one_epoch_all_count():
    due = all_due(Iterative((1, 1, 1, 1, 2, 2)), (0.4, 0.1))
    assert due == {1: {0: after(0.4, 3), 1: after(0.1, 3)}, 2: {0: 0.4, 1: 0.1}}


def test_last_event_reaches_the_final_ratios_even_if_there_are_few():
    assert all_due(Iterative((4, 8)), (0.4, 0.1))[8] == {0: 0.4, 1: 0.1}


def test_evidence_decides_at_every_event_of_a_block_and_the_last_one_cuts_to_the_ratios():
    assert all_due(BayesSchedule((2, 4, 4, 6, 7)), RATIOS) == {
        2: {0: 1.0},
        4: dict.fromkeys(range(3), 1.0),
        6: dict.fromkeys(range(4), 1.0),
        7: dict(enumerate(RATIOS)),
    }
    assert BayesSchedule((2, 4)).last_epoch(4) == 4


def test_price_of_evidence_rises_by_one_factor_to_the_whole():
    schedule = BayesSchedule((2, 4, 4, 6))
    assert [schedule.price_share(epoch) for epoch in (2, 4, 6)] == pytest.approx([0.001**0.75, 0.001**0.25, 1.0])
    assert OneShot((1, 3)).price_share(1) == 1.0


def test_no_pruning_prunes_nothing():
    assert all_due(NoPruning(), RATIOS) == {}
    assert NoPruning().last_epoch(4) == -1


def test_unknown_path_is_refused():
    with pytest.raises(ValueError, match="`path` must be one of 'linear', 'geometric', but got 'cubic'"):
        Iterative((1,), path="cubic")
