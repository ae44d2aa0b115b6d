"""`Proposals`: turns hyper-parameters into candidates that satisfy the limits."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow._checks import check_keep_ratios
from kgrow.graph import Architecture, Scaling
from kgrow.searching.fit import Fit, Variant
from kgrow.searching.footprint import Costs, Footprint
from kgrow.searching.images import Images
from kgrow.searching.limits import Limits
from kgrow.searching.residual import SMALL_SIDE
from kgrow.searching.space import Candidate, SearchSpace, built_by, choices_of, deviations, started_by, widths_of

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# Ranges of searched keep ratios. A limit on connections lowers all, so they reach up to 1 there; a block below a fifth
# of the others' ratio is too small, which few validation images may not show. Without it whole channels go. KerasTuner
# counts steps by floor division: with 0.05 it would never propose the largest.
LIMITED_RATIOS = {"min_value": 3 / 16, "max_value": 1.0, "step": 1 / 16, "default": 1 / 2}
SMALL_RATIOS = {"min_value": 1 / 8, "max_value": 1 / 4, "step": 1 / 32}
ACCURATE_RATIOS = {"min_value": 1 / 8, "max_value": 1 / 2, "step": 1 / 32}
# The first ratio: photographs lost nothing by a quarter and much by an eighth, which is enough for tiny images.
FIRST_RATIO, FIRST_RATIO_OF_TINY = 1 / 4, 1 / 8
LARGER = 1 / 0.7  # a network is not tried if another one that fits has this much more connections and work
Variants = dict[Variant, tuple[Architecture, Costs]]


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A candidate within the limits.

    Args:
        candidate: Candidate to train.
        values: Hyper-parameters of the candidate, by name.
        footprint: Predicted costs.
        quantization: Format of the file that the footprint is about.
        input_dtype: Type of the pixels that the file reads.
    """

    candidate: Candidate
    values: dict[str, float | int | str]
    footprint: Footprint
    quantization: str = "int8"
    input_dtype: str = "uint8"


