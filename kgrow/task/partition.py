"""Division of examples: stratified, seeded, and the same on every machine."""

import hashlib
from collections.abc import Sequence

import numpy as np


def carve_whole(labels: np.ndarray, groups: np.ndarray, ratios: Sequence[float], seed: int) -> list[np.ndarray]:
    """Chooses the examples of each part without dividing a group.

    The first example of each group represents it: the fractions are those of groups, see `carve`. If there are too few
    groups for that, as in synthetic data of flat images, the examples are divided individually.

    Args:
        labels: Class indices `(num_examples,)`.
        groups: Group number of each example; examples of one number stay together.
        ratios: Fraction of the groups for each part, in (0, 1).
        seed: Random seed of the choice of groups.

    Returns:
        Sorted indices of the remaining examples, followed by those of each part.

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
        # Its examples are in groups represented by others: one of these groups goes back.
        side[members == members[np.flatnonzero(labels == index)[0]]] = 0
    parts = [np.flatnonzero(side == part) for part in range(len(ratios) + 1)]
    return parts if all(map(len, parts)) else carve(labels, ratios, seed)


def carve(labels: np.ndarray, ratios: Sequence[float], seed: int) -> list[np.ndarray]:
    """Chooses the examples of each part.

    Every class contributes its fraction, to the nearest example. A class too small for that contributes less, and
    always keeps at least one example; each part receives at least one example overall. It uses NumPy only: the split of
    a resumed run must not depend on the installed version of scikit-learn, whose stratified splitters also reject such
    classes.

    Args:
        labels: Class indices `(num_examples,)`.
        ratios: Fraction of all examples for each part, in (0, 1).
        seed: Random seed of the choice of examples.

    Returns:
        Sorted indices of the remaining examples, followed by those of each part.

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
    """Rounds fractional numbers to whole numbers with a given sum (largest remainder, ties at random).

    Args:
        ideal: Fractional number of each class.
        limits: Largest possible number of each class.
        total: Target sum, at most the sum of `limits`.
        random: Random generator for ties.

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
    """Returns an order of examples that depends only on their content, not on their position.

    Args:
        images: Images, (num_examples, height, width, channels).
        labels: Class indices, (num_examples,).
    """
    digests = [
        hashlib.blake2b(np.ascontiguousarray(image).data.cast("B"), digest_size=16, salt=b"%d" % label).digest()
        for image, label in zip(images, labels.tolist(), strict=True)
    ]
    return np.argsort(np.array(digests, dtype="S16"), kind="stable")


def reorder(rows: np.ndarray, order: np.ndarray) -> None:
    """Performs `rows[:] = rows[order]` in place, with one row in memory at a time.

    Args:
        rows: Array to permute along its first axis.
        order: Permutation of `range(len(rows))`.
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
