"""When and how far a network grows: by its loss, its gradients, and the answers of its heads."""

import dataclasses
import math

import numpy as np
import pytest

from kgrow.graph import Cell, CellBlock, Head, of_cells
from kgrow.lifecycle import BEST, Lifecycle, Snapshot
from kgrow.lifecycle.gradient_noise import gradient_moments, noise_statistic
from kgrow.network import GrowingNetwork
from kgrow.pruning import OneShot
from kgrow.run import Run
from kgrow.structure import (
    AppendBlock,
    Cut,
    Decisions,
    DepthSearch,
    GradientNoise,
    LossPlateau,
    ScheduledPruning,
    Statistics,
)
from kgrow.structure.statistics import NotAtHandError
from kgrow.testing import samples
from kgrow.training import Observer

TARGET = samples.varied_architecture()  # three blocks
RATIOS = (0.5, 0.4, 0.3)
EPOCHS = 20


class Told(Statistics):
    """Answers what a test wants, and remembers what was asked."""

    def __init__(self, answers=None, noise=None):
        self._answers, self._noise, self.asked = answers, noise, []

    def answers(self):
        self.asked.append("answers")
        return self._answers

    def gradient_noise(self, blocks, num_examples):
        self.asked.append((blocks, num_examples))
        return self._noise


class Growing:
    """The log of a network under one policy, epoch by epoch, without any training."""

    def __init__(self, *policies, num_epochs=EPOCHS):
        self.decisions = Decisions(policies, TARGET, RATIOS, num_epochs)
        self.architecture, self.events, self.epoch = dataclasses.replace(TARGET, blocks=()), [], 0

    def state(self, statistics=None):
        return self.decisions.state(self.epoch, self.architecture, tuple(self.events), statistics)

    def live(self, loss=1.0, statistics=None):
        """Lets an epoch pass that ends with a validation loss; returns the kinds of the changes before it."""

        def look():
            return self.epoch, self.architecture, tuple(self.events), statistics or Statistics()

        kinds = []
        for _, change in self.decisions.changes(look):
            self.architecture, _ = change.apply(self.architecture)
            self.events.append(change.entry(self.epoch))
            kinds.append(change.event)
        losses = [loss] * len(self.architecture.blocks)
        settled = self.decisions.are_settled(self.state())
        self.events.append({"event": "epoch", "epoch": self.epoch, "val_loss": losses, "is_settled": settled})
        self.epoch += 1
        return kinds

    @property
    def is_settled(self):
        return self.events[-1]["is_settled"]


# The loss


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_a_constant_loss_appends_a_block_exactly_after_the_patience_and_begins_anew(patience):
    growing = Growing(LossPlateau(patience, until=0.9))
    made = [growing.live() for _ in range(2 * (patience + 1) + 1)]
    born = [epoch for epoch, kinds in enumerate(made) if kinds]
    assert born == [0, patience + 1, 2 * (patience + 1)]
    assert growing.state().births == tuple(born)
    assert growing.is_settled


def test_a_falling_loss_appends_nothing_and_settles_when_growth_is_over():
    growing = Growing(LossPlateau(1, tolerance=0.01, until=0.5))
    for epoch in range(EPOCHS):
        assert growing.live(loss=0.98**epoch) == (["grew"] if epoch == 0 else [])
        assert growing.is_settled == (epoch >= EPOCHS / 2 - 1)


def test_a_fall_within_the_tolerance_counts_as_none_and_one_beyond_it_starts_the_wait_again():
    growing = Growing(LossPlateau(2, tolerance=0.1))
    made = [growing.live(loss=loss) for loss in (1.0, 0.95, 0.8, 0.79, 0.78, 0.5)]
    assert [bool(kinds) for kinds in made] == [True, False, False, False, False, True]


def test_a_network_without_a_block_left_is_settled_before_growth_is_over():
    growing = Growing(LossPlateau(1, until=0.9))
    for _ in range(6):
        growing.live()
    assert growing.state().next_block is None
    assert growing.is_settled


# Gradients


