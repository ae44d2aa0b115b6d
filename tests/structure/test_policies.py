"""What a life does with its policies: given weights, what is shared, what counts as best, and broken promises."""

import dataclasses

import numpy as np
import pytest

from kgrow._plugins import PluginError
from kgrow.graph import Block, Node
from kgrow.graph.operators import Dropout
from kgrow.lifecycle import BEST, Lifecycle, Snapshot
from kgrow.pruning import Magnitude
from kgrow.run import Run
from kgrow.structure import AppendBlock, Change, Decisions, FixedGrowth, Revive, StructurePolicy, WeightMap, Widen
from kgrow.structure.decisions import settled_since
from kgrow.training import Observer

RATIOS = (0.5, 0.3)


@pytest.fixture
def live(tmp_path, tiny_task, tiny_architecture, tiny_settings):
    def live(growth=None, ratios=RATIOS, initial=None, **preset):
        preset = dataclasses.replace(tiny_settings.preset, **preset)
        settings = dataclasses.replace(tiny_settings, growth=growth, preset=preset)
        with Run.open(tmp_path / "0000", {}) as run:
            life = Lifecycle(tiny_task, tiny_architecture, ratios, settings, run, Observer(), initial=initial)
            life.train()
            best = Snapshot.load(run, BEST).epoch if run.has(BEST) else None
        return life, best

    return live


@dataclasses.dataclass(frozen=True)
class Scripted(StructurePolicy):
    """Grows at once, and proposes what a function of the state says."""

    script: object
    settled: bool = True

    def propose(self, state):
        return state.next_block or self.script(state)

    def is_settled(self, state):
        return self.settled


# Given weights


def test_blocks_start_with_the_weights_that_are_given(live):
    name = "block_1/cell_1/first/kernel"
    values = {name: np.full((3, 3, 4, 6), 0.25, np.float32)}
    life, _ = live(initial=values, learning_rate=0.0, ratios=(1.0, 1.0))
    assert np.array_equal(life.network.state()[name], values[name])
    assert life.events[0]["change"]["initial"] is None  # nothing was given to the first block
    grown = [event for event in life.events if event["event"] == "grew"][1]
    assert len(grown["change"]["initial"]) == 64


def test_trials_of_other_weights_share_nothing_that_has_them(tiny_architecture):
    first, second = ({"block_0/cell_0/first/kernel": np.full(3, value)} for value in (0.0, 1.0))
    logs = []
    for initial in (first, first, second):
        decisions = Decisions((FixedGrowth((2,)),), tiny_architecture, RATIOS, 6, initial)
        state = decisions.state(0, dataclasses.replace(tiny_architecture, blocks=()), ())
        change = decisions.policies[0].propose(state)
        logs.append((decisions, [change.entry(0), {"event": "epoch", "epoch": 0, "is_settled": False}]))
    assert logs[0][0].agree_with(logs[1][1])
    assert not logs[0][0].agree_with(logs[2][1])


# Fixed epochs


def test_a_target_of_more_blocks_than_epochs_of_growth_is_refused(varied_network):
    target = varied_network.architecture
    decisions = Decisions((FixedGrowth((1,)),), target, (1.0,) * 3, 6)
    state = decisions.state(0, dataclasses.replace(target, blocks=()), ())
    with pytest.raises(ValueError, match=r"`epochs` must hold an epoch for every block .* \(2\), but got \(1,\)"):
        decisions.policies[0].propose(state)


# What is shared


def test_log_of_less_of_more_or_of_something_else_is_not_agreed_with(tiny_architecture):
    decisions = Decisions((FixedGrowth((1,)),), tiny_architecture, RATIOS, 6)
    grew = [AppendBlock(block).entry(epoch) for epoch, block in enumerate(tiny_architecture.blocks)]
    ended = [{"event": "epoch", "epoch": epoch, "is_settled": epoch > 0} for epoch in range(3)]
    whole = [grew[0], ended[0], {"event": "rung", "epoch": 1, "objective": 0.5}, grew[1], ended[1], ended[2]]
    for end in (0, 2, 3, 5, 6):
        assert decisions.agree_with(whole[:end])
    widened = Widen("block_0/cell_0/first", (2, 1, 1, 1)).entry(0)
    for other in (
        whole[1:],
        [grew[0], widened, *whole[1:]],
        [grew[0], grew[1] | {"epoch": 0}, *whole[1:3], *whole[4:]],
        [grew[0], ended[0], ended[1]],
        [grew[0], ended[0] | {"is_settled": True}],
        [*whole[:4]],
    ):
        assert not decisions.agree_with(other)


def test_policy_that_asks_for_statistics_agrees_with_no_log(tiny_architecture):
    asking = Scripted(lambda state: state.statistics.saliency(Magnitude()) and None)
    decisions = Decisions((asking,), tiny_architecture, RATIOS, 6)
    grew = [AppendBlock(block).entry(0) for block in tiny_architecture.blocks]
    assert not decisions.agree_with([*grew, {"event": "epoch", "epoch": 0, "is_settled": True}])


