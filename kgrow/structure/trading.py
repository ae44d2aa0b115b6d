"""The arithmetic of the market: which connections go and which come back within a budget."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Book:
    """All connections of a network, flat, with what they are worth and what they cost.

    Args:
        live: Whether each is kept, bool.
        removal: Nats that its removal may cost, if it is kept.
        gain: Nats that it is expected to gain, if it is pruned.
        cost: What it uses of the budget if it is kept; positive.
        immune: Whether it was restored lately: such connections go last.
        tabu: Whether it was pruned lately: such connections do not come back.
        needed: Whether it never goes, because its kernel would have none left.
    """

    live: np.ndarray
    removal: np.ndarray
    gain: np.ndarray
    cost: np.ndarray
    immune: np.ndarray
    tabu: np.ndarray
    needed: np.ndarray

    @property
    def used(self) -> float:
        """What the kept connections use of the budget."""
        return float(self.cost[self.live].sum())

    def cheapest(self) -> np.ndarray:
        """Returns the numbers of the kept connections that may go: the cheapest per unit first, immune ones last."""
        kept = np.flatnonzero(self.live & ~self.needed)
        return kept[np.lexsort((kept, (self.removal / self.cost)[kept], self.immune[kept]))]

    def best(self, least: float) -> np.ndarray:
        """Returns the numbers of the pruned connections that gain more than `least` per unit, the best first."""
        price = self.gain / self.cost
        open_ = np.flatnonzero(~self.live & ~self.tabu & (price > least))
        return open_[np.argsort(-price[open_], kind="stable")]

    def rivals(self, cost: float, room: float, least: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the connections that compete with something of a given cost.

        Returns:
            Numbers of the pruned ones that fit in its place, and of the kept ones that would go for it now.
        """
        best, cheapest = self.best(least), self.cheapest()
        cheapest = cheapest[~self.immune[cheapest]]
        kept_out = best[: _fitting(self.cost[best], cost)]
        return kept_out, cheapest[: _reaching(self.cost[cheapest], cost - room)] if cost > room else cheapest[:0]


@dataclasses.dataclass(frozen=True)
class Deal:
    """The outcome of a market.

    Args:
        removed: Whether each connection goes, bool.
        revived: Whether each comes back, bool.
        expanded: What connections that came back for free room use.
        contracted: What connections used that went because the budget fell.
        exchanged: What connections use that came back in place of others.
        predicted: Expected gain of the loss in nats, minus the expected cost of removals.
    """

    removed: np.ndarray
    revived: np.ndarray
    expanded: float
    contracted: float
    exchanged: float
    predicted: float


def deal(
    book: Book, budget: float, most_exchanged: float, hysteresis: float, least: float, *, expands: bool = True
) -> Deal:
    """Expands into free room, contracts to the budget, and exchanges weak connections for promising ones.

    Args:
        book: Connections.
        budget: Most that may be used afterwards.
        most_exchanged: Most that exchanged connections may use.
        hysteresis: An exchange must gain more than this factor times what it costs.
        least: Least gain of a connection per unit of its cost.
        expands: Whether free room is used; else it is saved.

    Returns:
        The connections that go and come. None both goes and comes, and they use at most the budget unless those that
        are needed use more.
    """
    removed, revived = np.zeros_like(book.live), np.zeros_like(book.live)
    best, cheapest, used = book.best(least), book.cheapest(), book.used
    room = budget - used
    expanding = best[: _fitting(book.cost[best], room)] if expands and room > 0 else best[:0]
    revived[expanding] = True
    contracting = cheapest[: _reaching(book.cost[cheapest], -room)] if room < 0 else cheapest[:0]
    removed[contracting] = True
    room += book.cost[contracting].sum() - book.cost[expanding].sum()
    best, cheapest = best[len(expanding) :], cheapest[len(contracting) :]
    room = room if expands else 0.0
    pairs = _exchanges(book, best, cheapest[~book.immune[cheapest]], room, most_exchanged, hysteresis)
    removed[pairs[1]], revived[pairs[0]] = True, True
    return Deal(
        removed,
        revived,
        float(book.cost[expanding].sum()),
        float(book.cost[contracting].sum()),
        float(book.cost[pairs[0]].sum()),
        float(book.gain[revived].sum() - book.removal[removed].sum()),
    )


def _fitting(costs: np.ndarray, room: float) -> int:
    """Returns how many of the first items fit."""
    return int(np.searchsorted(np.cumsum(costs), room, side="right"))


def _reaching(costs: np.ndarray, excess: float) -> int:
    """Returns how many of the first items make up for an excess."""
    return min(len(costs), int(np.searchsorted(np.cumsum(costs), excess, side="left")) + 1)


def _exchanges(
    book: Book, best: np.ndarray, cheapest: np.ndarray, room: float, most: float, hysteresis: float
) -> tuple[list[int], list[int]]:
    """Pairs the best pruned connection with the cheapest kept ones of at least its cost, until it no longer pays."""
    coming, going, moved, next_ = list[int](), list[int](), 0.0, 0
    for item in best:
        gone, freed, lost = next_, room, 0.0
        while freed < book.cost[item] and gone < len(cheapest):
            freed, lost, gone = freed + book.cost[cheapest[gone]], lost + book.removal[cheapest[gone]], gone + 1
        moved += book.cost[item]
        if freed < book.cost[item] or moved > most or book.gain[item] <= hysteresis * lost:
            break
        coming.append(int(item))
        going += map(int, cheapest[next_:gone])
        room, next_ = freed - book.cost[item], gone
    return coming, going
