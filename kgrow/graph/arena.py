"""The arena of activations on a microcontroller: the order of operations and the place of each tensor.

TensorFlow Lite Micro gives every tensor except weights a place in one arena before the first inference, from the
largest to the smallest, each at the lowest offset that is free during the tensor's lifetime. Its tie-breaking wastes up
to a quarter in networks with residual sums. A plan in the file overrides it: the best one that a few orders find. The
same functions plan exported files and predict the memory of architectures, so both give the same size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

ALIGNMENT = 16

T = TypeVar("T", bound=Hashable)


@dataclasses.dataclass
class Lifetime:
    """The steps in which a part of the arena is needed.

    Args:
        subgraph: Index of the tensor's subgraph, -1 for an operation's scratch memory.
        tensor: Index of the tensor in the subgraph.
        size: Size in bytes, rounded up to the alignment.
        first: First step, in which it is written.
        last: Last step in which it is read.
    """

    subgraph: int
    tensor: int
    size: int
    first: int = -1
    last: int = -1

    def overlaps(self, other: Lifetime) -> bool:
        """Returns whether both are needed in some step."""
        return self.first <= other.last and other.first <= self.last

    def create(self, step: int) -> None:
        """Starts the lifetime, unless it has already started."""
        self.first = step if self.first < 0 else self.first


Placed = list[tuple[int, Lifetime]]

# No two tensors of a subgraph are first written at the same step, so each key gives a total order regardless of
# numbers.
ORDERS: tuple[Callable[[Lifetime], tuple[int, ...]], ...] = (
    lambda life: (-life.size, life.first),
    lambda life: (-life.size, -life.first),  # TensorFlow Lite Micro's own order
    lambda life: (-life.size, life.first - life.last, life.first),
    lambda life: (-life.size * (life.last - life.first + 1), life.first),
    lambda life: (life.first, -life.size),
)


def aligned(size: int) -> int:
    """Returns a number of bytes, rounded up to the alignment of tensors."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def place(order: Iterable[Lifetime], placed: Sequence[tuple[int, Lifetime]] = ()) -> Placed:
    """Returns (offset, lifetime) for each in turn, with the lowest offset that is free during the lifetime."""
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
    """Returns one placement of everything for each of `ORDERS`."""
    return [place(sorted(lives, key=order)) for order in ORDERS]


def planned_bytes(lives: Sequence[Lifetime]) -> int:
    """Returns the size of the arena under the best plan."""
    return min(map(peak, plans(lives)))


def lifetimes_of(
    order: Sequence[T], reads: Mapping[T, Sequence[T]], sizes: Mapping[T, int], wanted: Sequence[T]
) -> list[Lifetime]:
    """Returns the lifetime of each tensor of a network.

    Args:
        order: Operations in execution order, named as their outputs.
        reads: Inputs of each operation.
        sizes: Bytes of each tensor, including those that exist from the start; a tensor without a size is not an
            activation.
        wanted: Outputs, which are needed to the end.
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
    """Returns the order of operations with the least memory of two: the first operand first, or the last.

    Each operation comes after its inputs and as late as possible. If all operations that read one map ran in sequence,
    their results would all wait in memory for their sum.

    Args:
        reads: Inputs of each operation; operations are named as their outputs.
        sizes: Bytes of each tensor; see `lifetimes_of`.
        wanted: Outputs in the order in which they are needed: an earlier head before a later one.
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
