"""Tests of what chief and worker say to each other, in one process on 127.0.0.1."""

import contextlib
import dataclasses
import socket
import threading
import time

import pytest

from kgrow._keras import quiet_stderr
from kgrow.lifecycle import Observer, OutOfTimeError
from kgrow.run import Run
from kgrow.searching.chief import Server
from kgrow.searching.cluster import BEAT_S, Chief, Worker
from kgrow.searching.limits import Limits
from kgrow.searching.line import Line
from kgrow.searching.objective import Accuracy
from kgrow.searching.oracles import make_oracle
from kgrow.searching.proposals import Proposals
from kgrow.searching.shared import WORKERS, SharedTrials, collect, sweep
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.searching.tuner import Tuner
from kgrow.searching.worker import Attentive, open_desk

with quiet_stderr():
    import keras_tuner
    from keras_tuner.src import protos

SECONDS = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Instant(Trials):
    """Knows at once how good a candidate is, or what is wrong with it."""

    wrong, calls = None, 0

    def _train(self, index, proposal, deadline, epochs, stop=None):
        self.calls += 1
        if self.wrong is not None:
            self.wrong(self)
        trial = self._trial(index, proposal, "done", proposal.candidate.keep_ratios[0], epochs)
        self.directory(index).write_json("outcome.json", dataclasses.asdict(trial))
        return trial


class Heard(Observer):
    def __init__(self):
        self.notes, self.finished = [], []

    def note(self, text):
        self.notes.append(text)

    def trial_finished(self, trial, outcome):
        self.finished.append(trial)


class Search:
    """A chief that serves in a thread, and what its workers need."""

    def __init__(self, path, task, space, settings, num_trials=3):
        self.path, self.address, self.heard = path, f"127.0.0.1:{free_port()}", Heard()
        self.parts = task, settings, Accuracy(), 1
        self.proposals, self.num_trials = Proposals(space, task, limits=Limits()), num_trials
        self.error = None

    def tuner(self, trials, run):
        return Tuner(make_oracle("random", self.num_trials, 0, 3), self.proposals, trials, run, 3)

    def serve(self, server, run, deadline):
        try:
            self.trials = Instant(*self.parts, run, Observer())
            server.serve(self.tuner(self.trials, run), self.trials, self.heard, deadline)
        except Exception as error:
            self.error = error

    def __enter__(self, max_time=SECONDS):
        self.server = Server(Chief(self.address, lease_s=2 * BEAT_S))
        self.run = Run.open(self.path, {"seed": 0})
        arguments = self.server, self.run, time.monotonic() + max_time
        self.thread = threading.Thread(target=self.serve, args=arguments)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.thread.join()
        self.server.__exit__(None, None, None)
        self.run.close()

    def work(self, name="w", wrong=None):
        with open_desk(Worker(self.address, wait_s=5, name=name), self.path, {"seed": 0}) as desk:
            trials = Instant(*self.parts, desk.run, Attentive(Observer(), desk.line))
            trials.wrong = wrong
            desk.work(self.tuner(SharedTrials(trials, self.path), desk.run), self.heard)
            return trials


@pytest.fixture
def search(tmp_path, tiny_task, tiny_space, tiny_settings):
    return Search(tmp_path / "search", tiny_task, tiny_space, tiny_settings)


def test_worker_trains_every_trial_and_the_chief_has_the_outcomes(search):
    with search:
        trials = search.work()
    assert search.error is None
    assert trials.calls == 3
    assert search.trials.outcomes == trials.outcomes
    assert search.heard.finished == ["0000", "0001", "0002"]
    assert (search.path / "trials/0002/outcome.json").exists()
    sweep(search.path)
    assert not (search.path / WORKERS).exists()


def test_chief_that_is_started_again_serves_the_rest(search):
    def break_off(trials):
        if trials.calls == 2:
            raise MemoryError

    with search, pytest.raises(MemoryError):
        search.work("first", break_off)
    search.error = None
    with search:
        assert search.work("second").calls == 2
    assert search.error is None
    assert sorted(search.trials.outcomes) == [0, 1, 2]


@contextlib.contextmanager
def silent_worker(search):
    """A line to the chief of a worker that has a trial and says no more."""
    line = Line(Worker(search.address, wait_s=5, name="silent"))
    line.connect()
    line.token = search.run.read_json("chief.json")["token"]
    assert line.CreateTrial(protos.get_service().CreateTrialRequest(tuner_id="silent")).trial.trial_id == "0"
    yield line
    line.close()


def test_trial_of_a_silent_worker_goes_to_the_next_and_its_own_outcome_is_refused(search):
    with search, silent_worker(search) as line:
        assert search.work("next").calls == 3  # it waited for the silent one's
        with pytest.raises(keras_tuner.errors.FatalError, match=r"given to another worker|search is over"):
            line.UpdateTrial(protos.get_service().UpdateTrialRequest(trial_id="0", metrics={}))
    assert search.error is None
    assert any("silent was not heard of for 4 s: trial 0 waits" in note for note in search.heard.notes)
    assert not any("no worker is left" in note for note in search.heard.notes)


def test_chief_without_workers_says_so_and_waits_for_one(search):
    with search:
        with silent_worker(search):
            while not any("no worker is left" in note for note in search.heard.notes):
                assert search.thread.is_alive()
                time.sleep(0.05)
        assert search.work("next").calls == 3
    assert search.error is None