class Proposals:
    """The candidates of a space that fit on a device.

    Keep ratios are searched if connections are limited or nothing is; depth, width and the choices of the space if a
    limit concerns the architecture or the objective counts energy. Only networks that fit are offered, and keep ratios
    are lowered by a common factor until they fit, before anything is trained. Where a choice deviates from the first
    one that fits, the width is the largest that fits with it; no network computes more than the largest of `variants`,
    by which a training's time is planned.

    Args:
        space: Search space.
        task: Data of the search.
        limits: Limits to satisfy.
        keep_ratio: Fixed keep ratios: one for all blocks or one per block.
        scope: Scope of the ranking in pruning.
        quantization: Format of the file to which the limits apply.
        counts_energy: Whether the objective counts energy; see `Objective`.
        wants_small: Whether small networks are worth trying where large ones fit.

    Attributes:
        choices: What is searched apart from depth, width and keep ratios; see `SearchSpace.choices`.
        chosen: First value of each choice, or the nearest ones with which a network fits.
        variants: Networks that fit with these choices, by depth and width, the dearest first.

    Raises:
        LimitError: If no candidate fits; the message names the nearest point and the limits that it breaks.
    """

    def __init__(  # noqa: PLR0913 - all but three have a default
        self,
        space: SearchSpace,
        task: Images,
        *,
        limits: Limits,
        keep_ratio: float | Sequence[float] | None = None,
        scope: str = "block",
        quantization: str = "int8",
        counts_energy: bool = False,
        wants_small: bool = False,
    ):
        self.space, self.task, self.limits, self.wants_small = space, task, limits, wants_small or counts_energy
        self.scope, self.quantization, self.input_dtype = scope, quantization, str(task.dtype)
        self._read = task.input_shape, task.num_classes, Scaling(task.pixel_mean, task.pixel_std)
        every, self.widths = choices_of(space, task.input_shape), widths_of(space)
        self.full = self._built(self.widths[0], next(deviations(every)))
        self.keep_ratios = None if keep_ratio is None else check_keep_ratios(keep_ratio, len(self.full.blocks))
        self._fit = Fit(limits, self.keep_ratios, scope, quantization, self.input_dtype)
        self._is_whole = not (limits.concern_the_architecture or counts_energy)
        self.choices = {name: values[:1] for name, values in every.items()} if self._is_whole else every
        misses = []
        for choices in deviations(self.choices):
            offered = self._offered(choices)
            fitting = self._fitting(offered)
            if fitting:
                break
            misses += list(offered.items())
        else:
            raise self._fit.nearest_miss(misses, self.full.kernel_params())
        self.chosen, self.variants = choices, fitting
        self.num_offered = len(set(offered.values()))
        self._known: dict[tuple[Any, ...], Variants] = {}
        self._initial: dict[Architecture, Mapping[str, np.ndarray]] = {}

    @property
    def num_infeasible(self) -> int:
        """Number of networks of the space that break a limit at any keep ratio and are never trained."""
        return self.num_offered - len(self.variants)

    def examples(self) -> Iterator[Architecture]:
        """Yields the widest network of each choice, and so every operator that a candidate may have."""
        return (self._built(self.widths[0], choices) for choices in deviations(self.choices))

    def _built(self, width: float, choices: Mapping[str, Any]) -> Architecture:
        input_shape, num_classes, scaling = self._read
        return built_by(self.space, input_shape, num_classes, scaling=scaling, width=width, **choices)

    def without_dearest(self, num_variants: int) -> Proposals:
        """Returns the proposals without the networks of the most multiply-accumulates.

        Args:
            num_variants: Number of `variants` to leave out, at least one fewer than there are.
        """
        fewer = copy.copy(self)
        fewer.variants = dict(itertools.islice(self.variants.items(), num_variants, None))
        return fewer

    def sample(self, hp: HyperParameters) -> Proposal:
        """Returns the candidate within the limits for which hyper-parameters propose the values."""
        (depth, width), choices = self._network(hp)
        architecture, known = self._variants(choices)[depth, width]
        ratios = self._fit.lowered(self._ratios(hp, depth), known)
        values: dict[str, float | int | str] = {"depth": depth, "width": width, **choices}
        values |= {f"block_{index}/keep_ratio": ratio for index, ratio in enumerate(ratios)}
        candidate = Candidate(architecture, ratios, self.initial(architecture))
        footprint = known.footprint(ratios, self.scope)
        return Proposal(candidate, values, footprint, self.quantization, self.input_dtype)

    def initial(self, architecture: Architecture) -> Mapping[str, np.ndarray]:
        """Returns the initial values that the space gives a network, computed once."""
        if architecture not in self._initial:
            self._initial[architecture] = started_by(self.space, architecture, self.task.train.images)
        return self._initial[architecture]

    def declare(self, hp: HyperParameters) -> None:
        """Registers every choice that any candidate may need: a later addition would change the space."""
        self._network(hp)
        self._ratios(hp, max(depth for depth, _ in self.variants))

    @property
    def removes_channels(self) -> bool:
        """Whether searched keep ratios are reached by removing channels: nothing else determines what is pruned."""
        limits = self.limits
        return self.keep_ratios is None and limits.params is None and not limits.concern_the_architecture

    @property
    def bounds(self) -> dict[str, float]:
        """The range of searched keep ratios, as `keras_tuner.HyperParameters.Float` takes it."""
        if not self.removes_channels:
            return LIMITED_RATIOS
        first = FIRST_RATIO if max(self.full.input_shape[:2]) > SMALL_SIDE else FIRST_RATIO_OF_TINY
        return (SMALL_RATIOS if self.wants_small else ACCURATE_RATIOS) | {"default": first}

    def network(self, values: Mapping[str, Any]) -> Architecture:
        """Returns the network of a proposal from its values."""
        choices = {name: values[name] for name in self.choices}
        architecture, _ = self._variants(choices)[values["depth"], values["width"]]
        return architecture

    @property
    def is_one_network(self) -> bool:
        """Whether all candidates have the same network."""
        return len(self.variants) == math.prod(map(len, self.choices.values())) == 1

    def _offered(self, choices: Mapping[str, Any]) -> dict[Variant, Architecture]:
        """Returns every network with some choices: all growth stages of each width, as a network may end at any."""
        if self._is_whole:
            return {(len(self.full.blocks), self.widths[0]): self.full}
        return {
            (depth, width): dataclasses.replace(deepest, blocks=deepest.blocks[:depth])
            for width in self.widths
            for deepest in [self._built(width, choices)]
            for depth in range(len(deepest.blocks), 0, -1)
        }

    def _fitting(self, offered: Mapping[Variant, Architecture]) -> Variants:
        """Returns the networks that fit, each once, the dearest first."""
        fitting = {
            variant: (architecture, self._fit.costs(architecture))
            for variant, architecture in offered.items()
            if self._fit.is_possible(architecture)
        }
        distinct = {architecture: (variant, known) for variant, (architecture, known) in reversed(fitting.items())}
        ordered = sorted(distinct.items(), key=lambda item: -item[1][1].macs)
        return {variant: (architecture, known) for architecture, (variant, known) in ordered}

    def _variants(self, choices: Mapping[str, Any]) -> Variants:
        """Returns the networks that fit with some choices and compute no more than the largest of `variants`."""
        if choices == self.chosen:
            return self.variants
        key = tuple(choices.values())
        if key not in self._known:
            self._known[key] = self._fitting(self._offered(choices))
        most = max(known.macs for _, known in self.variants.values())
        return {variant: found for variant, found in self._known[key].items() if found[1].macs <= most}

    def _ratios(self, hp: HyperParameters, depth: int) -> tuple[float, ...]:
        if self.keep_ratios is not None:
            return self.keep_ratios[:depth]
        if not self.removes_channels and self.limits.params is None:
            return (1.0,) * depth  # the limits are met by depth and width, whose costs are exact before training
        return tuple(hp.Float(f"block_{index}/keep_ratio", **self.bounds) for index in range(depth))

    def _network(self, hp: HyperParameters) -> tuple[Variant, dict[str, Any]]:
        """Returns depth and width, and the other choices, of a network that fits."""
        depth, width = self._variant(hp)
        choices = {
            name: hp.Choice(name, list(values), default=self.chosen[name]) if len(values) > 1 else values[0]
            for name, values in self.choices.items()
        }
        choices |= {name: self.chosen[name] for name in choices if _block_of(name) >= depth}
        for name in reversed(choices):
            widths = [fitting for found, fitting in self._variants(choices) if found == depth]
            if widths:
                break
            choices[name] = self.chosen[name]  # what does not fit gives way to what does, a choice at a time
        if choices != self.chosen:
            narrow = [fitting for fitting in widths if fitting <= width]
            width = max(narrow, default=min(widths)) if self.wants_small else max(widths)
        return (depth, width), choices

    def _variant(self, hp: HyperParameters) -> Variant:
        """Returns depth and width of one of the variants, by one choice: pairs of two choices would mostly not fit.

        By default it is the largest, connections and multiply-accumulates counting alike.
        """
        promising = self._promising()
        if len(promising) == 1:
            return promising[0]
        by_name = {f"{depth} x {width:g}": (depth, width) for depth, width in promising}
        default = max(by_name, key=lambda name: self._size(by_name[name]))
        return by_name[hp.Choice("network", list(by_name), default=default)]

    def _size(self, variant: Variant) -> int:
        network, known = self.variants[variant]
        return network.kernel_params() * known.macs

    def _promising(self) -> list[Variant]:
        """Returns the variants to try: where only accuracy counts, those that use what the limits allow."""
        if self.wants_small:
            return list(self.variants)
        sizes = {variant: (known.macs, network.kernel_params()) for variant, (network, known) in self.variants.items()}

        def is_dwarfed(macs: int, params: int) -> bool:
            return any(other >= LARGER * macs and more >= LARGER * params for other, more in sizes.values())

        return [variant for variant, size in sizes.items() if not is_dwarfed(*size)]


def _block_of(name: str) -> int:
    """Returns the number of the block that a choice belongs to, 0 for one of the whole network."""
    number = name.partition("/")[0].removeprefix("block_")
    return int(number) if number.isdecimal() else 0
