"""The market in a training: its budget, its ledger, what it grows, and the order of interleaved pruning."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.lifecycle import Lifecycle
from kgrow.pruning import SCOPES
from kgrow.pruning.prune import kept_params
from kgrow.run import Run
from kgrow.structure import AppendBlock, Cut, Decisions, Interleaved, Market, Trade
from kgrow.structure.statistics import Prices, Statistics
from kgrow.structure.trade import unpack
from kgrow.training import Observer

BLOCKS = tuple(CellBlock((Cell("conv", 4, inputs=(index,) if index else ()),), Head(2)) for index in range(3))


def target_of(num_blocks):
    cells = (
        CellBlock((Cell("conv", 4, stride=2),), Head(2)),
        CellBlock((Cell("conv", 6, inputs=(0,)),), Head(2)),
        CellBlock((Cell("conv", 8, inputs=(1,)),), Head(1)),
    )
    return of_cells((8, 8, 3), 3, Scaling((128.0,) * 3, (64.0,) * 3), cells[:num_blocks])


TARGET, RATIOS = target_of(3), (0.5, 0.4, 0.3)


def state_at(epoch, num_epochs=20, ratios=RATIOS, statistics=None, events=()):
    return Decisions((), TARGET, ratios, num_epochs).state(epoch, TARGET, events, statistics)


@pytest.fixture(scope="module")
def lived(tmp_path_factory, tiny_task, tiny_settings):
    """A training of 20 epochs in which blocks are affordable early."""
    preset = dataclasses.replace(
        tiny_settings.preset, epochs=20, grow_epochs=(1, 2), prune_epochs=(1, 2, 3), strategy="one-shot"
    )
    settings = dataclasses.replace(tiny_settings, preset=preset, growth=Market(num_examples=24, credit=20.0))
    with Run.open(tmp_path_factory.mktemp("market") / "0000", {}) as run:
        life = Lifecycle(tiny_task, TARGET, RATIOS, settings, run, Observer())
        life.train()
        return life


def final_of(ratios):
    """What is kept at least, however the connections are ranked: rounded down in every kernel."""
    return sum(math.floor(ratios[kernel.block_index] * kernel.kernel_params + 1e-9) for kernel in TARGET.kernels())


# The budget


@given(st.floats(1, 3), st.tuples(*[st.floats(0.05, 1)] * 3), st.integers(2, 60))
def test_budget_rises_to_its_peak_and_falls_to_what_the_keep_ratios_leave(peak, ratios, num_epochs):
    market = Market(peak=peak)
    budgets = [market.budget(state_at(epoch, num_epochs, ratios)) for epoch in range(num_epochs)]
    sizes = [TARGET.kernel_params(block) for block in range(3)]
    final = final_of(ratios)
    highest = min(peak * final, sum(sizes))
    assert budgets[0] == pytest.approx(min(sizes[0], highest))
    assert max(budgets) <= highest + 1e-9
    last = max(1, round(0.7 * num_epochs))
    assert budgets[min(last, num_epochs - 1)] == pytest.approx(final) or last >= num_epochs
    falls = [after < before - 1e-9 for before, after in itertools.pairwise(budgets)]
    turns = [now for before, now in itertools.pairwise([False, *falls]) if before != now]
    assert turns in ([], [True], [True, False])  # it rises or stays, falls, stays


def test_budget_of_macs_counts_positions():
    market = Market(unit="macs")
    full = market.budget(state_at(14, ratios=(1.0, 1.0, 1.0)))
    assert full == TARGET.macs(passing=range(3))


def test_macs_are_those_of_images_of_the_final_size(tiny_task, tiny_settings, tmp_path, monkeypatch):
    monkeypatch.setattr("kgrow.structure.market._worthwhile_depth", len)  # nothing is cut off
    preset = dataclasses.replace(tiny_settings.preset, epochs=10, resolutions=((0, 0.5), (8, 1.0)), prune_epochs=())
    growth = Market(num_examples=24, credit=20.0, unit="macs")
    settings = dataclasses.replace(tiny_settings, preset=preset, growth=growth)
    with Run.open(tmp_path, {}) as run:
        life = Lifecycle(tiny_task, TARGET, RATIOS, settings, run, Observer())
        life.train()
        network = life.network
    assert network.architecture.input_shape == TARGET.input_shape
    kept = {kernel.name: kernel.kept for kernel in network.kernels()}
    last = [event["change"]["ledger"] for event in life.events if event["event"] == Trade.event][-1]
    used = network.architecture.macs(kept=kept, passing=range(len(network.blocks)))
    assert used == last["used"] <= last["budget"]


@pytest.mark.parametrize("num_epochs", [2, 3, 4, 10, 30])
def test_a_block_may_come_in_a_run_of_any_length(num_epochs):
    one, grew = target_of(1), {"event": "grew", "epoch": 0, "change": {}}
    state = Decisions((), TARGET, (1.0, 0.1, 0.1), num_epochs).state(1, one, (grew,), Told(0.0, 0.5))
    state.statistics.answers = lambda: np.ones((1, 4), bool)
    assert isinstance(Market(peak=3.0).propose(state), AppendBlock)


# A training


def test_ledger_adds_up_to_what_is_kept_and_never_exceeds_the_budget(lived):
    used, budgets = 0, []
    for event in lived.events:
        if event["event"] == AppendBlock.event:
            used += event["prunable_params"][-1]
        elif event["event"] == Trade.event:
            entry = event["change"]["ledger"]
            used += entry["expanded"] - entry["contracted"] - entry["thinned"]  # what is exchanged costs the same
            assert used == entry["used"] == sum(event["kept_params"]) <= entry["budget"]
            budgets.append(entry["budget"])
        elif event["event"] == "epoch":
            assert event["kept_params"] == used
    assert len(budgets) >= 5
    assert final_of(RATIOS) - 1 < used <= final_of(RATIOS)
    assert all(used <= kept_params(TARGET, RATIOS, scope) for scope in SCOPES)  # what a search planned with


def test_no_connection_comes_and_goes_within_two_epochs_and_something_is_exchanged(lived):
    latest = {}
    for event in (event for event in lived.events if event["event"] == Trade.event):
        for side in ("removed", "revived"):
            for name, packed in event["change"][side].items():
                for place in np.flatnonzero(unpack(packed)):
                    before = latest.get((name, place), -9)
                    forced = side == "removed" and event["change"]["ledger"]["contracted"] > 0
                    assert event["epoch"] - before > 2 or forced
                    latest[name, place] = event["epoch"]
    assert sum(event["change"]["ledger"]["exchanged"] for event in lived.events if event["event"] == Trade.event)


def test_blocks_come_sparse_and_none_comes_late(lived):
    grown = [event for event in lived.events if event["event"] == AppendBlock.event]
    assert len(grown) > 1
    assert all(event["epoch"] <= 8 for event in grown)
    for event in grown[1:]:
        (traded,) = [e for e in lived.events if e["event"] == Trade.event and e["epoch"] == event["epoch"]]
        block = len(event["kept_params"]) - 1
        assert traded["kept_params"][block] <= RATIOS[block] * event["prunable_params"][block]


def test_it_settles_and_leaves_the_schedule_of_pruning_out(lived):
    settled = [event["epoch"] for event in lived.events if event["event"] == "epoch" and event["is_settled"]]
    assert settled == list(range(14, 20))
    assert not [event for event in lived.events if event["event"] == "pruned"]


class Told(Statistics):
    """Prices that a test wants."""

    def __init__(self, gain, block_gain, architecture=None):
        shapes = {kernel.name: kernel.kernel_params for kernel in (architecture or target_of(1)).kernels()}
        self._masks = {name: np.arange(size) % 2 for name, size in shapes.items()}
        self._prices = {name: Prices(np.full(size, 0.01), np.full(size, gain)) for name, size in shapes.items()}
        self._block_gain = block_gain

    def masks(self):
        return self._masks

    def prices(self, num_examples):
        return self._prices

    def block_gain(self, block, num_examples):
        return self._block_gain


@pytest.mark.parametrize(
    ("gain", "block_gain", "expected"),
    [
        (0.0, 0.5, AppendBlock),  # it promises something, and nothing else does
        (0.0, 0.0, None),
        (0.1, 0.5, Trade),  # connections promise more
        (0.1, 1e6, AppendBlock),
    ],
)
def test_block_comes_if_it_promises_more_than_the_connections_in_its_place(gain, block_gain, expected):
    one = target_of(1)
    grew = {"event": "grew", "epoch": 0, "change": {}}
    state = Decisions((), TARGET, (0.5, 0.1, 0.3), 20).state(5, one, (grew,), Told(gain, block_gain))
    proposed = Market(peak=3.0).propose(state)
    assert proposed is None if expected is None else isinstance(proposed, expected)


def test_room_is_saved_for_a_block_that_is_not_affordable_yet():
    one, grew = target_of(1), {"event": "grew", "epoch": 0, "change": {}}
    state = Decisions((), TARGET, (0.9, 0.9, 0.9), 20).state(1, one, (grew,), Told(1e-6, 0.5))
    assert Market(exchange=0.0).propose(state) is None
    state = dataclasses.replace(state, statistics=Told(1e-6, 0.0))
    assert isinstance(Market(exchange=0.0).propose(state), Trade)


@pytest.mark.parametrize(
    ("right", "depth"),
    [([60, 90, 60], 2), ([90, 60, 60], 1), ([60, 61, 60], 3), ([60, 60, 90], 3), ([90, 90, 89], 3)],
)
def test_blocks_that_have_not_paid_are_cut_off_at_the_last_event(right, depth):
    """A head is right on the first so many of a hundred images."""
    answers = np.arange(100) < np.array(right)[:, np.newaxis]
    grown = tuple({"event": "grew", "epoch": epoch, "change": {}} for epoch in range(3))
    told = Told(0.0, 0.0, target_of(3))
    told.answers = lambda: answers
    state = Decisions((), TARGET, RATIOS, 20).state(14, TARGET, grown, told)
    proposed = Market().propose(state)
    if depth < 3:
        assert proposed == Cut(depth)
        cut = Cut(depth).entry(14)
        left = target_of(depth)
        told = Told(0.0, 0.0, left)
        state = dataclasses.replace(state, architecture=left, events=(*grown, cut), statistics=told)
        proposed = Market().propose(state)
    assert proposed is None or isinstance(proposed, Trade)
    assert not isinstance(Market().propose(dataclasses.replace(state, epoch=13, statistics=told)), Cut)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rise": 0.5, "hold": 0.4}, "must come in this order"),
        ({"peak": 0.5}, "`peak` must be"),
        ({"hysteresis": 0.9}, "`hysteresis` must be"),
        ({"unit": "watts"}, "`unit` must be"),
        ({"num_examples": 0}, "`num_examples` must be"),
        ({"num_examples": 7}, "`num_examples` must be at least 8, but got 7"),
        ({"exchange": 1.0}, "`exchange` must be"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Market(**options)


def test_budget_below_one_connection_per_kernel_is_refused():
    state = Decisions((), TARGET, (0.004, 0.004, 0.004), 20).state(0, dataclasses.replace(TARGET, blocks=()), ())
    with pytest.raises(ValueError, match=r"must leave a budget of 6 params, one connection in every kernel, but leave"):
        Market().propose(state)


def test_no_kernel_is_emptied():
    """All connections of one kernel cost nothing to remove."""
    one = target_of(1)
    first, *others = [kernel.name for kernel in one.kernels()]
    grew, told = {"event": "grew", "epoch": 0, "change": {}}, Told(0.0, 0.0)
    told._masks = {name: np.ones_like(mask) for name, mask in told._masks.items()}
    told._prices[first] = Prices(np.zeros_like(told._prices[first].removal), told._prices[first].gain)
    state = Decisions((), target_of(1), (0.2,), 20).state(14, one, (grew,), told)
    told.answers = lambda: np.ones((1, 4), bool)
    traded = Market().propose(state)
    left = {name: mask.sum() - traded.removed.get(name, np.zeros(1)).sum() for name, mask in told._masks.items()}
    assert left[first] == 1
    assert all(left[name] > 1 for name in others)


# What a block would gain


def test_gain_of_a_block_is_that_of_its_head_and_asking_changes_nothing(lived, same_arrays):
    statistics, before = lived.statistics(3), lived.network.state()
    grown = of_cells(
        (8, 8, 3),
        3,
        Scaling((128.0,) * 3, (64.0,) * 3),
        (
            CellBlock((Cell("conv", 4, stride=2),), Head(2)),
            CellBlock((Cell("conv", 6, inputs=(0,)),), Head(2)),
            CellBlock((Cell("conv", 8, inputs=(1,)),), Head(1)),
            CellBlock((Cell("conv", 8, inputs=(2,)),), Head(1)),
        ),
    )
    block = AppendBlock(grown.blocks[len(lived.network.blocks)])
    assert 0 <= statistics.block_gain(block, 24) < np.inf
    changed, _ = block.apply(lived.network.architecture)
    first = changed.kernels(len(lived.network.blocks))[0].name
    kernel = lived.network.__class__(changed).state()[f"{first}/kernel"]
    silent = dataclasses.replace(block, initial={f"{first}/kernel": np.zeros_like(kernel)})
    assert statistics.block_gain(silent, 24) == 0.0
    assert same_arrays(lived.network.state(), before)


# One after the other


def test_interleaved_runs_as_long_as_published_have_the_published_epochs():
    policy = Interleaved()
    schedule = policy.pruning_schedule(None, 250)
    pruned = [epoch for epoch in range(250) if schedule.due(epoch, (0.5,) * 4)]
    assert pruned == [10, 35, 60, 85]
    assert schedule.last_epoch(4) == 85
    assert [schedule.due(epoch, (0.8, 0.7, 0.6, 0.5)) for epoch in pruned] == [{0: 0.8}, {1: 0.7}, {2: 0.6}, {3: 0.5}]


@given(st.integers(15, 300))
def test_each_block_is_pruned_before_the_next_one_comes(num_epochs):
    policy, state = Interleaved(), state_at(0, num_epochs)
    schedule = policy.pruning_schedule(None, num_epochs)
    births = []
    for count in range(3):
        grown = dataclasses.replace(state, architecture=dataclasses.replace(TARGET, blocks=TARGET.blocks[:count]))
        epochs = (e for e in range(num_epochs) if policy.propose(dataclasses.replace(grown, epoch=e)) is not None)
        births.append(next(epochs))
    pruned = [next(e for e in range(num_epochs) if block in schedule.due(e, RATIOS)) for block in range(3)]
    assert births[0] < pruned[0] <= births[1] <= pruned[1] <= births[2] <= pruned[2] < num_epochs
