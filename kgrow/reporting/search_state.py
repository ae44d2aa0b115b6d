"""`SearchState`: the state of a running search and its output lines. One trial at a time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.reporting.wording import duration, grouped, one_line, percent, ratios


@dataclasses.dataclass
class TrialState:
    """The progress of the current trial.

    Blocks and epochs are counted from 0 here and from 1 in the output.

    Args:
        name: Name in the run directory.
        keep_ratios: Final kept fraction of each block.
        num_epochs: Number of epochs of the trial.
        epoch: Number of the current epoch.
        fraction: Finished part of that epoch, in [0, 1].
        accuracies: Validation accuracy per head after the last epoch, in [0, 1].
        kept: Kept and prunable connections of each grown block.
        is_training: Whether a step of this trial was made in this process.
        held: Lines about events that may be from an earlier process.
    """

    name: str
    keep_ratios: tuple[float, ...]
    num_epochs: int
    epoch: int = 0
    fraction: float = 0.0
    accuracies: tuple[float, ...] = ()
    kept: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    is_training: bool = False
    held: list[str] = dataclasses.field(default_factory=list)

    @property
    def num_blocks(self) -> int:
        """Number of grown blocks."""
        return len(self.kept)

    @property
    def kept_params(self) -> int:
        """Number of connections that the masks keep."""
        return sum(kept for kept, _ in self.kept)

    @property
    def prunable_params(self) -> int:
        """Number of connections, including pruned ones."""
        return sum(size for _, size in self.kept)

    @property
    def percents(self) -> str:
        """The heads' validation accuracies: "71.2 78.0 81.3 %"; empty before the first epoch has ended."""
        return f"{' '.join(map(percent, self.accuracies))} %" if self.accuracies else ""

    @property
    def scope(self) -> str:
        """The label of `percents` if there are several."""
        return " per head" if len(self.accuracies) > 1 else ""

    def change(self, event: Mapping[str, Any]) -> list[str]:
        """Records a structural change and describes it; returns no lines if no connection was added or removed."""
        before = self.kept
        # What is pruned stays in the count when its channels are removed.
        sizes = [size for _, size in before] + [0] * len(event["kept_params"])
        largest = map(max, event["prunable_params"], sizes)
        self.kept = list(zip(event["kept_params"], largest, strict=True))
        if event["event"] == "grew":
            # The loss is a sum over heads and rises when one is added: it cannot be compared with earlier values.
            loss = "" if self.num_blocks == 1 else f"; from here on the loss is that of {self.num_blocks} heads"
            return [f"grew block {self.num_blocks}{loss}"]
        if event["event"] == "pruned":
            ratios = {int(block): ratio for block, ratio in event["change"]["keep_ratios"].items()}
            return [self._pruned(block, ratio) for block, ratio in ratios.items() if self.kept[block] != before[block]]
        if event["event"] == "cut":
            blocks = "block" if self.num_blocks == 1 else "blocks"
            return [f"ends after {self.num_blocks} {blocks}: what came later answered no better"]
        if event["event"] == "removed":
            return ["took the pruned channels out of the network"]
        if event["event"] == "resized":
            height, width = event["change"]["size"]
            return [f"images are {height}x{width} from here on"]
        return [f"{one_line(event['event'])}: kept {grouped(self.kept_params)} of {grouped(self.prunable_params)}"]

    def _pruned(self, block: int, ratio: float) -> str:
        kept, size = self.kept[block]
        share = f" to {100 * ratio:.3g} %" if ratio < 1 else ""  # otherwise the evidence decided
        return f"pruned block {block + 1}{share}: {grouped(kept)} of {grouped(size)}"

    def end_epoch(self, event: Mapping[str, Any]) -> None:
        """Records an `epoch` event."""
        self.epoch, self.fraction = event["epoch"] + 1, 0.0
        self.accuracies = tuple(event["val_accuracy"])


@dataclasses.dataclass(frozen=True)
class TimeLeft:
    """An estimate of the remaining training time.

    Args:
        seconds: Expected time in seconds.
        is_lower_bound: Whether it will certainly be longer: the network still grows, and no trial has shown the cost of
            that yet.
        is_whole: Whether it includes the trials to come.
        is_limit: Whether it is the rest of `max_time`, which is less than training would take.
    """

    seconds: float
    is_lower_bound: bool
    is_whole: bool
    is_limit: bool = False

    @property
    def words(self) -> str:
        """The estimate in words, such as "about 3 min left"."""
        scope = "" if self.is_whole else " in this trial"
        bound = "at most" if self.is_limit else "at least" if self.is_lower_bound else "about"
        return f"{bound} {duration(self.seconds)} left{scope}"

    @property
    def symbols(self) -> str:
        """The estimate in symbols, such as "~3 min left"."""
        return f"{'<' if self.is_limit else '>' if self.is_lower_bound else '~'}{duration(self.seconds)} left"

    def within(self, seconds: float) -> TimeLeft:
        """Returns the remaining time if the search ends after `seconds` in any case."""
        return self if self.seconds <= seconds else TimeLeft(seconds, False, is_whole=True, is_limit=True)