def test_the_gradients_of_the_newest_block_decide():
    growing, quiet, loud = Growing(GradientNoise(0.1, 16)), Told(noise=0.2), Told(noise=0.1)
    assert growing.live(statistics=loud) == ["grew"]
    assert growing.live(statistics=loud) == []
    assert loud.asked == [((0,), 16)]
    assert growing.live(statistics=quiet) == ["grew"]  # the new block has not been trained: nothing is asked
    assert quiet.asked == [((0,), 16)]
    assert growing.live(statistics=quiet) == ["grew"]
    assert quiet.asked[1:] == [((1,), 16)]
    assert growing.is_settled


def test_no_gradient_is_asked_for_once_growth_is_over():
    growing, statistics = Growing(GradientNoise(until=0.3)), Told(noise=-1.0)
    for _ in range(EPOCHS):
        growing.live(statistics=statistics)
    assert len(statistics.asked) == 0.3 * EPOCHS - 1
    assert len(growing.architecture.blocks) == 1


def test_the_statistic_is_that_of_the_blocks_kept_connections(tmp_path, tiny_task, tiny_settings):
    settings = dataclasses.replace(tiny_settings, preset=dataclasses.replace(tiny_settings.preset, l2=0.01))
    with Run.open(tmp_path / "0000", {}) as run:
        life = Lifecycle(tiny_task, samples.tiny_architecture(), (0.5, 0.5), settings, run, Observer())
        life.train(epochs=4)
    found = life.statistics(4).gradient_noise((1,), 24)
    from kgrow.pruning.batches import saliency_batches
    from kgrow.training.loss import exit_weights

    batches = saliency_batches(tiny_task.train, 24, (settings.seed, 4, 2))
    preset, network = settings.preset, life.network
    weights = exit_weights(network.architecture, preset.epochs, preset.epochs, preset.exit_weights)
    means, variances = gradient_moments(network, batches, weights, preset.label_smoothing)
    parts = [
        ((mean + 0.01 * kernel.weight.numpy())[kernel.mask.numpy() > 0], variance[kernel.mask.numpy() > 0])
        for kernel, mean, variance in zip(network.kernels(), means, variances, strict=True)
        if kernel.name.startswith("block_1")
    ]
    assert 0 < sum(len(mean) for mean, _ in parts) < samples.tiny_architecture().kernel_params(1)
    assert found == pytest.approx(noise_statistic(*map(np.concatenate, zip(*parts, strict=True)), 24), rel=1e-6)
    assert math.isfinite(found)


# Answers


def answers(*accuracies, num_images=1000, disagreements=0):
    """Returns heads that are right on the first images, as many as their accuracy says."""
    right = [np.arange(num_images) < round(accuracy * num_images) for accuracy in accuracies]
    for head in right[1:]:
        head[:disagreements] = False
        head[num_images - disagreements :] |= disagreements > 0
    return np.array(right)


def test_depth_grows_as_long_as_the_newest_head_is_better():
    growing = Growing(DepthSearch(2))
    made = [growing.live(), growing.live()]
    made.append(growing.live(statistics=Told()))  # one head alone has no rival
    made += [growing.live(), growing.live(statistics=Told(answers(0.5, 0.6))), growing.live()]
    assert not growing.is_settled
    made.append(growing.live(statistics=Told(answers(0.5, 0.6, 0.7))))
    assert made == [["grew"], [], ["grew"], [], ["grew"], [], []]
    assert growing.is_settled
    assert len(growing.architecture.blocks) == 3


def test_network_is_cut_after_its_best_head_and_stays_so():
    growing = Growing(DepthSearch(1))
    for given in (None, None, Told(answers(0.5, 0.6))):
        growing.live(statistics=given)
    assert growing.live(statistics=Told(answers(0.5, 0.6, 0.6))) == ["cut"]
    assert growing.is_settled
    assert growing.architecture == dataclasses.replace(TARGET, blocks=TARGET.blocks[:2])
    assert growing.state().births == (0, 1)
    for _ in range(3):
        assert growing.live() == []


def test_patience_lets_a_later_block_make_up_for_one_that_adds_nothing():
    growing = Growing(DepthSearch(1, patience=2))
    growing.live(), growing.live()
    assert growing.live(statistics=Told(answers(0.5, 0.5))) == ["grew"]
    assert growing.live(statistics=Told(answers(0.5, 0.5, 0.6))) == []
    assert growing.is_settled
    patient = Growing(DepthSearch(1, patience=2))
    patient.live(), patient.live(), patient.live(statistics=Told(answers(0.5, 0.5)))
    assert patient.live(statistics=Told(answers(0.5, 0.5, 0.5))) == ["cut"]  # no block is left to wait for
    assert len(patient.architecture.blocks) == 1


