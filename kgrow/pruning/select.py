"""Selection of masks from scores: exact counts, stable ties, no revived connections. NumPy only."""

import itertools
from collections.abc import Sequence

import numpy as np


def kept_count(keep_ratio: float, size: int) -> int:
    """Returns `floor(keep_ratio * size)`, robust to rounding such as 0.7 * 10 = 6.999..."""
    return int(keep_ratio * size + 1e-9)


def select(
    saliency: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    num_kept: int,
    min_saliency: float = 0.0,
    *,
    empties_kernels: bool = False,
) -> list[np.ndarray]:
    """Keeps the highest scores of several kernels that are ranked together.

    Ties go to the earlier position, so the count is exact. Masked connections are never kept. Every kernel keeps at
    least its best connection while `num_kept` allows, because a kernel without connections cuts the network in two.

    Args:
        saliency: Non-negative scores, one array per kernel.
        masks: Current {0, 1} masks, of the same shapes.
        num_kept: Total number of connections to keep; if fewer are alive, all of them are kept.
        min_saliency: Smallest kept score; fewer connections are kept if fewer reach it or are the best of their kernel.
        empties_kernels: Whether a best connection that scores 0 is treated like any other.

    Returns:
        The new float32 {0, 1} masks.

    Raises:
        ValueError: If a score is negative or not finite.
    """
    flat = np.concatenate([np.ravel(scores).astype(np.float64) for scores in saliency])
    if not np.isfinite(flat).all() or flat.min() < 0:
        raise ValueError(f"`saliency` must be finite and non-negative, but lies in [{flat.min()}, {flat.max()}].")
    alive = np.concatenate([np.ravel(mask) for mask in masks]) > 0
    flat[~alive] = -1.0
    bounds = np.cumsum([0, *(scores.size for scores in saliency)])
    best = [start + int(np.argmax(flat[start:stop])) for start, stop in itertools.pairwise(bounds)]
    best = [index for index in best if alive[index] and (flat[index] > 0 or not empties_kernels)]
    strong = flat >= min_saliency
    strong[best] = True
    num_kept = min(num_kept, int(np.sum(strong & alive)))
    if len(best) <= num_kept:
        flat[best] = np.inf
    kept = np.zeros(flat.size, np.float32)
    kept[np.argsort(-flat, kind="stable")[:num_kept]] = 1.0
    return [
        kept[start:stop].reshape(scores.shape)
        for scores, (start, stop) in zip(saliency, itertools.pairwise(bounds), strict=True)
    ]
