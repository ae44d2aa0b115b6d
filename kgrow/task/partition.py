"""Sets examples aside: stratified, seeded, and the same on every machine."""

import hashlib
from collections.abc import Sequence

import numpy as np


def carve_whole(labels: np.ndarray, groups: np.ndarray, ratios: Sequence[float], seed: int) -> list[np.ndarray]:
    """Chooses the examples to set aside so that no group is divided.

    The first example of each group stands for it: the shares are those of groups, see `carve`. Where the groups are too
    few for that, as in made-up data of flat images, the examples are divided as if no two belonged together.

    Args:
        labels: Class indices `(num_examples,)`.
        groups: A number per example; examples of one number stay together.
        ratios: Share of the groups for each part, in (0, 1).
        seed: Decides which groups.

    Returns:
        Sorted indices of what is left, followed by those of each part.

    Raises:
        ValueError: If there are too few examples.
    """
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    in_order = np.sort(first)
    if len(in_order) - len(np.unique(labels[in_order])) < len(ratios):
        return carve(labels, ratios, seed)
    side = np.zeros(len(labels), np.int64)
    for part, chosen in enumerate(carve(labels[in_order], ratios, seed)):
        side[in_order[chosen]] = part
    side = side[first[members]]
    for index in np.setdiff1d(labels, labels[side == 0]):
        # Its examples are in groups that others stand for: one of these groups goes back.
        side[members == members[np.flatnonzero(labels == index)[0]]] = 0
    parts = [np.flatnonzero(side == part) for part in range(len(ratios) + 1)]
    return parts if all(map(len, parts)) else carve(labels, ratios, seed)


def carve(labels: np.ndarray, ratios: Sequence[float], seed: int) -> list[np.ndarray]:
    """Chooses the examples to set aside.

    Every class gives its share, to the nearest example. A class too small for that gives less, and always keeps at
    least one example; each part receives at least one example overall. NumPy alone does it: the split of a resumed
    run must not depend on the installed version of scikit-learn, whose stratified splitters also refuse such classes.

    Args:
        labels: Class indices `(num_examples,)`.
        ratios: Share of all examples for each part, in (0, 1).
        seed: Decides which examples.

    Returns:
        Sorted indices of what is left, followed by those of each part.

    Raises:
        ValueError: If there are too few examples.
    """
    labels = np.asarray(labels)
    counts = np.bincount(labels)
    num_spare = int(np.maximum(counts - 1, 0).sum())
    if num_spare < len(ratios):
        raise ValueError(
            f"`source` must hold at least {len(labels) - num_spare + len(ratios)} images to be divided, but got "
            f"{len(labels)}. Add images, or pass `validation_data` and `test_data`."
        )
    random = np.random.default_rng(seed)
    members = [random.permutation(np.flatnonzero(labels == index)) for index in range(len(counts))]
    taken = np.zeros_like(counts)
    parts = []
    for position, ratio in enumerate(ratios):
        num_left_over = len(ratios) - position - 1
        wanted = min(max(1, round(ratio * len(labels))), num_spare - int(taken.sum()) - num_left_over)
        share = apportion(counts * (wanted / len(labels)), np.maximum(counts - 1, 0) - taken, wanted, random)
        parts.append(_gather(members, taken, taken + share))
        taken = taken + share
    return [_gather(members, taken, counts), *parts]


def apportion(ideal: np.ndarray, limits: np.ndarray, total: int, random: np.random.Generator) -> np.ndarray:
    """Rounds ideal shares to whole numbers with a given sum (largest remainder, ties by lot).

    Args:
        ideal: Share of each class, fractional.
        limits: Most that each class can give.
        total: Sum wanted, at most the sum of `limits`.
        random: Breaks ties.

    Returns:
        Whole numbers `0 <= share <= limits` that sum to `total`.
    """
    share = np.minimum(np.floor(ideal).astype(np.int64), limits)
    while share.sum() < total:
        short = np.where(share < limits, ideal - share, -np.inf)
        candidates = np.lexsort((random.random(len(ideal)), -short))
        candidates = candidates[share[candidates] < limits[candidates]]
        share[candidates[: total - int(share.sum())]] += 1
    return share


def content_order(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns an order of examples that depends on what they are alone, not on where they stand.

    Args:
        images: (num_examples, height, width, channels).
        labels: Class indices (num_examples,).
    """
    digests = [
        hashlib.blake2b(np.ascontiguousarray(image).data.cast("B"), digest_size=16, salt=b"%d" % label).digest()
        for image, label in zip(images, labels.tolist(), strict=True)
    ]
    return np.argsort(np.array(digests, dtype="S16"), kind="stable")


def reorder(rows: np.ndarray, order: np.ndarray) -> None:
    """Does `rows[:] = rows[order]` in place, one row in memory at a time.

    Args:
        rows: Array to permute along its first axis.
        order: A permutation of `range(len(rows))`.
    """
    sources = order.tolist()
    for start in range(len(sources)):
        if sources[start] == start:
            continue
        saved, position = rows[start].copy(), start
        while sources[position] != start:
            rows[position] = rows[sources[position]]
            sources[position], position = position, sources[position]
        rows[position] = saved
        sources[position] = position


def _gather(members: list[np.ndarray], starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    pieces = [rows[start:end] for rows, start, end in zip(members, starts, ends, strict=True)]
    return np.sort(np.concatenate(pieces))
