"""Tests of what is sent to a cluster and what comes back, in a stand-in for Ray; the real one is in test_cluster.py."""

import socket
import sys
import time
import types
from types import SimpleNamespace

import pytest

import kgrow
from kgrow.graph import Architecture
from kgrow.lifecycle import BEST, LAST
from kgrow.run import Run
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal
from kgrow.searching.space import Candidate
from kgrow.searching.trials import FORK, OUTCOME, Trials
from kgrow.training import Observer

FOREVER = float("inf")


class FakeRayError(Exception):
    """A worker is lost."""


class FakeTaskError(FakeRayError):
    """A task raised something."""


class Stream:
    """What a task yields; after so many messages its worker is lost."""

    def __init__(self, messages, num_messages):
        self.messages, self.num_messages = messages, num_messages

    def __next__(self):
        if self.num_messages == 0:
            raise FakeRayError("killed")
        self.num_messages -= 1
        return next(self.messages)


class FakeRay(types.ModuleType):
    """Tasks run here, when they are waited for."""

    exceptions = SimpleNamespace(RayError=FakeRayError, RayTaskError=FakeTaskError)

    def __init__(self):
        super().__init__("ray")
        self.sent, self.lives = [], {}

    def remote(self, **options):
        def start(task):
            def send(work, index, proposal, files, deadline):
                self.sent.append((index, sorted(files)))
                lives = self.lives.get(index, [])
                return Stream(task(work, index, proposal, files, deadline), lives.pop(0) if lives else -1)

            return SimpleNamespace(options=lambda **resources: SimpleNamespace(remote=send))

        return start

    def put(self, value):
        return value

    def get(self, value):
        return value

    def wait(self, streams, num_returns):
        return streams[-1:], streams[:-1]  # the one begun last is the first to end

    def cluster_resources(self):
        return {"CPU": 2.0}

    def is_initialized(self):
        return False


class Listener(Observer):
    def __init__(self):
        self.notes, self.epochs, self.finished = [], [], []

    def note(self, text):
        self.notes.append(text)

    def event(self, trial, event):
        if event["event"] == "epoch":
            self.epochs.append((trial, event["epoch"]))

    def trial_finished(self, trial, outcome):
        self.finished.append(trial)


@pytest.fixture
def fake(monkeypatch):
    """Ray is replaced before anything imports it."""
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    for name in ("ray_task", "ray_trials"):
        monkeypatch.delitem(sys.modules, f"kgrow.searching.{name}", raising=False)
    import kgrow.searching.ray_task

    # This process has begun to compute: the number of its threads is settled.
    threads = SimpleNamespace(get_intra_op_parallelism_threads=lambda: 1)
    monkeypatch.setattr(kgrow.searching.ray_task, "tf", SimpleNamespace(config=SimpleNamespace(threading=threads)))
    yield fake
    for name in ("ray_task", "ray_trials"):
        sys.modules.pop(f"kgrow.searching.{name}", None)


@pytest.fixture
def opened(fake, tmp_path, tiny_task, tiny_settings, tiny_architecture):
    """Trials on the cluster, in a run directory."""
    from kgrow.searching.ray_trials import RayTrials

    with Run.open(tmp_path / "search", {}) as run:
        listener = Listener()
        trials = Trials(tiny_task, tiny_settings, Accuracy(), tiny_architecture.macs(), run, listener)
        yield SimpleNamespace(elsewhere=RayTrials(trials, kgrow.Ray()), trials=trials, run=run, listener=listener)


def proposal_of(architecture: Architecture, ratios=(0.5, 0.3)):
    return Proposal(Candidate(architecture, ratios), {"keep": str(ratios)}, costs(architecture).footprint(ratios))


