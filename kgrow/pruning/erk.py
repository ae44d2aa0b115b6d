"""The densities of a random sparse network: small layers keep more. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def erk_counts(shapes: Sequence[tuple[int, ...]], num_kept: int) -> list[int]:
    r"""Returns how many connections each kernel keeps, in all exactly as many as wanted.

    Kernel l of :math:`n_l` connections has the density :math:`\epsilon \, (h + w + c_{in} + c_{out}) / n_l`, a Dense
    one without h and w; the factor :math:`\epsilon` gives the sum. Kernels that would exceed a density of 1 are whole,
    and the others share the rest. Fractions of a connection go to the kernels that are owed most, and each kernel gets
    one while there are enough: without any the network is cut in two.

    Args:
        shapes: Shapes of the kernels.
        num_kept: Number of connections to keep, at most that of all kernels.

    References:
        Evci, Gale, Menick, Castro and Elsen, "Rigging the Lottery: Making All Tickets Winners", ICML 2020,
        https://arxiv.org/abs/1911.11134, section 3: Erdős-Rényi-Kernel.
    """
    sizes, sums = (np.array([reduce(shape) for shape in shapes], float) for reduce in (np.prod, np.sum))
    whole = np.zeros(len(shapes), bool)
    while True:
        left = num_kept - sizes[whole].sum()
        wanted = np.where(whole, sizes, left * sums / max(sums[~whole].sum(), 1.0))
        exceeding = ~whole & (wanted > sizes)
        if not exceeding.any():
            break
        whole |= exceeding
    counts = np.floor(wanted + 1e-9)
    owed = np.argsort(-(wanted - counts), kind="stable")[: int(num_kept - counts.sum())]
    counts[owed] += 1
    for _ in range(min(num_kept, len(shapes)) - np.count_nonzero(counts)):
        counts[np.argmax(counts - wanted + 1e-6 * counts - np.where(counts > 1, 0, np.inf))] -= 1
        counts[np.flatnonzero(counts == 0)[0]] += 1
    return [int(count) for count in counts]