class SearchState:
    """Records the notifications of an `Observer` and returns the lines that a display should add."""

    def __init__(self) -> None:
        self.trial: TrialState | None = None
        self._planned: tuple[int, ...] = ()
        self._begun: set[str] = set()
        self._costs: tuple[float, ...] = ()
        self._seconds: dict[int, float] = {}
        self._latest = 0
        self._latest_s = 0.0
        self._since = time.monotonic()
        self._first_step = (0.0, 1)  # its seconds, and the number of steps after it
        self._deadline = float("inf")

    def time_limited(self, seconds: float) -> None:
        """See `Observer.time_limited`."""
        self._deadline = time.monotonic() + seconds

    def search_started(self, epochs: Sequence[int], costs: Sequence[float] = ()) -> None:
        """See `Observer.search_started`."""
        self._planned, self._costs = tuple(epochs), tuple(costs)

    def trial_started(self, trial: str, keep_ratios: tuple[float, ...], epochs: int) -> str:
        """Makes a trial the current one."""
        self._since = time.monotonic()
        is_planned = trial.isdigit()  # others go on with a trial, or estimate it
        self._begun |= {trial} if is_planned else set()
        self.trial = TrialState(one_line(trial), keep_ratios, epochs)
        is_numbered = is_planned and len(self._planned) >= len(self._begun)
        number = f" ({len(self._begun)} of {len(self._planned)})" if is_numbered else ""
        return f"trial {self.trial.name}{number}: keep {ratios(keep_ratios)}, {epochs} epochs"

    def event(self, event: Mapping[str, Any]) -> list[str]:
        """Records an event of the current trial."""
        trial, self._since = self.trial, time.monotonic()
        if trial is not None and event["event"] == "epoch":
            return self._epoch(trial, event)
        if trial is None or "change" not in event:
            return []
        lines = [f"trial {trial.name} epoch {event['epoch'] + 1}: {words}" for words in trial.change(event)]
        if trial.is_training:
            return lines
        trial.held += lines
        return []

    def progress(self, epoch: int, done: int, total: int) -> list[str]:
        """Records that steps were made; lines held back are then new."""
        trial = self.trial
        if trial is None:
            return []
        trial.epoch, trial.fraction = epoch, done / max(total, 1)
        if done == 1 < total:  # it may have been traced
            self._first_step = (time.monotonic() - self._since, total - 1)
        if trial.is_training:
            return []
        trial.is_training = True
        lines, trial.held = trial.held, []
        return [f"trial {trial.name} goes on at epoch {epoch + 1}", *lines] if epoch else lines

    def trial_finished(self, trial: str, outcome: Mapping[str, Any]) -> str:
        """Records the outcome of a trial."""
        self._begun |= {trial} if trial.isdigit() else set()
        self.trial = None
        status, accuracy = outcome["status"], outcome["val_accuracy"]
        words = [f"trial {one_line(trial)} {status}: keep {ratios(outcome['keep_ratios'])}"]
        if accuracy is not None:
            kept, size = grouped(outcome["kept_params"]), grouped(outcome["prunable_params"])
            approximate = " approximate" if outcome.get("estimated") else ""
            words += [f"validation {percent(accuracy)} %{approximate}", f"kept {kept} of {size}"]
        if outcome.get("error"):
            words.append(one_line(outcome["error"]))
        return ", ".join(words)

    def time_left(self) -> TimeLeft | None:
        """Estimates the rest of the search; None before the first epoch has ended and when nothing is left.

        An epoch takes as long as the one of the same number in an earlier trial, or else as long as the latest without
        its tracing, in the proportion of their costs.
        """
        trial = self.trial
        if trial is None or not self._seconds:
            return None
        to_come = self._planned[len(self._begun) :]
        seconds = sum(self._cost(range(trial.num_epochs - own, trial.num_epochs)) for own in to_come)
        seconds += self._cost(range(trial.epoch, trial.num_epochs))
        seconds -= trial.fraction * self._cost(range(trial.epoch, min(trial.epoch + 1, trial.num_epochs)))
        is_known = bool(self._costs) or trial.num_epochs - 1 in self._seconds
        grows = trial.num_blocks < len(trial.keep_ratios) and not is_known
        left = TimeLeft(seconds, grows, bool(self._planned)).within(self._deadline - time.monotonic())
        return left if left.seconds >= 0.5 else None

    def _cost(self, epochs: range) -> float:
        return sum(self._seconds.get(epoch, self._share(epoch) * self._latest_s) for epoch in epochs)

    def _share(self, epoch: int) -> float:
        """Returns the expected time of an epoch in units of the latest one's."""
        is_known = max(epoch, self._latest) < len(self._costs)
        return self._costs[epoch] / self._costs[self._latest] if is_known else 1.0

    def _epoch(self, trial: TrialState, event: Mapping[str, Any]) -> list[str]:
        trial.end_epoch(event)
        self._latest = event["epoch"]
        self._seconds[self._latest] = event["seconds"]
        first_s, others = self._first_step
        others_s = max(0.0, event["seconds"] - first_s)
        self._latest_s, self._first_step = others_s + min(first_s, others_s / others), (0.0, 1)
        if not trial.is_training:
            # No step was made for it in this process: the trial reads it from a log, with all earlier events.
            trial.held.clear()
            return []
        size = (
            f" of {grouped(trial.prunable_params)}" if trial.kept else ""
        )  # a network that is trained on has no changes
        kept = f"kept {grouped(event['kept_params'])}{size}"
        accuracies = f"validation{trial.scope} {trial.percents}"
        heads = f" of {len(trial.accuracies)} heads" if trial.scope else ""
        parts = [accuracies, f"loss{heads} {event['loss']:.3f}", kept, f"{event['seconds']:.1f} s"]
        left = self.time_left()
        if left is not None:
            parts.append(left.words)
        return [f"trial {trial.name} epoch {trial.epoch} of {trial.num_epochs}: {', '.join(parts)}"]
