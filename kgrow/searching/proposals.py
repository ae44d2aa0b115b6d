"""`Proposals`: turns hyper-parameters into candidates that satisfy the limits."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from kgrow._checks import check_keep_ratios
from kgrow.graph import Architecture, Scaling
from kgrow.searching.footprint import Costs, Footprint, costs
from kgrow.searching.limits import LimitError, Limits
from kgrow.searching.space import Candidate, HyperParameters, SearchSpace, built_by, started_by

# Ranges of searched keep ratios. Under a limit on connections they reach up to 1, because the limit lowers them all; a
# block below a fifth of the others' ratio is too small, which a small validation split does not always show. Without it
# whole channels go. KerasTuner counts steps by floor division: multiples of 1/16 are exact; with 0.05 it would never
# propose the largest.
LIMITED_RATIOS = {"min_value": 3 / 16, "max_value": 1.0, "step": 1 / 16, "default": 1 / 2}
CHANNEL_RATIOS = {"min_value": 1 / 8, "max_value": 1 / 4, "step": 1 / 32, "default": 1 / 8}
# A network is not tried if another one that fits has more connections and computes more, by this factor each.
LARGER = 1 / 0.7
PRECISION = 10_000  # ratios lowered to the limits are multiples of 1 / PRECISION

Variant = tuple[int, float, str]


class Images(Protocol):
    """The properties of a task that candidates depend on."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""

    @property
    def pixel_mean(self) -> tuple[float, ...]:
        """Mean of each channel."""

    @property
    def pixel_std(self) -> tuple[float, ...]:
        """Standard deviation of each channel."""


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

    Keep ratios are searched if connections are limited or nothing is; depth, width and links if a limit concerns the
    architecture or the objective counts energy. Only networks that fit are offered, and keep ratios are lowered by a
    common factor until they fit, before anything is trained.

    Args:
        space: Search space.
        task: Data of the search.
        limits: Limits to satisfy.
        keep_ratio: Fixed keep ratios: one for all blocks or one per block.
        scope: Scope of the ranking in pruning.
        quantization: Format of the file to which the limits apply.
        counts_energy: Whether the objective counts energy; see `Objective`.
        wants_small: Whether small networks are worth trying where large ones fit.

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
        self.space, self.limits, self.wants_small = space, limits, wants_small or counts_energy
        self.scope, self.quantization, self.input_dtype = scope, quantization, str(task.dtype)
        scaling = Scaling(task.pixel_mean, task.pixel_std)
        built = {
            (width, links): built_by(
                space, task.input_shape, task.num_classes, scaling=scaling, width=width, links=links
            )
            for width, links in itertools.product(space.widths, space.links)
        }
        self.full = built[space.widths[0], space.links[0]]
        blocks = len(self.full.blocks)
        self.keep_ratios = None if keep_ratio is None else check_keep_ratios(keep_ratio, blocks)
        offered = dict(_shortened(built))
        if not (limits.concern_the_architecture or counts_energy):
            offered = {variant: architecture for variant, architecture in offered.items() if architecture == self.full}
        fitting = {
            variant: (architecture, costs(architecture, quantization, self.input_dtype))
            for variant, architecture in offered.items()
            if not limits.exceeded(self._least(architecture))
        }
        distinct = {architecture: (variant, known) for variant, (architecture, known) in reversed(fitting.items())}
        ordered = sorted(distinct.items(), key=lambda item: -item[1][1].macs)
        self.variants = {variant: (architecture, known) for architecture, (variant, known) in ordered}
        self.num_offered = len(set(offered.values()))
        if not self.variants:
            raise LimitError(self._nearest_miss(offered))

    @property
    def num_infeasible(self) -> int:
        """Number of networks of the space that break a limit at any keep ratio and are never trained."""
        return self.num_offered - len(self.variants)

    def without_dearest(self, num_variants: int) -> Proposals:
        """Returns the proposals without the networks of the most multiply-accumulates.

        Args:
            num_variants: Number of `variants` to leave out, at least one fewer than there are.
        """
        fewer = copy.copy(self)
        fewer.variants = dict(itertools.islice(self.variants.items(), num_variants, None))
        return fewer

    def sample(self, hp: HyperParameters) -> Proposal:
        """Returns a candidate within the limits.

        Args:
            hp: Hyper-parameters that propose values.
        """
        depth, width, links = variant = self._variant(hp)
        architecture, known = self.variants[variant]
        ratios = self._within_limits(self._ratios(hp, depth), known)
        values: dict[str, float | int | str] = {"depth": depth, "width": width, "links": links}
        values |= {f"block_{index}/keep_ratio": ratio for index, ratio in enumerate(ratios)}
        candidate = Candidate(architecture, ratios, started_by(self.space, architecture))
        footprint = known.footprint(ratios, self.scope)
        return Proposal(candidate, values, footprint, self.quantization, self.input_dtype)

    def declare(self, hp: HyperParameters) -> None:
        """Registers every choice that any candidate may need: a later addition would change the space."""
        self._variant(hp)
        self._ratios(hp, max(depth for depth, _, _ in self.variants))

    @property
    def removes_channels(self) -> bool:
        """Whether searched keep ratios are reached by removing channels: nothing else determines what is pruned."""
        limits = self.limits
        return self.keep_ratios is None and limits.params is None and not limits.concern_the_architecture

    def network(self, values: Mapping[str, Any]) -> Architecture:
        """Returns the network of a proposal from its values."""
        architecture, _ = self.variants[values["depth"], values["width"], values["links"]]
        return architecture

    def _ratios(self, hp: HyperParameters, depth: int) -> tuple[float, ...]:
        if self.keep_ratios is not None:
            return self.keep_ratios[:depth]
        if not self.removes_channels and self.limits.params is None:
            return (1.0,) * depth  # the limits are met by depth and width, whose costs are exact before training
        bounds = CHANNEL_RATIOS if self.removes_channels else LIMITED_RATIOS
        return tuple(hp.Float(f"block_{index}/keep_ratio", **bounds) for index in range(depth))

    def _variant(self, hp: HyperParameters) -> Variant:
        """Returns one of the variants that fit: one choice among names.

        By default it is the largest, connections and multiply-accumulates counting alike. Separate choices of depth and
        width would mostly combine to networks that do not fit.
        """
        promising = self._promising()
        if len(promising) == 1:
            return promising[0]
        by_name = {f"{depth} x {width:g} {links}": (depth, width, links) for depth, width, links in promising}
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

    def _within_limits(self, ratios: tuple[float, ...], known: Costs) -> tuple[float, ...]:
        """Lowers ratios by the largest common factor with which the kept connections satisfy their limit."""
        most = self.limits.given.get("params")
        if most is None or known.footprint(ratios, self.scope).params <= most:
            return ratios
        floors = self._smallest_ratios(known)
        low, high = 0, PRECISION
        while high - low > 1:
            middle = (low + high) // 2
            fits = known.footprint(_lowered(ratios, middle, floors), self.scope).params <= most
            low, high = (middle, high) if fits else (low, middle)
        return _lowered(ratios, low, floors)

    def _smallest_ratios(self, known: Costs) -> tuple[float, ...]:
        """Returns the ratio per block that leaves each kernel a connection; one without any cuts the network in two."""
        shares = (1 / min(sizes) if self.scope == "layer" else len(sizes) / sum(sizes) for sizes in known.kernels)
        return tuple(math.ceil(share * PRECISION) / PRECISION for share in shares)

    def _least(self, architecture: Architecture) -> dict[str, int]:
        """Returns the smallest footprint of an architecture."""
        known = costs(architecture, self.quantization, self.input_dtype)
        given = self.keep_ratios and self.keep_ratios[: len(architecture.blocks)]
        return dataclasses.asdict(known.footprint(given or self._smallest_ratios(known), self.scope))

    def _nearest_miss(self, offered: Mapping[Variant, Architecture]) -> str:
        given = self.limits.given

        def excess(figures: dict[str, int]) -> float:
            return max(figures[name] / limit for name, limit in given.items() if name in figures)

        least = {variant: self._least(architecture) for variant, architecture in offered.items()}
        depth, width, _ = variant = min(least, key=lambda variant: excess(least[variant]))
        nearest = least[variant]
        broken = ", ".join(f"{name} {nearest[name]} > {given[name]}" for name in self.limits.exceeded(nearest))
        message = (
            f"`limits` must allow a candidate of the space, but the nearest one ({depth} "
            f"{'block' if depth == 1 else 'blocks'}, width {width:g}) breaks {broken}. "
        )
        message += "Loosen them, or choose smaller images or another space."
        most = self.limits.given.get("params")
        if self.keep_ratios is not None and min(self.keep_ratios) < 1 and most is not None:
            size = self.full.kernel_params()
            uniform = int(min(1.0, most / size) * PRECISION) / PRECISION
            message += f" Of its {size} connections a uniform keep ratio of {uniform:.4f} would fit."
        return message


def _shortened(built: dict[tuple[float, str], Architecture]) -> Iterator[tuple[Variant, Architecture]]:
    """Yields every architecture and all its growth stages, because a network may also end at one of them."""
    for (width, links), deepest in built.items():
        for depth in range(len(deepest.blocks), 0, -1):
            yield (depth, width, links), dataclasses.replace(deepest, blocks=deepest.blocks[:depth])


def _lowered(ratios: Sequence[float], factor: int, floors: Sequence[float]) -> tuple[float, ...]:
    """Returns ratios times factor / PRECISION, rounded down to multiples of 1 / PRECISION, none below its floor."""
    lowered = (int(ratio * factor + 1e-9) / PRECISION for ratio in ratios)
    return tuple(map(max, lowered, floors))
