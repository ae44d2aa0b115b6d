"""Tests of trials that share their prefixes: forked and interrupted, they end as if each had been trained alone."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import pytest

from kgrow.graph import Scaling
from kgrow.lifecycle import BEST, LAST, Lifecycle, Preset, Settings, Snapshot
from kgrow.pruning import Iterative, Magnitude, NoPruning, OneShot, kept_params
from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal
from kgrow.searching.trial import Trial
from kgrow.searching.trials import FORK, NETWORKS_KEPT, OUTCOME, Trials
from kgrow.structure import Decisions, FixedGrowth, ScheduledPruning
from kgrow.structure.statistics import Statistics
from kgrow.task import Augmentation
from kgrow.training import Observer

# The second leaves the first before epoch 3 and is the life of `unbroken`, the third leaves both before epoch 1.
RATIOS = ((0.5, 0.6), (0.5, 0.3), (0.25, 0.3))


class InterruptError(Exception):
    """What a test throws into a search."""


class Recorder(Observer):
    """Remembers what was trained, takes a copy of each trial before it is cleaned, interrupts once at each moment."""

    def __init__(self, outcome_of=None, moments=()):
        self.outcome_of, self.moments = outcome_of, set(moments)
        self.trained, self.outcomes, self.trials = [], {}, None

    def progress(self, trial, epoch, done, total):
        self.trained.append((trial, epoch, done))
        if (trial, epoch, done) in self.moments:
            self.moments.remove((trial, epoch, done))
            raise InterruptError

    def trial_finished(self, trial, outcome):
        if self.outcome_of:
            self.outcomes[trial] = self.outcome_of(self.trials.directory(int(trial)))


def proposals_of(architecture, all_ratios=RATIOS):
    known = costs(architecture)
    return [
        Proposal(Candidate(architecture, ratios), {"keep": str(ratios)}, known.footprint(ratios))
        for ratios in all_ratios
    ]


def train_all(trials, tried, deadline=float("inf")):
    """Trains one after the other until one is stopped, as a search does."""
    found = []
    for index, proposal in enumerate(tried):
        found.append(trials.train(index, proposal, deadline))
        if found[-1].status == "stopped":
            break
    return found


@pytest.fixture
def start(tiny_task, tiny_settings, tiny_architecture):
    def make(run, observer=None, settings=tiny_settings):
        return Trials(tiny_task, settings, Accuracy(), tiny_architecture.macs(), run, observer or Observer())

    return make


@pytest.fixture(scope="module")
def searched(tmp_path_factory, tiny_task, tiny_architecture, tiny_settings, outcome_of):
    """A search that was interrupted in the first trial, after this had left prefixes for the others."""
    observer, tried = Recorder(outcome_of, [("0000", 4, 2)]), proposals_of(tiny_architecture)
    with Run.open(tmp_path_factory.mktemp("trials") / "search", {}) as run:
        trials = Trials(tiny_task, tiny_settings, Accuracy(), tiny_architecture.macs(), run, observer)
        observer.trials = trials
        with pytest.raises(InterruptError):
            train_all(trials, tried)
        yield SimpleNamespace(run=run, found=train_all(trials, tried), trials=trials, observer=observer)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_task, tiny_architecture, tiny_settings, unbroken, outcome_of):
    """The second and the third candidate, each trained by itself."""
    with Run.open(tmp_path_factory.mktemp("alone") / "0002", {}) as run:
        Lifecycle(tiny_task, tiny_architecture, RATIOS[2], tiny_settings, run, Observer()).train()
        yield {"0001": outcome_of(unbroken.run), "0002": outcome_of(run)}


# Sharing


@pytest.mark.parametrize("trial", ["0001", "0002"])
def test_forked_trial_ends_bitwise_as_one_trained_alone(searched, alone, same_arrays, trial):
    events, logs, metadata, arrays = searched.observer.outcomes[trial]
    expected_events, expected_logs, expected_metadata, expected_arrays = alone[trial]
    assert events == expected_events
    assert logs == expected_logs
    assert metadata == expected_metadata
    assert {name.split(":")[0] for name in arrays} == {BEST, LAST}
    assert same_arrays(arrays, expected_arrays)


@pytest.mark.slow
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_networks_of_other_depth_share_what_comes_before_they_differ(
    order, tmp_path, start, tiny_architecture, unbroken, outcome_of, same_arrays
):
    observer = Recorder(outcome_of)
    depths = [dataclasses.replace(tiny_architecture, blocks=tiny_architecture.blocks[:depth]) for depth in order]
    tried = [proposals_of(depth, (unbroken.keep_ratios[: len(depth.blocks)],))[0] for depth in depths]
    with Run.open(tmp_path / "search", {}) as run:
        observer.trials = start(run, observer)
        found = train_all(observer.trials, tried)
    # Before epoch 1 the smaller network is pruned for good: from then on its best epoch is kept.
    assert [trial.epochs_trained for trial in found] == [6, 5]
    *told, arrays = observer.outcomes[f"{order.index(2):04d}"]
    *expected, expected_arrays = outcome_of(unbroken.run)
    assert told == expected
    assert same_arrays(arrays, expected_arrays)


def test_shared_epochs_are_not_trained_again(searched):
    trained = {trial: set() for trial in ("0000", "0001", "0002")}
    for trial, epoch, _ in searched.observer.trained:
        trained[trial].add(epoch)
    assert trained == {"0000": {0, 1, 2, 3, 4, 5}, "0001": {3, 4, 5}, "0002": {1, 2, 3, 4, 5}}


def test_own_epochs_are_counted_whatever_interrupted_the_trial(searched):
    assert [trial.epochs_trained for trial in searched.found] == [6, 3, 5]


def test_checkpoints_of_the_best_and_prefixes_stay_until_the_search_is_finished(searched):
    left = {path.relative_to(searched.run.path).as_posix() for path in searched.run.path.rglob("*.npz")}
    kept = {f"trials/{index:04d}/best.npz" for index in searched.trials.ranked()[:NETWORKS_KEPT]}
    assert {name for name in left if not name.startswith("prefixes/")} == kept
    prefixes = sorted(name.split("/")[1][:4] for name in left - kept)
    # Before the first event; before growth, and before the second pruning, on either path.
    assert prefixes == ["0001", "0002", "0002", "0003", "0003"]


def test_prefixes_are_in_the_order_of_their_last_use(searched):
    # The second trial went on from the third prefix, the third from the first one, and left the last two.
    snapshots = [name[:4] for name in searched.run.child("prefixes").files() if name.endswith(".npz")]
    assert snapshots == ["0002", "0003", "0001", "0002", "0003"]


# What is found


def test_each_trial_tells_its_counts_and_the_accuracy_of_its_checkpoint(searched, tiny_architecture):
    for trial, ratios in zip(searched.found, RATIOS, strict=True):
        events, *_ = searched.observer.outcomes[trial.trial]
        best = [event for event in events if event.get("is_best")][-1]
        assert (trial.status, trial.error, trial.keep_ratios) == ("done", None, ratios)
        assert trial.prunable_params == tiny_architecture.kernel_params()
        assert trial.kept_params == kept_params(tiny_architecture, ratios) == best["kept_params"]
        assert trial.val_accuracy == best["val_accuracy"][-1]


def test_ranking_is_by_the_objective_then_by_the_fewest_connections(searched, start):
    trials, known = start(searched.run), searched.found[0]
    figures = ((0.8, 90), (0.9, 70), (0.9, 60), (0.9, 60), (None, 10))
    trials.outcomes = {
        index: dataclasses.replace(known, objective=objective, kept_params=kept)
        for index, (objective, kept) in enumerate(figures)
    }
    trials.outcomes[5] = dataclasses.replace(known, objective=1.0, epochs=3)  # cut short
    trials.outcomes[6] = dataclasses.replace(known, objective=1.0, same_as="0000")
    assert trials.ranked() == [2, 3, 1, 0]


def test_trials_that_have_ended_are_not_trained_again(searched, start, tiny_architecture):
    observer, before = Recorder(), set(searched.run.path.rglob("*.npz"))
    again = start(searched.run, observer)
    assert again.num_finished() == 3
    assert train_all(again, proposals_of(tiny_architecture)) == searched.found
    assert set(searched.run.path.rglob("*.npz")) == before
    assert observer.trained == []


def test_candidate_that_was_tried_before_costs_nothing(searched, start, tiny_architecture):
    observer = Recorder()
    trials, tried = start(searched.run, observer), proposals_of(tiny_architecture)
    train_all(trials, tried)
    twin = trials.train(3, tried[1])
    assert (twin.trial, twin.same_as, twin.epochs_trained) == ("0003", "0001", 0)
    assert twin.val_accuracy == searched.found[1].val_accuracy
    assert observer.trained == []
    trials.directory(3).remove(OUTCOME)


def test_other_candidate_under_a_known_number_is_refused(searched, start, tiny_architecture):
    with pytest.raises(ValueError, match="must propose what it proposed before the search was interrupted, but trial"):
        start(searched.run).train(0, proposals_of(tiny_architecture)[1])


@pytest.mark.parametrize("name", [OUTCOME, FORK])
@pytest.mark.parametrize("is_removed", [False, True])
def test_document_of_a_trial_with_a_wrong_field_is_named(
    searched, start, tiny_architecture, tmp_path, name, is_removed
):
    shutil.copytree(searched.run.path, tmp_path / "search")
    folder, proposal = tmp_path / "search" / "trials" / "0000", proposals_of(tiny_architecture)[0]
    original = json.loads((folder / name).read_text())
    if name == FORK:
        (folder / OUTCOME).unlink()
    has_default = {field.name for field in dataclasses.fields(Trial) if field.default is not dataclasses.MISSING}
    optional = () if name == FORK else has_default
    with Run.open(tmp_path / "search", {}) as run:
        for field in original:
            if is_removed and field in optional:  # as earlier versions wrote it
                continue
            changed = {**original, field: [[None]]}
            if is_removed:
                del changed[field]
            (folder / name).write_text(json.dumps(changed))
            with pytest.raises(ValueError, match=rf"{name} is damaged: `{field}") as caught:
                start(run).train(0, proposal)
            assert str(folder / name) in str(caught.value)
        for text in ("null", "[" * 100_000, json.dumps({**original, "trial": "../../x", "values": None})):
            (folder / name).write_text(text)
            with pytest.raises(ValueError, match=rf"{name} is damaged"):
                start(run).train(0, proposal)


def test_checkpoint_of_another_candidate_is_refused(tmp_path, start, tiny_architecture):
    proposals = proposals_of(tiny_architecture)
    with Run.open(tmp_path / "search", {}) as run:
        assert start(run).train(0, proposals[0], deadline=0.0).status == "stopped"
        with pytest.raises(ValueError, match=r"must propose what it proposed before .* Give the oracle a seed"):
            start(run).train(0, proposals[1])


def test_trial_that_a_rule_cuts_short_has_no_outcome_and_goes_on_without_the_rule(
    tmp_path, start, searched, tiny_architecture
):
    observer, proposal = Recorder(), proposals_of(tiny_architecture)[1]
    with Run.open(tmp_path / "search", {}) as run:
        trials = start(run, observer)
        cut = trials.train(0, proposal, stop=lambda life: life.events[-1]["epoch"] == 4)
        assert (cut.status, cut.epochs, cut.epochs_trained, cut.estimated) == ("cut", 5, 5, True)
        assert trials.ranked() == []
        assert not trials.directory(0).has(OUTCOME)
        whole = trials.train(0, proposal)
        assert (whole.status, whole.epochs, whole.epochs_trained, whole.estimated) == ("done", 6, 6, False)
        assert whole.val_accuracy == searched.found[1].val_accuracy
        assert [epoch for _, epoch, done in observer.trained if done == 1] == [0, 1, 2, 3, 4, 5]


# Trials that go wrong or are stopped


@pytest.fixture
def short_settings():
    """Three epochs, pruned before the first two."""
    preset = Preset(epochs=3, batch_size=16, learning_rate=0.1, grow_epochs=(0,), prune_epochs=(0, 1))
    return Settings(preset, Magnitude(), augmentation=Augmentation(), seed=0)


def test_trial_that_diverges_is_recorded_and_the_others_go_on(tmp_path, start, tiny_architecture, short_settings):
    blinding = dataclasses.replace(tiny_architecture, scaling=Scaling((0.0,) * 3, (1e-38,) * 3))
    tried = [*proposals_of(blinding, [(0.5, 0.5)]), *proposals_of(tiny_architecture, [(0.5, 0.5)])]
    tried[0].values["scaling"] = "blinding"
    with Run.open(tmp_path / "search", {}) as run:
        trials = start(run, settings=short_settings)
        found = train_all(trials, tried)
        assert [trial.status for trial in found] == ["failed", "done"]
        assert (found[0].val_accuracy, found[0].objective, found[0].epochs_trained) == (None, None, 0)
        assert "A lower `learning_rate`" in found[0].error
        assert "TrainingDivergedError" in found[0].traceback
        assert trials.ranked() == [1]
        assert not trials.directory(0).has(BEST)
        assert trials.directory(0).read_json(OUTCOME)["status"] == "failed"
        assert train_all(start(run, settings=short_settings), tried) == found


class Deadline(float):
    """A time that is over as soon as so many epochs of a trial are done."""

    def __new__(cls, observer, trial, epochs):
        deadline = super().__new__(cls, 0.0)
        deadline.is_over = lambda: sum(t == trial and done == 3 for t, _, done in observer.trained) >= epochs
        return deadline

    def __lt__(self, now):
        return self.is_over()


def test_stopped_search_keeps_the_best_of_the_finished_trials_for_when_it_goes_on(
    tmp_path, start, tiny_architecture, short_settings
):
    tried = proposals_of(tiny_architecture, ((0.02, 0.02), (1.0, 1.0), (0.5, 0.5)))
    observer = Recorder()
    with Run.open(tmp_path / "search", {}) as run:
        trials = start(run, observer, short_settings)
        found = train_all(trials, tried, Deadline(observer, "0001", 2))
        assert [trial.status for trial in found] == ["done", "stopped"]
        assert found[1].epochs_trained == 2
        assert found[1].val_accuracy > found[0].val_accuracy  # and may be lower in the end
        assert trials.ranked() == [1, 0]
        assert trials.directory(0).has(BEST)
        assert trials.directory(1).has(BEST)
        assert trials.directory(1).has(LAST)
        assert not trials.directory(1).has(OUTCOME)


@pytest.mark.slow
def test_network_of_a_trial_that_ran_out_of_time_is_kept_as_it_stands(tmp_path, start, tiny_architecture, searched):
    tried = proposals_of(tiny_architecture)
    with Run.open(tmp_path / "search", {}) as run:
        trials = start(run)
        (stopped,) = train_all(trials, tried, deadline=0.0)
        assert (stopped.status, stopped.unfinished, stopped.epochs_trained) == ("stopped", True, 1)
        assert stopped.mean_val_accuracy == stopped.val_accuracy  # of its only epoch; the Pareto front is of these
        assert trials.ranked() == [0]
        network = Snapshot.load(trials.directory(0), BEST).network()
        assert len(network.blocks) == 1  # of two
        assert stopped.kept_params == network.kept_params() == network.architecture.kernel_params()
        assert stopped.val_accuracy == trials.directory(0).events()[-1]["val_accuracy"][-1]
        again = start(run)
        assert [trial.val_accuracy for trial in train_all(again, tried)] == [t.val_accuracy for t in searched.found]


def test_unfinished_network_wins_only_where_there_is_no_other(tmp_path, start, tiny_architecture, short_settings):
    tried = proposals_of(tiny_architecture, ((0.02, 0.02), (1.0, 1.0)))
    observer = Recorder()
    with Run.open(tmp_path / "search", {}) as run:
        trials = start(run, observer, short_settings)
        found = train_all(trials, tried, Deadline(observer, "0001", 1))
        assert [trial.unfinished for trial in found] == [False, True]
        trials.outcomes[1] = dataclasses.replace(found[1], objective=1.0)
        assert trials.ranked() == [0, 1]


# Where trials part

ONE_SHOT, ITERATIVE = OneShot((1, 3, 5)), Iterative((2, 4, 6, 8, 10), steps=3)


@pytest.mark.parametrize(
    ("schedule", "first", "second", "epoch"),
    [
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.4, 0.5, 0.5), 1),
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.5, 0.4, 0.5), 3),
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.5, 0.5, 0.4), 5),
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 12),
        (ITERATIVE, (0.5, 0.5, 0.5), (0.4, 0.5, 0.5), 2),
        (ITERATIVE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.4), 6),
        (NoPruning(), (0.5,), (0.4,), 12),
    ],
)
def test_logs_agree_up_to_the_first_change_that_differs_and_not_beyond(varied_network, schedule, first, second, epoch):
    target, growth = varied_network.architecture, FixedGrowth((0, 0))
    for end in range(13):
        mine, others = (Decisions((growth, ScheduledPruning(schedule)), target, r, 13) for r in (first, second))
        assert mine.agree_with(log_of_decisions(others, end)) == (end <= epoch)


def log_of_decisions(decisions, end):
    events = []
    architecture = dataclasses.replace(decisions.target, blocks=())
    for epoch in range(end):
        for _, change in decisions.changes(lambda: (epoch, architecture, tuple(events), Statistics())):  # noqa: B023
            events.append(change.entry(epoch))
            architecture, _ = change.apply(architecture)
        state = decisions.state(epoch, architecture, tuple(events))
        events.append({"event": "epoch", "epoch": epoch, "is_settled": decisions.are_settled(state)})
    return events