@pytest.mark.parametrize(
    ("given", "is_accepted"),
    [
        (answers(0.500, 0.506), True),  # 6 of 1000 images, none lost: p = 0.031
        (answers(0.500, 0.505), False),  # 5 of 1000: p = 0.0625
        (answers(0.500, 0.506, disagreements=100), False),  # 106 against 100
        (answers(0.506, 0.500), False),
        (answers(0.5, 0.5015, num_images=10_000), False),  # certain, but less than the least gain
    ],
)
def test_a_gain_must_be_large_enough_and_more_than_chance(given, is_accepted):
    growing = Growing(DepthSearch(1, gain=0.002))
    growing.live(), growing.live()
    assert growing.live(statistics=Told(given)) == (["grew"] if is_accepted else ["cut"])


@pytest.mark.parametrize("num_epochs", range(1, 9))
@pytest.mark.parametrize("epochs", [None, 1, 3, 20])
@pytest.mark.parametrize("patience", [1, 2])
def test_every_run_settles_however_short_and_judges_what_it_appends(num_epochs, epochs, patience):
    for rising in (True, False):
        growing = Growing(DepthSearch(epochs, patience=patience), num_epochs=num_epochs)
        made = []
        for _ in range(num_epochs):
            heads = [0.5 + 0.1 * rising * head for head in range(len(growing.architecture.blocks))]
            made.append(growing.live(statistics=Told(answers(*heads) if heads else None)))
        assert growing.is_settled
        last = max(epoch for epoch, kinds in enumerate(made) if "grew" in kinds)
        assert last == 0 or last + (epochs or 1) < num_epochs
        assert rising or len(growing.architecture.blocks) == 1


@pytest.mark.parametrize("policy", [LossPlateau(1), LossPlateau(1, until=0.99), GradientNoise(), DepthSearch()])
def test_a_run_of_one_epoch_is_settled(policy):
    growing = Growing(policy, num_epochs=1)
    assert growing.live() == ["grew"]
    assert growing.is_settled


def test_answers_are_those_of_the_heads_on_the_validation_images(tmp_path, tiny_task, tiny_settings):
    with Run.open(tmp_path / "0000", {}) as run:
        life = Lifecycle(tiny_task, samples.tiny_architecture(), (1.0, 1.0), tiny_settings, run, Observer())
        life.train(epochs=3)
    found = life.statistics(3).answers()
    assert found.dtype == bool
    assert found.shape == (2, len(tiny_task.validation))
    assert found.mean(axis=1).tolist() == pytest.approx(life.events[-1]["val_accuracy"])


@dataclasses.dataclass(frozen=True)
class Deaf(AppendBlock):
    """Appends a block whose cell returns its input, and whose head knows nothing."""

    def apply(self, architecture):
        grown, weight_map = super().apply(architecture)
        fresh = GrowingNetwork(grown).state()
        silent = {f"block_1/{name}" for name in ("cell_1/second/norm/gamma", "cell_1/second/norm/beta")}
        silent |= {name for name in fresh if name.startswith("block_1/head") and name.endswith(("kernel", "bias"))}
        given = {name: np.zeros_like(fresh[name]) for name in silent if name in fresh}
        return grown, dataclasses.replace(weight_map, given=given)


class Deafened(DepthSearch):
    def propose(self, state):
        change = super().propose(state)
        return Deaf(change.block) if isinstance(change, AppendBlock) and len(state.architecture.blocks) else change


def test_a_block_that_adds_nothing_is_rejected_and_the_others_answers_stay(tmp_path, tiny_task, tiny_settings):
    residual = Cell("residual", 4, inputs=(0,), hidden_filters=4, shortcut="identity")
    cells = (CellBlock((Cell("conv", 4, stride=2),), Head(2)), CellBlock((residual,), Head(1)))
    target = of_cells((8, 8, 3), 3, samples.SCALING, cells)
    preset = dataclasses.replace(tiny_settings.preset, prune_epochs=(), learning_rate=0.0)
    settings = dataclasses.replace(tiny_settings, growth=Deafened(1), preset=preset)
    logits = {}

    class Watching(Observer):
        def event(self, trial, event):
            if event["event"] in ("epoch", "cut"):
                logits[event["event"], event["epoch"]] = life.network.logits(tiny_task.validation.images)

    with Run.open(tmp_path / "0000", {}) as run:
        life = Lifecycle(tiny_task, target, (1.0, 1.0), settings, run, Watching())
        life.train()
        assert [event["event"] for event in life.events if "change" in event] == ["grew", "grew", "cut"]
        assert len(Snapshot.load(run, BEST).architecture.blocks) == 1
    assert len(logits["epoch", 1]) == 2
    assert np.array_equal(logits["cut", 2], logits["epoch", 1][:1])


