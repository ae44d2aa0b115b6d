"""The loop that every training goes through: its order, its end, its checkpoint."""

import math
import time

import numpy as np
import pytest

from kgrow.run import Run
from kgrow.training import Observer, OutOfTimeError, ResumableLoop


class InterruptError(Exception):
    """What a test throws into a training."""


class Counting(ResumableLoop):
    """Adds up what its epochs are worth, in three steps each."""

    num_steps = 3

    def __init__(self, folder=None, observer=None, interrupt_at=None):
        super().__init__(4, folder, observer, "counting")
        self.total, self.told, self.interrupt_at = np.zeros(2), [], interrupt_at

    def begin_epoch(self, epoch):
        self.told.append(f"begin {epoch}")

    def train_epoch(self, epoch, on_step):
        for step in range(3):
            self.total = self.total + np.array([epoch, 1])
            if (epoch, step) == self.interrupt_at:
                raise InterruptError
            on_step(step + 1)

    def state(self):
        return {"total": self.total}

    def load_state(self, state):
        self.total = state["total"]

    def progress(self):
        return {"told": self.told}

    def load_progress(self, progress):
        self.told = list(progress["told"])


class Listener(Observer):
    def __init__(self):
        self.steps = []

    def progress(self, trial, epoch, done, total):
        self.steps.append((trial, epoch, done, total))


def test_epochs_come_in_order_and_every_step_is_told():
    loop = Counting(observer=Listener())
    assert loop.go_on(loop.restore()) == 4
    assert loop.told == ["begin 0", "begin 1", "begin 2", "begin 3"]
    assert loop.observer.steps == [("counting", epoch, done, 3) for epoch in range(4) for done in (1, 2, 3)]
    assert loop.go_on(4) == 4
    assert len(loop.told) == 4


@pytest.mark.parametrize("interrupt_at", [(0, 1), (2, 0), (3, 2)])
def test_training_that_was_interrupted_ends_as_an_unbroken_one(tmp_path, interrupt_at):
    unbroken = Counting()
    unbroken.go_on(0)
    with Run.open(tmp_path, {}) as run:
        with pytest.raises(InterruptError):
            Counting(run, interrupt_at=interrupt_at).go_on(0)
        again = Counting(run)
        assert again.restore() == interrupt_at[0]
        assert again.go_on(interrupt_at[0]) == 4
    assert again.total.tolist() == unbroken.total.tolist()
    assert again.told == unbroken.told


def test_end_and_rule_stop_between_epochs():
    assert Counting().go_on(0, 2) == 2
    asked = []
    assert Counting().go_on(0, stop=lambda loop: asked.append(loop.told[-1]) or len(asked) == 3) == 3
    assert asked == ["begin 0", "begin 1", "begin 2"]


def test_clock_is_looked_at_between_steps_but_a_whole_epoch_is_kept(tmp_path):
    with Run.open(tmp_path, {}) as run:
        loop = Counting(run)
        with pytest.raises(OutOfTimeError, match="before epoch 1 did"):
            loop.go_on(0, deadline=lambda: math.inf if not run.has("checkpoint.npz") else 0.0)
        late = iter([math.inf, time.monotonic()])
        with pytest.raises(OutOfTimeError, match="before epoch 2 did"):
            loop.go_on(1, deadline=lambda: next(late))
        assert Counting(run).restore() == 2
