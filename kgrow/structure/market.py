"""`Market`: spends one budget on blocks to come and on the connections that are there."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping

import numpy as np

from kgrow._rules import check_fields, one_of, within
from kgrow.pruning import NoPruning, PruningSchedule
from kgrow.pruning.select import kept_count
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.cut import Cut
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.statistics import Prices, check_num_examples
from kgrow.structure.trade import Trade, unpack
from kgrow.structure.trading import Book, deal
from kgrow.training import half_cosine
from kgrow.uncertainty import SIGNIFICANCE, p_value

PROTECTED_EPOCHS = 2  # in which what came back goes last, and what went stays away
UNITS = ("params", "macs")
Masks = Mapping[str, np.ndarray]  # of every kernel, in the order of the architecture


class Place(enum.Enum):
    """Whether there is a place for the next block, or room is saved for it."""

    NONE, SAVED, FREE = range(3)


@dataclasses.dataclass(frozen=True)
class Market(StructurePolicy):
    r"""Before each epoch, connections and the next block compete for a budget by their price in nats per unit of cost.

    The budget rises from that of the first block to a peak, stays there, falls, and ends at what the keep ratios leave
    of the target: connections are overproduced, and those that are used stay. Free room goes to what promises most; as
    the budget falls, what costs least goes; and at any time a pruned connection, or the next block, takes the place of
    kept connections if it gains clearly more than they are worth. A block comes sparse, at its keep ratio; if it
    promises more than the pruned connections that would fit in its place, room is saved for it.

    The removal of a connection may cost :math:`|g w| + \frac{1}{2} F w^2`, with the mean gradient g and the diagonal F
    of the empirical Fisher matrix. The gain of a pruned one is its share of what a step in all pruned ones of the
    kernel gains together, and that of a block what a step in its head gains, if its logits were added to those of the
    last head; see `kgrow.pruning.prices`. Blocks that have not paid by the last event, because an earlier head answers
    better than the last one by more than chance, are cut off, and their connections go to the others.

    Args:
        peak: Largest budget, as a multiple of the last one, at least 1.
        rise: Fraction of the epochs after which the budget is at its peak, in (0, 1).
        hold: Fraction of the epochs after which it falls; no block comes later.
        freeze: Fraction of the epochs after which it is at its end and nothing changes any more.
        exchange: Largest fraction of the used budget that is exchanged at an event, in [0, 1); it falls on a cosine to
            zero.
        hysteresis: Factor by which a gain must exceed what makes room for it, at least 1.
        least_gain: Least gain of a connection, in nats per unit of cost.
        credit: Factor on the gain of a block: the first step, which is all that it counts, undervalues depth.
        unit: What a connection costs: `"params"`, one, or `"macs"`, the positions at which it is computed.
        num_examples: Number of training images that prices are computed on, at least 8, in batches of up to 64.
    """

    peak: float = 1.5
    rise: float = 0.3
    hold: float = 0.4
    freeze: float = 0.7
    exchange: float = 0.3
    hysteresis: float = 1.5
    least_gain: float = 1e-9
    credit: float = 1.0
    unit: str = "params"
    num_examples: int = 384

    def __post_init__(self) -> None:
        rules = {
            **dict.fromkeys(("rise", "hold", "freeze"), within("(0, 1)")),
            **dict.fromkeys(("peak", "hysteresis"), within("[1, inf)")),
            **dict.fromkeys(("least_gain", "credit"), within("[0, inf)")),
            "exchange": within("[0, 1)"),
            "unit": one_of(UNITS),
            "num_examples": check_num_examples,
        }
        check_fields(self, rules)
        if not self.rise <= self.hold < self.freeze:
            raise ValueError(
                f"`rise`, `hold` and `freeze` must come in this order, but got {self.rise}, {self.hold}, {self.freeze}."
            )

    def pruning_schedule(self, schedule: PruningSchedule, num_epochs: int) -> PruningSchedule:
        """See `StructurePolicy.pruning_schedule`; the market prunes by itself."""
        return NoPruning()

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.epoch >= self._last(state.num_epochs)

    def propose(self, state: StructureState) -> AppendBlock | Cut | Trade | None:
        """See `StructurePolicy.propose`."""
        if not state.architecture.blocks:
            self._check_budget(state)
            return state.next_block
        if state.epoch == 0 or state.epoch > self._last(state.num_epochs) or _has_made(state, Trade.event):
            return None
        if state.epoch == self._last(state.num_epochs) and not _has_made(state, Cut.event):
            depth = _worthwhile_depth(state.statistics.answers())
            if depth < len(state.architecture.blocks):
                return Cut(depth)
        masks, prices = state.statistics.masks(), self.prices(state)
        book = self._book(state, masks, prices)
        place = self._place_of_block(state, book)
        return state.next_block if place is Place.FREE else self._trade(state, masks, prices, book, place)

    def prices(self, state: StructureState) -> Mapping[str, Prices]:
        """Returns the prices of all connections, by kernel name."""
        return state.statistics.prices(self.num_examples)

    def budget(self, state: StructureState) -> float:
        """Returns the budget before an epoch, in units of cost."""
        costs, kernels = self._costs(state), state.target.kernels()
        whole = float(sum(costs[kernel.name] * kernel.kernel_params for kernel in kernels))
        # Rounded down kernel by kernel: the least of all ways to count what is kept.
        kept = (kept_count(state.keep_ratios[kernel.block_index], kernel.kernel_params) for kernel in kernels)
        final = float(sum(costs[kernel.name] * count for kernel, count in zip(kernels, kept, strict=True)))
        highest = min(self.peak * final, whole)
        lowest, now = min(self._size(state, 0), highest), state.epoch / self._last(state.num_epochs) * self.freeze
        if now < self.rise:
            return lowest + (highest - lowest) * now / self.rise
        left = 1 - max(0.0, now - self.hold) / (self.freeze - self.hold)
        return final + (highest - final) * max(0.0, left) ** 3

    def _check_budget(self, state: StructureState) -> None:
        """Raises ValueError if what the keep ratios leave is not enough for a connection in every kernel."""
        least = float(sum(self._costs(state)[kernel.name] for kernel in state.target.kernels()))
        final = self.budget(dataclasses.replace(state, epoch=self._last(state.num_epochs)))
        if final < least:
            raise ValueError(
                f"`keep_ratios` must leave a budget of {least:.0f} {self.unit}, one connection in every kernel, but "
                f"leave {final:.0f}. Raise them."
            )

    def _last(self, num_epochs: int) -> int:
        """Returns the last epoch with an event."""
        return max(1, round(self.freeze * num_epochs))

    def _last_growth(self, num_epochs: int) -> int:
        """Returns the last epoch before which a block may come."""
        return max(1, round(self.hold / self.freeze * self._last(num_epochs)))

    def _costs(self, state: StructureState) -> dict[str, int]:
        """Returns what a connection of each kernel costs, on images of the final size."""
        kernels = (*state.architecture.kernels(), *state.target.kernels())
        return {kernel.name: kernel.positions if self.unit == "macs" else 1 for kernel in kernels}

    def _size(self, state: StructureState, block: int) -> float:
        """Returns what all connections of a block of the target cost."""
        costs = self._costs(state)
        return float(sum(costs[kernel.name] * kernel.kernel_params for kernel in state.target.kernels(block)))

    def _most_exchanged(self, state: StructureState, used: float) -> float:
        return used * self.exchange * half_cosine(state.epoch / self._last(state.num_epochs))

    def _place_of_block(self, state: StructureState, book: Book) -> Place:
        """Returns whether the next block gains more than the connections that it would keep out and drive out."""
        block, number = state.next_block, len(state.architecture.blocks)
        if block is None or state.epoch > self._last_growth(state.num_epochs) or state.epoch in state.births:
            return Place.NONE
        cost = state.keep_ratios[number] * self._size(state, number)
        room = self.budget(state) - book.used
        gain = self.credit * state.statistics.block_gain(block, self.num_examples)
        kept_out, driven_out = book.rivals(cost, room, self.least_gain)
        if gain <= max(self.least_gain * cost, book.gain[kept_out].sum()):
            return Place.NONE
        freed = float(book.cost[driven_out].sum())
        lost = self.hysteresis * book.removal[driven_out].sum() if len(driven_out) else 0.0
        is_affordable = room + freed >= cost and freed <= self._most_exchanged(state, book.used)
        return Place.FREE if is_affordable and gain > book.gain[kept_out].sum() + lost else Place.SAVED

    def _trade(
        self, state: StructureState, masks: Masks, prices: Mapping[str, Prices], book: Book, place: Place
    ) -> Trade | None:
        """Returns what goes and comes; a block that was just appended loses what is beyond its keep ratio."""
        surplus = self._surplus(state, prices)
        book = dataclasses.replace(book, live=book.live & ~surplus, tabu=book.tabu | surplus)
        budget, most = self.budget(state), self._most_exchanged(state, book.used)
        made = deal(book, budget, most, self.hysteresis, self.least_gain, expands=place is not Place.SAVED)
        removed, revived = made.removed | surplus, made.revived
        if not (removed.any() or revived.any()):
            return None
        costs = {field: getattr(made, field) for field in ("expanded", "contracted", "exchanged", "predicted")}
        used = float(book.cost[(book.live & ~made.removed) | made.revived].sum())
        ledger = {"budget": budget, "used": used, "thinned": float(book.cost[surplus].sum()), **costs}
        return Trade(_named(masks, removed), _named(masks, revived), ledger)

    def _surplus(self, state: StructureState, prices: Mapping[str, Prices]) -> np.ndarray:
        """Returns which connections of a block appended before this epoch go at once, kernel by kernel."""
        parts = []
        for kernel in state.architecture.kernels():
            ratio = state.keep_ratios[kernel.block_index] if state.births[kernel.block_index] == state.epoch else 1.0
            removal = prices[kernel.name].removal.ravel()
            gone = np.zeros(removal.size, bool)
            gone[np.argsort(-removal, kind="stable")[max(1, math.floor(ratio * removal.size)) :]] = ratio < 1
            parts.append(gone)
        return np.concatenate(parts)

    def _book(self, state: StructureState, masks: Masks, prices: Mapping[str, Prices]) -> Book:
        costs, kernels = self._costs(state), state.architecture.kernels()
        needed = [_strongest(masks[kernel.name], prices[kernel.name].removal) for kernel in kernels]
        is_young = [state.epoch - state.births[kernel.block_index] <= PROTECTED_EPOCHS for kernel in kernels]
        return Book(
            np.concatenate([masks[kernel.name].ravel() > 0 for kernel in kernels]),
            np.concatenate([prices[kernel.name].removal.ravel() for kernel in kernels]),
            np.concatenate([prices[kernel.name].gain.ravel() for kernel in kernels]),
            np.concatenate([np.full(kernel.kernel_params, float(costs[kernel.name])) for kernel in kernels]),
            np.repeat(is_young, [kernel.kernel_params for kernel in kernels]) | _lately(state, masks, "revived"),
            _lately(state, masks, "removed"),
            np.concatenate(needed),
        )


def _has_made(state: StructureState, kind: str) -> bool:
    return any(event["event"] == kind and event["epoch"] == state.epoch for event in state.changes)


def _worthwhile_depth(answers: np.ndarray) -> int:
    """Returns the number of blocks up to the best head, if that is more than chance better than the last one."""
    best = int(answers.mean(axis=1).argmax())
    is_better = answers[best].sum() > answers[-1].sum() and p_value(answers[best], answers[-1]) <= SIGNIFICANCE
    return best + 1 if is_better else len(answers)


def _strongest(mask: np.ndarray, removal: np.ndarray) -> np.ndarray:
    """Returns which kept connection of a kernel is worth most, flat: without any the network would be cut in two."""
    flags, worth = np.zeros(mask.size, np.bool_), np.where(mask > 0, removal, -1.0).ravel()
    flags[worth.argmax()] = worth.max() >= 0
    return flags


def _named(masks: Masks, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Returns flat flags as arrays of the kernels' shapes, without kernels that have none."""
    ends = np.cumsum([mask.size for mask in masks.values()])
    parts = zip(masks.items(), np.split(chosen, ends[:-1]), strict=True)
    return {name: part.reshape(mask.shape) for (name, mask), part in parts if part.any()}


def _lately(state: StructureState, masks: Masks, side: str) -> np.ndarray:
    """Returns which connections came or went at the latest trades; of other shapes are those of an earlier network."""
    found = {name: np.zeros(mask.shape, np.bool_) for name, mask in masks.items()}
    late = (event for event in state.changes if state.epoch - event["epoch"] <= PROTECTED_EPOCHS)
    for event in (event for event in late if event["event"] == Trade.event):
        for name, packed in event["change"][side].items():
            if name in found and found[name].shape == tuple(packed["shape"]):
                np.logical_or(found[name], unpack(packed), out=found[name])
    return np.concatenate([own.ravel() for own in found.values()])
