"""The arena of activations on a microcontroller: in what order operations run, and where each tensor lies.

TensorFlow Lite Micro gives every tensor that is no weight a place in one arena before the first inference, from the
largest to the smallest, each at the lowest offset that is free while the tensor lives. How it breaks ties wastes up to
a quarter in networks with residual sums. A plan in the file overrides it: the best that a few orders find. Files that
are exported and architectures whose memory is predicted are planned by the same functions, so both come to the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

ALIGNMENT = 16

T = TypeVar("T", bound=Hashable)


@dataclasses.dataclass
class Lifetime:
    """How long a part of the arena is needed.

    Args:
        subgraph: Index of the tensor's subgraph, -1 for an operation's scratch.
        tensor: Index of the tensor in it.
        size: Bytes, rounded up to the alignment.
        first: The step at which it is written first.
        last: The step at which it is read last.
    """

    subgraph: int
    tensor: int
    size: int
    first: int = -1
    last: int = -1

    def overlaps(self, other: Lifetime) -> bool:
        """Whether both are needed at some step."""
        return self.first <= other.last and other.first <= self.last

    def create(self, step: int) -> None:
        """Starts the lifetime, unless it has started."""
        self.first = step if self.first < 0 else self.first


Placed = list[tuple[int, Lifetime]]

# No two tensors of a subgraph are first written at the same step, so each key orders them whatever their numbers are.
ORDERS: tuple[Callable[[Lifetime], tuple[int, ...]], ...] = (
    lambda life: (-life.size, life.first),
    lambda life: (-life.size, -life.first),  # TensorFlow Lite Micro's own
    lambda life: (-life.size, life.first - life.last, life.first),
    lambda life: (-life.size * (life.last - life.first + 1), life.first),
    lambda life: (life.first, -life.size),
)


def aligned(size: int) -> int:
    """Returns a number of bytes, rounded up to what tensors are aligned to."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def place(order: Iterable[Lifetime], placed: Sequence[tuple[int, Lifetime]] = ()) -> Placed:
    """Returns (offset, lifetime) for each in turn: the lowest offset that is free while it lives."""
    result = list(placed)
    for life in order:
        offset = 0
        for start, other in sorted(result, key=lambda pair: pair[0]):
            if not life.overlaps(other):
                continue
            if start - offset >= life.size:
                break
            offset = max(offset, start + other.size)
        result.append((offset, life))
    return result


def peak(placed: Sequence[tuple[int, Lifetime]]) -> int:
    """Returns the size of an arena in bytes."""
    return max((offset + life.size for offset, life in placed), default=0)


def plans(lives: Sequence[Lifetime]) -> list[Placed]:
    """Returns where everything may lie, one way for each of `ORDERS`."""
    return [place(sorted(lives, key=order)) for order in ORDERS]


def planned_bytes(lives: Sequence[Lifetime]) -> int:
    """Returns the size of the arena under the best plan."""
    return min(map(peak, plans(lives)))


def lifetimes_of(
    order: Sequence[T], reads: Mapping[T, Sequence[T]], sizes: Mapping[T, int], wanted: Sequence[T]
) -> list[Lifetime]:
    """Returns how long each tensor of a network is needed.

    Args:
        order: The operations in the order they run, named as their outputs.
        reads: By operation, what it reads.
        sizes: Bytes of each tensor, those that are given from the start included; what has none is no activation.
        wanted: The outputs, which are needed to the end.
    """
    written = {name: step for step, name in enumerate(order, start=1)}
    last = {name: step for name, step in written.items()}
    for name, step in written.items():
        last |= {source: step for source in reads[name]}
    last |= {name: len(order) for name in wanted}
    return [
        Lifetime(0, number, aligned(size), written.get(name, 0), last.get(name, 0))
        for number, (name, size) in enumerate(sizes.items())
    ]


def best_order(reads: Mapping[T, Sequence[T]], sizes: Mapping[T, int], wanted: Sequence[T]) -> list[T]:
    """Returns the order of operations that needs the least memory of two: the first operand first, or the last.

    Each operation comes after what it reads and no sooner than needed: run one after the other, all that read the same
    map would wait in memory for their sum.

    Args:
        reads: By operation, which is named as its output, what it reads.
        sizes: See `lifetimes_of`.
        wanted: The outputs, in the order in which they are wanted: an earlier head before a later one.
    """
    backwards = {name: tuple(reversed(inputs)) for name, inputs in reads.items()}
    orders = [_last_moments(way, wanted) for way in (reads, backwards)]
    return min(orders, key=lambda order: planned_bytes(lifetimes_of(order, reads, sizes, wanted)))


def _last_moments(reads: Mapping[T, Sequence[T]], wanted: Sequence[T]) -> list[T]:
    """Returns the operations that some outputs need, each after those that it needs itself, operand by operand."""
    order: dict[T, None] = {}
    waiting = list(reversed(wanted))
    while waiting:
        name = waiting[-1]
        if name not in reads or name in order:  # a weight or the image, or done
            waiting.pop()
            continue
        missing = [source for source in reads[name] if source in reads and source not in order]
        if missing:
            waiting += reversed(missing)
        else:
            order[name] = None
    return list(order)