def test_trial_of_lost_workers_ends_bitwise_as_an_unbroken_one(
    opened, fake, tiny_architecture, unbroken, outcome_of, same_arrays
):
    fake.lives[0] = [4, 3]
    trial = opened.elsewhere.train(0, proposal_of(tiny_architecture), FOREVER)
    assert (trial.status, trial.epochs_trained) == ("done", 6)
    *told, arrays = outcome_of(opened.elsewhere.directory(0))
    *expected, expected_arrays = outcome_of(unbroken.run)
    assert told[0] == expected[0]
    best = {name: array for name, array in expected_arrays.items() if name.startswith(BEST)}
    assert same_arrays(arrays, best)
    (_, first), (_, second), (_, third) = fake.sent
    assert first == []
    assert f"trials/0000/{LAST}" in second
    assert f"trials/0000/{LAST}" in third
    assert [note for note in opened.listener.notes if "its worker was lost" in note] == [opened.listener.notes[-1]] * 2
    assert opened.listener.epochs == [("0000", epoch) for epoch in range(6)]  # each is told once


def test_worker_that_is_lost_each_time_ends_the_search(opened, fake, tiny_architecture):
    fake.lives[0] = [0, 0, 0]
    with pytest.raises(RuntimeError, match=r"Trial 0000 lost 3 workers, none of which .* The last one: killed"):
        opened.elsewhere.train(0, proposal_of(tiny_architecture), FOREVER)


@pytest.mark.slow
def test_trials_are_waited_for_in_their_order_and_start_from_what_others_left(opened, fake, tiny_architecture):
    first, second = proposal_of(tiny_architecture), proposal_of(tiny_architecture, (0.5, 0.6))
    third = proposal_of(tiny_architecture, (0.25, 0.3))
    elsewhere = opened.elsewhere
    elsewhere.begin(0, first, FOREVER)
    elsewhere.begin(1, second, FOREVER)
    ended = [elsewhere.train(index, proposal, FOREVER).status for index, proposal in enumerate((first, second))]
    assert ended == ["done", "done"]
    elsewhere.train(2, third, FOREVER)
    assert opened.listener.finished == ["0000", "0001", "0002"]
    (*_, (index, files)) = fake.sent
    assert index == 2
    assert [name for name in files if name.startswith("prefixes/0001-")] == files
    assert opened.elsewhere.directory(2).read_json(FORK)["epoch"] == 1
    assert opened.elsewhere.num_begun() == 3


def test_equal_candidate_is_trained_once_also_while_the_other_is_under_way(opened, fake, tiny_architecture):
    elsewhere, proposal = opened.elsewhere, proposal_of(tiny_architecture)
    for index in range(2):
        elsewhere.begin(index, proposal, FOREVER)
    first, twin = (elsewhere.train(index, proposal, FOREVER) for index in range(2))
    assert (twin.same_as, twin.val_accuracy) == ("0000", first.val_accuracy)
    elsewhere.begin(0, proposal, FOREVER)
    assert elsewhere.train(0, proposal, FOREVER) == first
    assert [index for index, _ in fake.sent] == [0]


def test_time_that_is_over_leaves_a_checkpoint_here(opened, tiny_architecture):
    trial = opened.elsewhere.train(0, proposal_of(tiny_architecture), time.monotonic())
    assert (trial.status, trial.unfinished, trial.epochs_trained) == ("stopped", True, 1)
    assert opened.elsewhere.directory(0).has(LAST)
    assert not opened.elsewhere.directory(0).has(OUTCOME)


def test_what_a_trial_raises_ends_the_search(opened, tiny_architecture, monkeypatch):
    def fail(*args, **kwargs):
        raise NameError("no such thing")

    monkeypatch.setattr(Trials, "train", fail)
    with pytest.raises(NameError, match="no such thing"):
        opened.elsewhere.train(0, proposal_of(tiny_architecture), FOREVER)


def test_another_version_on_a_machine_is_refused(opened, tiny_architecture, monkeypatch):
    monkeypatch.setattr("kgrow.searching.ray_task.__version__", "0.0.1")
    with pytest.raises(ValueError, match=r"must be of the same version on all machines, but is .* and 0\.0\.1 here"):
        opened.elsewhere.train(0, proposal_of(tiny_architecture), FOREVER)


def test_cluster_that_is_not_there_is_said_at_once(fake):
    from kgrow.searching.ray_trials import connected

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        engine = kgrow.Ray(f"127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(ConnectionError, match=rf"can be reached, but {engine.address} cannot"), connected(engine):
        pass
