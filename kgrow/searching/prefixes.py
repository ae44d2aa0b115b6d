"""`Prefixes`: snapshots from which other trials may go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.lifecycle import Settings, Snapshot
from kgrow.run import Run
from kgrow.searching.space import Candidate
from kgrow.structure import Decisions
from kgrow.structure.decisions import told

FOLDER, SNAPSHOT, LOG = "prefixes", ".npz", {"events": [dict[str, Any]]}
MOST_KEPT = 32


class Prefixes:
    """Snapshots of moments at which trials may part, each with the log until then.

    Args:
        run: Run of the search.
        settings: Settings common to all candidates.
        first_event: First epoch before which fixed schedules prune; snapshots of it are always kept.
    """

    def __init__(self, run: Run, settings: Settings, first_event: int):
        self.run, self.settings, self.first_event = run, settings, first_event
        self._folder = run.child(FOLDER)

    def deepest(self, candidate: Candidate) -> str | None:
        """Returns the name of the latest snapshot that a candidate may start from, None if there is none."""
        policies, epochs = self.settings.policies, self.settings.preset.epochs
        decisions = Decisions(
            policies, candidate.architecture, candidate.keep_ratios, epochs, candidate.initial, self.settings.budget
        )
        snapshots = {name.rpartition(".")[0] + SNAPSHOT for name in self._folder.files()}
        for name in sorted(filter(self._folder.has, snapshots), reverse=True):
            log = log_of(name)
            if self._folder.has(log) and decisions.agree_with(self._folder.read_json(log, LOG)["events"]):
                return f"{FOLDER}/{name}"
        return None

    def shared_epochs(self, candidate: Candidate) -> int:
        """Returns the number of epochs that a candidate need not train again."""
        name = self.deepest(candidate)
        return 0 if name is None else int(name.rpartition("/")[2].partition("-")[0])

    def load(self, candidate: Candidate) -> Snapshot | None:
        """Returns the latest snapshot that a candidate may start from, None if there is none."""
        name = self.deepest(candidate)
        if name is None:
            return None
        self.run.touch(name)  # `clean` keeps the snapshots that were used last
        return Snapshot.load(self.run, name)

    def keep(self, snapshot: Snapshot) -> None:
        """Writes a snapshot, unless an equal one is there."""
        content = json.dumps(shared(snapshot.events))
        name = f"{snapshot.epoch:04d}-{hashlib.sha256(content.encode()).hexdigest()[:16]}{SNAPSHOT}"
        if not self._folder.has(name):
            self._folder.write_json(log_of(name), {"events": told(snapshot.events)})
            snapshot.save(self._folder, name)

    def clean(self) -> None:
        """Removes all but the snapshots that were used last."""
        snapshots = [name for name in self._folder.files() if name.endswith(SNAPSHOT)]
        for name in [name for name in snapshots if not name.startswith(f"{self.first_event:04d}-")][:-MOST_KEPT]:
            self._folder.remove(name)
            self._folder.remove(log_of(name))

    def clear(self) -> None:
        """Removes all of them."""
        self._folder.clear()


def shared(events: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Returns what decides how a network has become: two runs of equal settings differ by nothing else."""
    keys = ("event", "epoch", "change", "is_settled")
    return [[event.get(key) for key in keys] for event in told(events)]


def log_of(name: str) -> str:
    """Returns the name of the log that belongs to a snapshot."""
    return name.rpartition(".")[0] + ".json"
