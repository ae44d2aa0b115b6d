"""The experimental estimator `low_fidelity`: fewer images, smaller images, fewer epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kgrow._rules import check_fields, within
from kgrow.graph import Architecture, Scaling
from kgrow.lifecycle import Settings
from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator
from kgrow.searching.estimating.smaller_task import smaller_task
from kgrow.searching.proposals import Proposal
from kgrow.searching.space import Candidate, built_by, choices_of
from kgrow.searching.trials import Trials
from kgrow.task import Task


@dataclasses.dataclass(frozen=True)
class LowFidelity(Estimator):
    """Trains the candidate on a part of the images, at a lower resolution, for fewer epochs.

    Costs fall with the product of the three, and with the square of the resolution. Accuracies are lower than those of
    full training; only their order is used. Candidates share prefixes here as they do in full training.

    Args:
        data_ratio: Fraction of the training images, in (0, 1]; a stratified choice, the same for every candidate.
        resolution_ratio: Fraction of the images' sides, in (0, 1], by averaging areas. The space builds a new
            architecture for the smaller input; if it has another number of blocks, blocks get the keep ratio of the
            same relative depth.
        epoch_ratio: Fraction of the preset's epochs, in (0, 1]; every event keeps its relative position.
    """

    data_ratio: float = 0.5
    resolution_ratio: float = 1.0
    epoch_ratio: float = 0.5

    def __post_init__(self) -> None:
        rule = within("(0, 1]", "1 is that of full training.")
        check_fields(self, dict.fromkeys(("data_ratio", "resolution_ratio", "epoch_ratio"), rule))

    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """See `Estimator.estimate`."""
        trials = context.once("low_fidelity", lambda: self._trials(context))
        candidate = self._candidate(proposal, context, trials.task)
        trial = trials.train(index, dataclasses.replace(proposal, candidate=candidate), context.deadline)
        return dataclasses.replace(Estimate.of(trial), is_exact=False)

    def _trials(self, context: EstimationContext) -> Trials:
        full = context.trials
        task = smaller_task(full.task, self.data_ratio, self.resolution_ratio, full.settings.seed)
        settings = self._settings(full.settings, task, context)
        return Trials(task, settings, full.objective, full.full_macs, context.run, context.observer)

    def _settings(self, settings: Settings, task: Task, context: EstimationContext) -> Settings:
        preset, augmentation, channels = settings.preset, settings.augmentation, settings.channels
        preset = preset.stretched(max(1, round(preset.epochs * self.epoch_ratio)))
        augmentation = augmentation.at_scale(self.resolution_ratio)
        if self.resolution_ratio < 1:  # smaller still, they would show nothing
            preset = dataclasses.replace(preset, resolutions=())
        if channels is not None and channels.keep_ratios is not None:
            blocks = len(self._architecture(context, task, context.proposals.full, {}).blocks)
            channels = dataclasses.replace(channels, keep_ratios=at_depths(channels.keep_ratios, blocks))
        return dataclasses.replace(
            settings,
            preset=dataclasses.replace(preset, batch_size=min(preset.batch_size, len(task.train))),
            augmentation=augmentation,
            channels=channels,
        )

    def _candidate(self, proposal: Proposal, context: EstimationContext, task: Task) -> Candidate:
        candidate = proposal.candidate
        architecture = self._architecture(context, task, candidate.architecture, proposal.values)
        return Candidate(architecture, at_depths(candidate.keep_ratios, len(architecture.blocks)))

    def _architecture(
        self, context: EstimationContext, task: Task, architecture: Architecture, values: dict
    ) -> Architecture:
        """Returns the space's architecture for the smaller input that replaces an architecture."""
        scaling = Scaling(task.pixel_mean, task.pixel_std)
        if self.resolution_ratio == 1:
            return dataclasses.replace(architecture, scaling=scaling)
        space = context.proposals.space
        names = choices_of(space, task.input_shape).keys() & values.keys()
        choices = {name: values[name] for name in names | {"width"} & values.keys()}
        built = built_by(space, task.input_shape, task.num_classes, scaling=scaling, **choices)
        return dataclasses.replace(built, blocks=built.blocks[: len(architecture.blocks)])


def at_depths(ratios: Sequence[float], num_blocks: int) -> tuple[float, ...]:
    """Returns the ratios of the blocks at the same relative depth in a network with another number of blocks."""
    last = max(num_blocks - 1, 1)
    return tuple(ratios[round(block * (len(ratios) - 1) / last)] for block in range(num_blocks))
