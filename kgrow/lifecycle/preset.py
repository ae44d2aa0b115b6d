"""`Preset`: all numbers of a training run, and the published schedules by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from kgrow._checks import check_bool, check_non_negative_int, check_positive, check_positive_int, check_rounds
from kgrow._rules import Rule, check_fields, one_of, optional, several, within
from kgrow.pruning import BayesSchedule, Iterative, NoPruning, OneShot, PruningSchedule
from kgrow.pruning.schedule import PATHS
from kgrow.registry import STRATEGIES
from kgrow.structure import FixedGrowth
from kgrow.structure.progressive_resolution import checked_resolutions
from kgrow.training import half_cosine

START_OF_WARMUP = 0.05
SMALLEST_RESIZED = 24
SMALLEST_BATCH, STEPS_PER_EPOCH, STEPS_PER_RUN, MOST_EPOCHS = 16, 24, 1000, 100


RULES: Mapping[str, Rule] = {
    "epochs": check_rounds,
    "batch_size": check_positive_int,
    "learning_rate": within("[0, inf)"),
    "momentum": within("[0, 1)"),
    "nesterov": check_bool,
    "l2": within("[0, inf)"),
    "clip_norm": optional(within("(0, inf)", "For no bound pass None.")),
    "label_smoothing": within("[0, 1)"),
    "milestones": several(check_non_negative_int),  # a short run may have them before its first epoch
    "gammas": several(check_positive),
    "warmup_epochs": within("[0, inf)"),
    "fresh_rate": check_positive,
    "fresh_epochs": within("[0, inf)"),
    "grow_epochs": several(check_non_negative_int),
    "prune_epochs": several(check_non_negative_int),
    "strategy": one_of(STRATEGIES),
    "steps": check_positive_int,
    "path": one_of(PATHS),
    "exit_weights": optional(several(within("[0, inf)"))),
    "exit_scale": within("[0, inf)"),
    "distillation": within("[0, 1]"),
    "saliency_examples": check_positive_int,
    "epoch_share": within("(0, 1]"),
    "resolutions": checked_resolutions,
}


@dataclasses.dataclass(frozen=True)
class Preset:
    """The schedule and the optimizer of a run. Epochs of events are 0-based: an event precedes its epoch.

    Args:
        epochs: Number of epochs of the run.
        batch_size: Images per step; a last, smaller batch is left out.
        learning_rate: Peak rate of SGD with momentum; with 0 only the normalization statistics change.
        momentum: Momentum of SGD, in [0, 1).
        nesterov: Whether Nesterov momentum is used.
        l2: Coupled weight decay: the gradient gains `l2 * weight`.
        clip_norm: Largest norm of the gradient of all weights together, decay included; a longer gradient is scaled
            down.
        label_smoothing: Label smoothing, in [0, 1).
        milestones: 1-based epochs from which the rate is multiplied by the matching gamma; empty for a cosine to 0.
        gammas: Factors, one per milestone.
        warmup_epochs: Number of epochs of linear warm-up before the cosine.
        fresh_rate: Factor on the rate of a block that has just been appended to a trained network; it falls to 1 in
            equal steps, one per epoch.
        fresh_epochs: Number of epochs of that fall.
        grow_epochs: Growth epochs of blocks 1, 2, ...
        prune_epochs: Epochs of the pruning events.
        strategy: `"one-shot"` (each block b at event b), `"iterative"` (`steps` events per block from event b on) or
            `"bayes"` (at every event from b on the evidence decides how much of a block stays).
        steps: Number of events per block of the iterative strategy.
        path: Path of the iterative strategy: `"linear"` or `"geometric"`.
        exit_weights: Largest loss weight of each internal classifier except the last; None for its relative depth.
        exit_scale: Factor on these weights in training; connections are scored with the unscaled weights.
        distillation: Distillation share of the internal classifiers' loss, with the last head as teacher; see
            `joint_loss`.
        saliency_examples: Number of training images that a criterion scores on.
        epoch_share: Fraction of the training images in an epoch, in (0, 1]; each epoch draws others.
        resolutions: Epochs from which images have a fraction of their sides; see `ProgressiveResolution`.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    l2: float = 1e-4
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    milestones: tuple[int, ...] = ()
    gammas: tuple[float, ...] = ()
    warmup_epochs: float = 0.0
    fresh_rate: float = 1.0
    fresh_epochs: float = 0.0
    grow_epochs: tuple[int, ...] = (0, 0, 0)
    prune_epochs: tuple[int, ...] = ()
    strategy: str = "one-shot"
    steps: int = 3
    path: str = "linear"
    exit_weights: tuple[float, ...] | None = None
    exit_scale: float = 1.0
    distillation: float = 0.0
    saliency_examples: int = 128
    epoch_share: float = 1.0
    resolutions: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self, RULES)
        if len(self.milestones) != len(self.gammas):
            raise ValueError(f"`gammas` must match `milestones`, but got {self.gammas} for {self.milestones}.")
        self._check_events()

    def _check_events(self) -> None:
        for block, (grown, pruned) in enumerate(zip((0, *self.grow_epochs), self.prune_epochs, strict=False)):
            if pruned < grown:
                raise ValueError(
                    f"`prune_epochs` must not come before a block is grown, but block {block} is due at epoch {pruned} "
                    f"and grown at {grown}."
                )
        starts = [epoch for epoch, _ in self.resolutions]
        if max((*self.grow_epochs, *self.prune_epochs, *starts), default=0) >= self.epochs:
            raise ValueError(f"`epochs` must exceed the epochs of all events, but got {self.epochs}.")

    def num_steps(self, num_examples: int) -> int:
        """Returns the number of steps of an epoch, for a training split of so many images."""
        return max(1, int(self.epoch_share * (num_examples // self.batch_size)))

    def check_batch_size(self, num_examples: int) -> None:
        """Raises ValueError if a training split has too few images for one batch."""
        if self.batch_size > num_examples:
            raise ValueError(
                f"`batch_size` must be at most the {num_examples} training images, but got {self.batch_size}."
            )

    def check_num_blocks(self, num_blocks: int, *, grows: bool = True, prunes: bool = True) -> None:
        """Raises ValueError unless every block has a growth epoch, a pruning event and a loss weight.

        Args:
            num_blocks: Largest number of blocks.
            grows: Whether the preset's own epochs decide about growth.
            prunes: Whether its own events decide about pruning.
        """
        too_few = 0 < len(self.prune_epochs) < num_blocks
        if (grows and len(self.grow_epochs) < num_blocks - 1) or (prunes and too_few):
            raise ValueError(
                f"`preset` must have `grow_epochs` and `prune_epochs` for networks of {num_blocks} blocks, but has "
                f"{self.grow_epochs} and {self.prune_epochs}. Pass one with more of them, or a space of fewer blocks."
            )
        if self.exit_weights is not None and len(self.exit_weights) < num_blocks - 1:
            raise ValueError(
                f"`preset` must have `exit_weights` for the first {num_blocks - 1} of {num_blocks} heads, or None, but "
                f"has {self.exit_weights}."
            )

    def learning_rate_at(self, epoch: int, fraction: float = 0.0, *, has_grown: bool = False) -> float:
        """Returns the learning rate at `fraction` of a 0-based epoch.

        Before the cosine it rises from near 0 over the warm-up, and again over each epoch that begins with growth.

        Args:
            epoch: Number of the epoch, from 0.
            fraction: Elapsed fraction of the epoch, in [0, 1).
            has_grown: Whether a block was appended to a trained network just before the epoch.
        """
        if self.milestones:
            passed = [g for m, g in zip(self.milestones, self.gammas, strict=True) if m <= epoch + 1]
            return self.learning_rate * math.prod(passed)
        now = epoch + fraction
        # A new block is as untrained as the whole network was at first: the full rate would disturb it, and with it the
        # blocks before.
        peak = self.learning_rate * (max(fraction, START_OF_WARMUP) if has_grown else 1.0)
        if now < self.warmup_epochs:
            return peak * max(now / self.warmup_epochs, START_OF_WARMUP)
        progress = (now - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1.0)
        return peak * half_cosine(progress)

    def block_rate_at(self, epoch: int, birth: int) -> float:
        """Returns the factor on the learning rate of a block in an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            birth: Number of the epoch before which it was appended; at 0 the whole network is new.
        """
        if birth == 0 or epoch >= birth + self.fresh_epochs:
            return 1.0
        return 1.0 + (self.fresh_rate - 1.0) * (1.0 - (epoch - birth) / self.fresh_epochs)

    def growth_policy(self) -> FixedGrowth:
        """Returns the growth schedule."""
        return FixedGrowth(self.grow_epochs)

    def pruning_schedule(self) -> PruningSchedule:
        """Returns the pruning schedule."""
        if not self.prune_epochs:
            return NoPruning()
        if self.strategy == "one-shot":
            return OneShot(self.prune_epochs)
        if self.strategy == "bayes":
            return BayesSchedule(self.prune_epochs)
        return Iterative(self.prune_epochs, self.steps, self.path)

    def stretched(self, epochs: int) -> Preset:
        """Returns the same schedule over another number of epochs; every event keeps its relative position."""
        factor = check_positive_int(epochs, "epochs") / self.epochs
        starts = [epoch for epoch, _ in self.resolutions]
        fractions = [fraction for _, fraction in self.resolutions]

        def scaled(values: Sequence[int], last: int) -> tuple[int, ...]:
            return tuple(min(last, round(value * factor)) for value in values)

        return dataclasses.replace(
            self,
            epochs=epochs,
            milestones=scaled(self.milestones, epochs),
            warmup_epochs=self.warmup_epochs * factor,  # a fraction of an epoch also has many steps
            fresh_epochs=self.fresh_epochs * factor,
            grow_epochs=scaled(self.grow_epochs, epochs - 1),
            prune_epochs=scaled(self.prune_epochs, epochs - 1),
            resolutions=tuple(zip(scaled(starts, epochs - 1), fractions, strict=True)),
        )

    def suited_to(self, num_examples: int, side: int) -> Preset:
        """Returns the preset for a training split: small data sets get smaller batches and more epochs.

        The batch is halved until an epoch has 24 steps (not below 16 images); the run is stretched to 1000 steps, at
        most to 100 epochs. A network overfits few images and does not converge on many. Small data sets therefore get
        label smoothing, internal classifiers of full weight and half the rate. Images below 24 pixels keep their size:
        details of few pixels would be lost, and their steps cost more than the arithmetic.

        Args:
            num_examples: Number of training images.
            side: Smaller side of the images, in pixels.
        """
        batch_size = self.batch_size
        while batch_size > SMALLEST_BATCH and num_examples < STEPS_PER_EPOCH * batch_size:
            batch_size //= 2
        batch_size = min(batch_size, num_examples)
        steps = num_examples // batch_size
        epochs = max(self.epochs, min(MOST_EPOCHS, math.ceil(STEPS_PER_RUN / steps)))
        fitted = dataclasses.replace(self.stretched(epochs), batch_size=batch_size)
        if side < SMALLEST_RESIZED:
            fitted = dataclasses.replace(fitted, resolutions=())
        if batch_size == self.batch_size:
            return fitted
        return dataclasses.replace(fitted, learning_rate=self.learning_rate / 2, label_smoothing=0.1, exit_scale=1.0)


# By lower-case name; see `kgrow.registry.PRESETS`.
DEFAULT = Preset(
    epochs=30,
    learning_rate=0.1,
    nesterov=True,
    l2=5e-4,
    clip_norm=3.0,
    warmup_epochs=2.0,
    grow_epochs=(1, 2, 3),
    prune_epochs=(8, 9, 10, 11, 12, 13),
    strategy="iterative",
    exit_scale=0.3,
    saliency_examples=1024,
    resolutions=((0, 0.625), (18, 1.0)),
)
# Weights that were trained on many images are soon changed all at once, and at one rate; see decision 0073.
FINE_TUNE = dataclasses.replace(
    DEFAULT,
    epochs=72,
    learning_rate=0.05,
    l2=1e-4,
    label_smoothing=0.1,
    warmup_epochs=4.0,
    grow_epochs=(0, 0, 2, 2, 4, 4),
    prune_epochs=(12, 16, 20, 24, 28, 32, 36, 40, 42),
    resolutions=((0, 0.625), (44, 1.0)),
)
EARLY_EXIT = dataclasses.replace(DEFAULT, exit_scale=1.0, distillation=0.5)
BASE = Preset(epochs=100, learning_rate=0.1, milestones=(35, 60, 85), gammas=(0.1, 0.1, 0.1))
GROW = Preset(
    epochs=250, milestones=(120, 160, 180), gammas=(0.1, 0.01, 0.01), grow_epochs=(25, 50, 75), exit_weights=None
)
GROW_ONESHOT = dataclasses.replace(GROW, prune_epochs=(10, 35, 60, 85))
GROW_ITER = dataclasses.replace(GROW, prune_epochs=(10, 35, 60, 85, 95, 105, 115), strategy="iterative")
