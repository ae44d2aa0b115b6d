"""One search at a time, and what follows it; kgrow itself does not run here."""

import threading

import pytest

from kgrow.run import RESULT, SETTINGS, SOURCE
from kgrow.studio import searches
from kgrow.studio.searches import NO_NETWORK, Searches

EPOCH = "trial 0000 epoch 1 of 4: validation 74.8 %, loss 0.5, kept 10 of 10, 2.0 s, about 6 s left"


class Kgrow:
    """Stands in for processes of kgrow; each ends at once, but a search, which waits for `go_on` or an interrupt."""

    def __init__(self, run):
        self.run, self.started, self.go_on, self.codes = run, [], threading.Event(), {}
        self.search_lines = [EPOCH]
        self.has_begun = threading.Event()

    def __call__(self, words, told=lambda line: None):
        return _Process(self, words, told)


class _Process:
    def __init__(self, kgrow, words, told):
        self.kgrow, self.words, self.is_running, self.is_interrupted = kgrow, words, True, False
        kgrow.started.append(" ".join(words[1:2] + words[4:]))
        if words[1] == "search":
            for name in (SETTINGS, SOURCE):
                (kgrow.run / name).touch()
            for line in kgrow.search_lines:
                told(line)
            kgrow.has_begun.set()

    def wait(self):
        code = self.kgrow.codes.get(self.words[1], 0)
        if self.words[1] == "search":
            self.kgrow.go_on.wait(10)
        if self.is_interrupted:
            code = 130
        elif not code and self.words[1] in ("search", "export"):
            (self.kgrow.run / RESULT).touch()
        self.is_running = False
        return code

    def interrupt(self):
        self.is_interrupted = True
        self.kgrow.go_on.set()

    def end(self):
        self.interrupt()
        self.wait()


@pytest.fixture
def kgrow(tmp_path, monkeypatch):
    made = Kgrow(tmp_path / "digits")
    made.run.mkdir()
    monkeypatch.setattr(searches, "Process", made)
    return made


@pytest.fixture
def started(kgrow):
    found = Searches()
    found.start(kgrow.run, ["kgrow", "search", "digits", "--out"])
    assert kgrow.has_begun.wait(10)
    yield found
    kgrow.go_on.set()
    found.close()


def ended(found):
    found._current._thread.join(10)
    return found.state["phase"]


def commands(kgrow):
    return [words.split()[0] for words in kgrow.started]


def test_search_and_the_report_beside_it(kgrow, started):
    assert (started.state["phase"], started.state["best"]) == ("searching", 74.8)
    kgrow.go_on.set()
    assert ended(started) == "done"
    assert kgrow.started == ["search", "report --watch"]


def test_second_search_is_refused(kgrow, started):
    with pytest.raises(RuntimeError, match="'digits' has not ended"):
        started.start(kgrow.run, ["kgrow", "search", "digits"])
    kgrow.go_on.set()
    ended(started)
    started.start(kgrow.run, ["kgrow", "search", "digits"])


def test_stop_ends_it_with_its_best_network(kgrow, started):
    started.stop()
    assert ended(started) == "done"
    assert commands(kgrow) == ["search", "report", "export", "report"]


def test_stop_before_there_is_a_network_says_so(kgrow, started):
    (kgrow.run / SOURCE).unlink()
    started.stop()
    assert ended(started) == "failed"
    assert started.state["error"] == NO_NETWORK


def test_close_leaves_it_unfinished(kgrow, started):
    started.close()
    assert started.state["phase"] == "interrupted"
    assert commands(kgrow) == ["search", "report"]
    assert not (kgrow.run / RESULT).exists()


def test_failure_says_why(kgrow):
    kgrow.codes["search"], kgrow.search_lines = 2, ["kgrow: `dataset` must have two classes, but got one."]
    kgrow.go_on.set()
    found = Searches()
    found.start(kgrow.run, ["kgrow", "search", "digits"])
    assert ended(found) == "failed"
    assert found.state["error"] == "`dataset` must have two classes, but got one."
    assert commands(kgrow) == ["search"]


def test_report_is_written_anew_where_the_one_beside_it_failed(kgrow, started):
    kgrow.codes["report"] = 1
    kgrow.go_on.set()
    assert ended(started) == "done"
    assert commands(kgrow) == ["search", "report", "report"]
