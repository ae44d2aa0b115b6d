"""`Settings`: training and pruning settings that do not depend on the keep ratios."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_keep_ratio, check_positive_int
from kgrow.lifecycle.preset import Preset
from kgrow.network import FLOAT32
from kgrow.pruning import ChannelCriterion, Criterion, NoPruning, OneShot, PruningSchedule
from kgrow.registry import blamed, broken
from kgrow.structure import Compaction, ProgressiveResolution, Regrowth, ScheduledPruning, StructurePolicy
from kgrow.task import Augmentation


@dataclasses.dataclass(frozen=True)
class ChannelPruning:
    """Settings of channel pruning, at the same events as connections.

    Args:
        keep_ratios: Final kept fraction of each block's channels; None for the square root of a candidate's kept
            fraction of connections.
        criterion: Criterion of the kept channels.
        multiple_of: Divisor of the widths of layers; 8-bit kernels are efficient with 8 or 16.
    """

    keep_ratios: tuple[float, ...] | None
    criterion: ChannelCriterion
    multiple_of: int = 1

    def __post_init__(self) -> None:
        for ratio in self.keep_ratios or ():
            check_keep_ratio(ratio, "channel_keep_ratio")
        check_positive_int(self.multiple_of, "multiple_of")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Training settings that do not depend on the keep ratios.

    Args:
        preset: Schedule and optimizer.
        criterion: Criterion of the kept connections.
        scope: Scope of the ranking; see `kgrow.pruning.prune`.
        augmentation: Augmentation of training images.
        seed: Random seed of initial values, data order, augmentation and criterion.
        regrowth: What pruned connections come back, until three quarters of the epochs: `"gradient"` or `"random"`, see
            `Exchange`; None for none.
        channels: Settings of channel pruning, before the connections inside; None for no channel pruning.
        growth: Growth policy; None for the epochs of the preset.
        distribution: A `tf.distribute.Strategy` whose replicas share every batch; None for one device.
        class_weights: Loss factor of each training image, by its class; None for 1.
        precision: Precision of the training steps; see `GrowingNetwork.call_scaled`. A search decides about `"auto"`.
        budget: Limits of the search, which policies may read; see `StructureState`.
    """

    preset: Preset
    criterion: Criterion
    scope: str = "block"
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    seed: int = 0
    regrowth: str | None = None
    channels: ChannelPruning | None = None
    growth: StructurePolicy | None = None
    distribution: Any = None
    class_weights: tuple[float, ...] | None = None
    precision: str = FLOAT32
    budget: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def brings_schedule(self) -> bool:
        """Whether the growth policy has a pruning schedule of its own in place of the preset's."""
        return self.growth is not None and brings_schedule(self.growth, self.preset)

    @property
    def trades(self) -> bool:
        """Whether the growth policy prunes by itself, connection by connection, without any schedule."""
        return self.brings_schedule and self._schedule == NoPruning()

    @property
    def _schedule(self) -> PruningSchedule:
        given = self.preset.pruning_schedule()
        return given if self.growth is None else _schedule_of(self.growth, given, self.preset.epochs)

    @property
    def policies(self) -> tuple[StructurePolicy, ...]:
        """The policies that decide about the structure, in the order in which they are asked."""
        channels = self.channels.keep_ratios if self.channels else ()
        growth = self.growth or self.preset.growth_policy()
        pruning = ScheduledPruning(self._schedule, self.scope, channels)
        resolution = ProgressiveResolution(self.preset.resolutions)
        regrowth = [] if self.regrowth is None else [Regrowth(self.regrowth, seed=self.seed)]
        return (growth, resolution, pruning, *regrowth, Compaction((growth, pruning)))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, each shown once."""
        if self.class_weights is None:
            return self.augmentation.notes
        least, most = min(self.class_weights), max(self.class_weights)
        weighted = (
            f"The training loss counts an image {least:.3g} to {most:.3g} times, by its class. To count all alike, "
            "choose `Training(class_weight='none')` (--class-weight none)."
        )
        return (*self.augmentation.notes, weighted)

    def __post_init__(self) -> None:
        events = self.preset.prune_epochs
        if self.scope == "global" and self.preset.strategy == "one-shot" and len(set(events)) > 1:
            raise ValueError(
                f"`scope` must not be 'global' with one-shot pruning at several epochs, {events}: blocks are ranked as "
                "they fall due. Choose the strategy 'iterative', whose last event ranks all of them together."
            )


def brings_schedule(growth: StructurePolicy, preset: Preset) -> bool:
    """Returns whether a growth policy has a pruning schedule of its own, whatever that of the preset is."""
    other = OneShot((0,))
    return _schedule_of(growth, other, preset.epochs) != other


def _schedule_of(growth: StructurePolicy, given: PruningSchedule, epochs: int) -> PruningSchedule:
    """Returns `StructurePolicy.pruning_schedule`; that of a plug-in is checked against its contract."""
    with blamed(growth):
        found = growth.pruning_schedule(given, epochs)
    if not isinstance(found, PruningSchedule):
        raise broken(growth, "return a `PruningSchedule`", f"returns {found!r}")
    return found