# Budget


def test_policies_see_the_limits_of_a_search(tmp_path, tiny_task, tiny_settings):
    seen = []

    class Looking(LossPlateau):
        def propose(self, state):
            seen.append(dict(state.budget))
            return super().propose(state)

    with Run.open(tmp_path / "0000", {}) as run:
        settings = dataclasses.replace(tiny_settings, growth=Looking(), budget={"params": 300, "ram_bytes": 4096})
        Lifecycle(tiny_task, samples.tiny_architecture(), (0.5, 0.4), settings, run, Observer()).train(epochs=1)
    assert {tuple(each.items()) for each in seen} == {(("params", 300), ("ram_bytes", 4096))}


# Pruning goes with growth


@pytest.mark.parametrize(("birth", "expected"), [(1, []), (3, []), (4, [(6, {1: 0.4})]), (19, [(19, {1: 0.4})])])
def test_a_block_that_comes_after_its_pruning_event_is_pruned_two_epochs_later(birth, expected):
    from kgrow.structure import FixedGrowth

    growing = Growing(FixedGrowth((birth, EPOCHS)), ScheduledPruning(OneShot((2, 3, 3))))
    for _ in range(EPOCHS):
        growing.live()
    pruned = [event for event in growing.events if event["event"] == "pruned"]
    late = [(event["epoch"], event["change"]["keep_ratios"]) for event in pruned if event["epoch"] > 3]
    assert late == [(epoch, {str(block): ratio for block, ratio in each.items()}) for epoch, each in expected]


def test_late_blocks_leave_as_many_connections_as_others(tmp_path, tiny_task, tiny_settings):
    with Run.open(tmp_path / "0000", {}) as run:
        settings = dataclasses.replace(tiny_settings, growth=LossPlateau(1, tolerance=0.999, until=0.7))
        life = Lifecycle(tiny_task, samples.tiny_architecture(), (0.5, 0.4), settings, run, Observer())
        life.train()
    sizes = [samples.tiny_architecture().kernel_params(block) for block in range(2)]
    assert [life.network.kept_params(block) for block in range(2)] == [int(0.5 * sizes[0]), int(0.4 * sizes[1])]
    assert life.events[-1]["is_settled"]


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LossPlateau(0), "`patience` must be a positive integer, but got 0"),
        (lambda: LossPlateau(tolerance=1.0), r"`tolerance` must be in \[0, 1\), but got 1.0"),
        (lambda: LossPlateau(until=1), r"`until` must be in \(0, 1\), but got 1"),
        (lambda: GradientNoise(threshold=1.5), r"`threshold` must be in \(-inf, 1\], but got 1.5"),
        (lambda: GradientNoise(num_examples=4), "`num_examples` must be at least 8, but got 4"),
        (lambda: GradientNoise(until=0), r"`until` must be in \(0, 1\), but got 0"),
        (lambda: DepthSearch(0), "`epochs` must be a positive integer, but got 0"),
        (lambda: DepthSearch(gain=-0.1), r"`gain` must be in \[0, 1\), but got -0.1"),
        (lambda: DepthSearch(patience=0), "`patience` must be a positive integer, but got 0"),
        (lambda: DepthSearch(significance=0), r"`significance` must be in \(0, 1\], but got 0"),
        (lambda: Cut(0), "`num_blocks` must be a positive integer, but got 0"),
        (lambda: Cut(3).apply(TARGET), "`num_blocks` must be below the 3 of the network, but got 3"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_statistics_of_a_log_are_not_at_hand():
    silent: Statistics = Statistics()
    for ask in (silent.masks, silent.answers, lambda: silent.saliency(None), lambda: silent.gradient_noise((0,), 8)):
        with pytest.raises(NotAtHandError, match="There is no network to ask for"):
            ask()
