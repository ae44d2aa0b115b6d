"""The contract of every structure policy."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from kgrow.lifecycle import BEST, Lifecycle, Snapshot
from kgrow.run import Run
from kgrow.structure import Change, Decisions, StructurePolicy
from kgrow.structure.decisions import told
from kgrow.testing import samples
from kgrow.training import Observer

RATIOS = (0.5, 0.6)


class InterruptError(Exception):
    """An exception with which a test interrupts a training."""


class Interrupter(Observer):
    """Interrupts once, in the first step of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch: int | None = epoch

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`."""
        if epoch == self.epoch:
            self.epoch = None
            raise InterruptError


class PolicyContract:
    """Tests of a structure policy's contract; a subclass has the policy as `policy`.

    It decides for a network of two blocks that is trained for six epochs and pruned before epochs 1 and 3.
    """

    policy: ClassVar[StructurePolicy]

    @classmethod
    def _lives(cls, folder: Path, policy: StructurePolicy, observer: Observer | None = None, **options: Any) -> Any:
        settings = dataclasses.replace(samples.tiny_settings(), growth=policy)
        with Run.open(folder / "0000", {}) as run:
            life = Lifecycle(
                samples.tiny_task(), samples.tiny_architecture(), RATIOS, settings, run, observer or Observer()
            )
            life.train(**options)
            arrays = Snapshot.load(run, BEST).arrays if run.has(BEST) else {}
            return SimpleNamespace(events=run.events(), arrays=arrays, network=life.network, life=life)

    @pytest.fixture(scope="class")
    @classmethod
    def forks(cls) -> list[Snapshot]:
        """Snapshots of the points where other runs may fork."""
        return []

    @pytest.fixture(scope="class")
    @classmethod
    def lived(cls, tmp_path_factory: pytest.TempPathFactory, forks: list[Snapshot]) -> Any:
        """A complete training under the policy."""
        return cls._lives(tmp_path_factory.mktemp("lived"), copy.copy(cls.policy), on_fork=forks.append)

    def test_policy_ends_with_a_settled_network_that_answers(self, lived: Any) -> None:
        """Otherwise no epoch counts."""
        assert lived.events[-1]["is_settled"]
        assert lived.arrays
        logits = lived.network.logits(samples.tiny_task().validation.images)
        assert len(logits) == len(lived.network.blocks) > 0
        assert np.isfinite(logits).all()

    def test_interrupted_life_ends_as_an_unbroken_one(self, lived: Any, tmp_path: Path) -> None:
        """The policy is asked again, and as another object: its decisions may depend only on the state."""
        for epoch in (2, 4):
            with pytest.raises(InterruptError):
                self._lives(tmp_path, copy.copy(self.policy), Interrupter(epoch))
        again = self._lives(tmp_path, copy.copy(self.policy))
        assert _timeless(again.events) == _timeless(lived.events)
        assert again.arrays.keys() == lived.arrays.keys()
        assert all(np.array_equal(again.arrays[name], value) for name, value in lived.arrays.items())

    def test_life_that_starts_from_a_fork_ends_as_an_unbroken_one(
        self, lived: Any, forks: list[Snapshot], tmp_path: Path
    ) -> None:
        """Trials share their common training."""
        if not forks:
            pytest.skip("it changes nothing after the first epoch")
        again = self._lives(tmp_path, copy.copy(self.policy), start=forks[-1])
        assert _timeless(again.events) == _timeless(lived.events)
        assert all(np.array_equal(again.arrays[name], value) for name, value in lived.arrays.items())

    def test_looking_changes_nothing(self, lived: Any) -> None:
        """The policy proposes changes; the run makes them."""
        before = lived.network.state()
        settings = dataclasses.replace(samples.tiny_settings(), growth=self.policy)
        decisions = Decisions(settings.policies[:1], samples.tiny_architecture(), RATIOS, settings.preset.epochs)
        state = decisions.state(6, lived.network.architecture, told(lived.events), lived.life.statistics(6))
        for _ in range(2):
            change = self.policy.propose(state)
            assert change is None or isinstance(change, Change)
            assert isinstance(self.policy.is_settled(state), bool)
        assert all(np.array_equal(lived.network.state()[name], value) for name, value in before.items())

    def test_policy_is_a_value(self) -> None:
        """Equal arguments make equal policies; a run directory identifies them by their text."""
        policy: Any = self.policy
        assert type(policy)(**vars(policy)) == policy
        assert repr(copy.copy(policy)) == repr(policy)


def _timeless(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "seconds"} for event in events]