def test_worker_that_lost_its_trial_hears_of_it_at_its_next_step_and_asks_for_another(search):
    def lose(trials):
        if trials.calls == 1:
            search.server._service.ledger.lose("slow")
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                trials.observer.progress("0000", 0, 1, 2)
                time.sleep(0.05)

    with search:
        assert search.work("slow", lose).calls == 4
    assert any("was given to another worker" in note for note in search.heard.notes)
    assert sorted(search.trials.outcomes) == [0, 1, 2]


def test_worker_that_lives_keeps_a_trial_that_takes_longer_than_a_lease(search):
    search.num_trials = 1
    with search:
        assert search.work("long", lambda trials: time.sleep(3 * BEAT_S)).calls == 1
    assert not any("not heard" in note for note in search.heard.notes)


def test_programming_error_in_a_worker_ends_the_search_with_its_traceback(search):
    def wrong(trials):
        raise NameError("no such thing")

    with search, pytest.raises(NameError, match="no such thing"):
        search.work("w", wrong)
    with pytest.raises(RuntimeError, match=r"(?s)Trial 0 raised an error in the worker w:.*in wrong.*no such thing"):
        raise search.error


# What goes wrong


def test_time_that_is_over_before_a_trial_has_ended_is_said(search):
    search.__enter__(max_time=0.3)
    search.__exit__()
    with pytest.raises(OutOfTimeError, match="`max_time` must leave room for one trial"):
        raise search.error


def test_port_that_is_in_use_is_said_before_anything_is_written(search):
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(search.address.split(":")[1])))
        other.listen()
        with pytest.raises(OSError, match=r"`chief` must be a free port .* in use"):
            search.__enter__()
    assert not search.path.exists()


def test_two_chiefs_do_not_share_a_port(search):
    with Server(Chief(search.address)), pytest.raises(OSError, match="in use"):
        Server(Chief(search.address))


def test_chief_that_cannot_be_reached_is_waited_for_so_long(tmp_path):
    started = time.monotonic()
    worker = Worker(f"127.0.0.1:{free_port()}", wait_s=1)
    with pytest.raises(ConnectionError, match="must be reachable, but was not for 1 seconds"):
        open_desk(worker, tmp_path, {}).__enter__()
    assert 0.9 < time.monotonic() - started < 5


def test_worker_of_another_configuration_or_directory_is_refused(search, tmp_path):
    with search:
        worker = Worker(search.address, wait_s=5)
        with pytest.raises(ValueError, match=r"The configuration must be .* seed was 0 and is now 1"):
            open_desk(worker, search.path, {"seed": 1}).__enter__()
        with pytest.raises(ValueError, match="must hold the run that is worked on"):
            open_desk(worker, tmp_path / "elsewhere", {"seed": 0}).__enter__()
        with Run.open(tmp_path / "elsewhere", {"seed": 0}) as other:
            other.write_json("chief.json", {"token": "another"})
        with pytest.raises(ValueError, match="must be the run directory of the chief"):
            open_desk(worker, tmp_path / "elsewhere", {"seed": 0}).__enter__()
        search.work()


def test_worker_whose_chief_has_ended_says_so(search):
    line = Line(Worker(search.address, wait_s=0.5, name="w"))
    line.trial_id = "0"
    line.start()
    time.sleep(BEAT_S + 1)
    with pytest.raises(ConnectionError, match="has ended, or was not started"):
        line.check()
    line.close()


# What lies in the shared directory


def test_files_of_a_trial_are_collected_once(tmp_path):
    with Run.open(tmp_path / "search", {}) as run, Run.open(run.path / WORKERS / "w", {}) as own:
        trial = own.child("trials/0000")
        trial.append({"event": "grew"})
        trial.write_json(OUTCOME, {"status": "done"})
        collect(run, "w", 0)
        trial.write_json(OUTCOME, {"status": "changed"})
        collect(run, "w", 0)
        assert run.child("trials/0000").read_json(OUTCOME) == {"status": "done"}
        assert run.child("trials/0000").events() == [{"event": "grew"}]


def test_nothing_is_collected_from_elsewhere(tmp_path):
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    (tmp_path / "trials" / "0000" / OUTCOME).write_text("{}")
    with Run.open(tmp_path / "search", {}) as run, pytest.raises(ValueError, match="inside the run directory"):
        collect(run, "../..", 0)


def test_directory_of_a_worker_that_lives_is_not_swept(tmp_path):
    with Run.open(tmp_path / WORKERS / "alive", {}) as own:
        Run.open(tmp_path / WORKERS / "dead", {}).close()
        own.append({"event": "grew"})
        sweep(tmp_path)
        assert [path.name for path in (tmp_path / WORKERS).iterdir()] == ["alive"]
        assert own.events() == [{"event": "grew"}]


def test_sweeping_removes_no_run_that_a_link_leads_to(tmp_path):
    with Run.open(tmp_path / "search", {}), Run.open(tmp_path / "another", {"epochs": 3}) as another:
        another.write_json("result.json", {})
    (tmp_path / "search" / WORKERS).mkdir()
    (tmp_path / "search" / WORKERS / "evil").symlink_to(tmp_path / "another")
    sweep(tmp_path / "search")
    assert (tmp_path / "another" / "result.json").exists()


def test_place_of_a_worker_that_is_a_link_is_refused(search, tmp_path):
    (tmp_path / "mine").mkdir()
    with search:
        (search.path / WORKERS).symlink_to(tmp_path / "mine")
        worker = Worker(search.address, wait_s=5)
        with pytest.raises(ValueError, match="must be a folder inside the run directory"):
            open_desk(worker, search.path, {"seed": 0}).__enter__()
        assert not any((tmp_path / "mine").iterdir())
        (search.path / WORKERS).unlink()
        search.work()