# What counts


def test_epochs_count_since_everything_is_settled_and_nothing_has_changed():
    def epoch(number, is_settled):
        return {"event": "epoch", "epoch": number, "is_settled": is_settled}

    change = {"event": "widened", "epoch": 3, "change": {}}
    events = [epoch(0, False), epoch(1, True), epoch(2, True), change, epoch(3, True), epoch(4, True)]
    found = [settled_since(events[:end]) for end in range(len(events) + 1)]
    assert found == [None, None, 1, 1, None, 3, 3]
    assert settled_since([*events, epoch(5, False)]) is None


def test_best_epoch_of_a_network_that_changed_its_mind_is_one_after_the_change(live):
    def late(state):
        first = state.architecture.kernels()[0].name
        is_due = state.epoch == 5 and state.architecture.shapes[first][-1] == 4
        return Widen(first, (2, 2, 2, 2)) if is_due else None

    life, best = live(Scripted(late))
    assert [event["is_best"] for event in life.events if event["event"] == "epoch"][3]
    assert best == 6


def test_network_that_changes_after_it_was_settled_loses_its_best_epochs(live, tmp_path):
    def late(state):
        first = state.architecture.kernels()[0].name
        is_due = state.epoch == 5 and state.architecture.shapes[first][-1] == 4
        return Widen(first, (2, 2, 2, 2)) if is_due else None

    @dataclasses.dataclass(frozen=True)
    class Unsettled(Scripted):
        def is_settled(self, state):
            return state.epoch < 5

    life, best = live(Unsettled(late))
    assert any(event["is_best"] for event in life.events if event["event"] == "epoch")
    assert best is None
    assert life.settled_since is None


def test_network_that_is_never_settled_has_no_best(live):
    _, best = live(Scripted(lambda state: None, settled=False))
    assert best is None


# Broken promises


class Resurrecting(Change):
    event = "resurrected"

    def remask(self, network, scoring):
        for kernel in network.kernels():
            kernel.mask.assign(np.ones(kernel.mask.shape, np.float32))

    def to_json(self):
        return {}


class Masking(Change):
    event = "masked"

    def apply(self, architecture):
        name = architecture.kernels()[0].name
        return architecture, WeightMap(given={f"{name}/mask": np.ones(architecture.kernels()[0].kernel_shape)})

    def to_json(self):
        return {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            lambda state: "prune it all",
            r"`tests?.*Scripted` must propose a `Change` or None, but proposes 'prune it all'",
        ),
        (
            lambda state: Widen("block_0/cell_0/first", (1, 1, 1, 1)),
            "must propose None when it has enough, but proposes 100 changes",
        ),
        (
            lambda state: Masking() if state.epoch == 4 else None,
            "Masking` must leave masks to `remask`, but gives some with its values",
        ),
        (
            lambda state: Resurrecting() if state.epoch == 4 else None,
            "Resurrecting` must leave pruned connections pruned, but revives some",
        ),
    ],
)
def test_policy_that_breaks_its_contract_is_named(live, script, message):
    with pytest.raises(PluginError, match=message):
        live(Scripted(script))


def test_network_without_a_block_is_not_trained(live):
    class Idle(Scripted):
        def propose(self, state):
            return None

    with pytest.raises(PluginError, match="Idle` must append a block before the first epoch, but appends none"):
        live(Idle(None))


def test_change_of_a_network_without_blocks_ends_with_the_same_words(live):
    class Empty(Scripted):
        def propose(self, state):
            return None if state.changes else Revive({})

    with pytest.raises(PluginError, match="Empty` must append a block before the first epoch, but appends none"):
        live(Empty(None))


@pytest.mark.slow
def test_interrupted_training_goes_on_with_the_same_dropout(tmp_path, tiny_task, tiny_architecture, tiny_settings):
    first, *others = tiny_architecture.blocks
    (last,) = (node for node in first.nodes if node.name == first.head[0].inputs[0])
    drop = Node("block_0/dropout", Dropout(0.3), (last.name,))
    head = tuple(dataclasses.replace(n, inputs=("block_0/dropout",)) if n is first.head[0] else n for n in first.head)
    target = dataclasses.replace(tiny_architecture, blocks=(Block((*first.nodes, drop), head), *others))

    def lived(name, *ends):
        with Run.open(tmp_path / name, {}) as run:
            for end in ends:
                Lifecycle(tiny_task, target, RATIOS, tiny_settings, run, Observer()).train(epochs=end)
            return Snapshot.load(run, "last.npz").arrays

    unbroken, broken = lived("unbroken", 6), lived("broken", 2, 5, 6)
    assert unbroken.keys() == broken.keys()
    assert all(np.array_equal(broken[name], value) for name, value in unbroken.items())
