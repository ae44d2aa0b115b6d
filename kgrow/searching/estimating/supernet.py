"""The experimental estimator `supernet`: grows and trains one network, and prunes it again for every candidate."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import traceback

from kgrow.graph import Architecture
from kgrow.lifecycle import LAST, Lifecycle, Settings, Snapshot
from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator
from kgrow.searching.proposals import Proposal
from kgrow.training import OutOfTimeError, TrainingDivergedError

FOLDER = "supernets"
# Fraction of the preset's learning rate, from which a cosine falls to 0: the full rate would undo the training.
RATE_RATIO = 0.1


@dataclasses.dataclass(frozen=True)
class Supernet(Estimator):
    """Prunes a copy of one trained network to the candidate's keep ratios, in one shot, and trains it for a few epochs.

    The network is the deepest of the candidate's width and other choices; shallower candidates are its first blocks.
    Nothing is pruned while it grows, so its connections are not those of any candidate: it is approximate, unlike
    shared prefixes.

    Args:
        epochs: Number of training epochs after the pruning. With 0 only the batch normalization statistics are
            recomputed, in a pass over the training images.
    """

    epochs: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.epochs, int) or self.epochs < 0:
            raise ValueError(f"`epochs` must be a whole number of at least 0, but got {self.epochs!r}.")

    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """See `Estimator.estimate`."""
        folder = context.run.child(f"{FOLDER}/{index:04d}")
        settings = self._tuning(context.trials.settings, len(proposal.candidate.architecture.blocks))
        epochs = settings.preset.epochs
        try:
            start = self._supernet(proposal, context).renewed(proposal.candidate.architecture)
            life = Lifecycle(context.trials.task, *_of(proposal), settings, folder, context.observer)
            context.observer.trial_started(folder.path.name, proposal.candidate.keep_ratios, epochs)
            life.train(start, deadline=context.deadline)
        except OutOfTimeError:
            return Estimate(None, "stopped", epochs, 0)
        except TrainingDivergedError as problem:
            return Estimate(None, "failed", epochs, 0, error=str(problem), traceback=traceback.format_exc())
        accuracy = life.events[-1]["val_accuracy"][-1]
        folder.clear()
        return Estimate(accuracy, "done", epochs, epochs)

    def _supernet(self, proposal: Proposal, context: EstimationContext) -> Snapshot:
        """Returns the trained network for a candidate; trains it first if it does not exist."""
        deepest = _deepest(proposal, context)
        name = hashlib.sha256(json.dumps(deepest.to_json()).encode()).hexdigest()[:16]
        return context.once(name, lambda: _trained(deepest, name, context))

    def _tuning(self, settings: Settings, num_blocks: int) -> Settings:
        preset, channels = settings.preset, settings.channels
        num_events = max(num_blocks, len(channels.keep_ratios or ()) if channels else 0)
        at_once = dataclasses.replace(
            preset,
            epochs=max(1, self.epochs),
            learning_rate=preset.learning_rate * RATE_RATIO if self.epochs else 0.0,
            milestones=(),
            gammas=(),
            warmup_epochs=0,
            grow_epochs=(0,) * len(preset.grow_epochs),
            prune_epochs=(0,) * num_events if preset.prune_epochs else (),
            strategy="one-shot",
        )
        return dataclasses.replace(settings, preset=at_once)


def _of(proposal: Proposal) -> tuple[Architecture, tuple[float, ...]]:
    return proposal.candidate.architecture, proposal.candidate.keep_ratios


def _deepest(proposal: Proposal, context: EstimationContext) -> Architecture:
    mine = proposal.candidate.architecture
    offered = [architecture for architecture, _ in context.proposals.variants.values()]
    whole = [architecture for architecture in offered if architecture.blocks[: len(mine.blocks)] == mine.blocks]
    return max([mine, *whole], key=lambda architecture: len(architecture.blocks))


def _trained(architecture: Architecture, name: str, context: EstimationContext) -> Snapshot:
    settings, folder = context.trials.settings, context.run.child(f"{FOLDER}/{name}/supernet")
    unpruned = dataclasses.replace(settings.preset, prune_epochs=())
    settings = dataclasses.replace(settings, preset=unpruned, channels=None)
    whole = (1.0,) * len(architecture.blocks)
    context.observer.trial_started(folder.path.name, whole, unpruned.epochs)
    Lifecycle(context.trials.task, architecture, whole, settings, folder, context.observer).train(
        deadline=context.deadline
    )
    return Snapshot.load(folder, LAST)
