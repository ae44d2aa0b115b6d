"""Random masks with an exact number of connections and no dead unit."""

from __future__ import annotations

import numpy as np


def random_mask(
    shape: tuple[int, int], num_connections: int, generator: np.random.Generator, covers_inputs: bool = True
) -> np.ndarray:
    """Draws which connections of a layer exist.

    Every output, and every input if requested, gets one connection, distributed evenly at random; all others are drawn
    uniformly from the remaining places.

    Args:
        shape: (inputs, outputs).
        num_connections: Number of existing connections.
        generator: Random generator.
        covers_inputs: Whether every input must be read.

    Returns:
        float32 {0, 1} array of the shape, with exactly `num_connections` ones.

    Raises:
        ValueError: If there are too few connections for that, or more than the layer has.

    Example:
        >>> mask = random_mask((6, 4), 9, np.random.default_rng(0))
        >>> int(mask.sum()), int(mask.sum(axis=0).min()), int(mask.sum(axis=1).min())
        (9, 1, 1)
    """
    inputs, outputs = shape
    needed = max(inputs, outputs) if covers_inputs else outputs
    if not needed <= num_connections <= inputs * outputs:
        raise ValueError(
            f"`num_connections` must be in [{needed}, {inputs * outputs}] for a layer of {inputs} x {outputs}, but got "
            f"{num_connections!r}: with fewer a unit would have no connection."
        )
    mask = np.zeros(inputs * outputs, np.float32)
    rows, columns = _dealt(inputs, needed, generator), _dealt(outputs, needed, generator)
    mask[rows * outputs + columns] = 1.0
    free = np.flatnonzero(mask == 0)
    mask[generator.choice(free, num_connections - needed, replace=False)] = 1.0
    return mask.reshape(shape)


def _dealt(size: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Returns `count` indices below `size`; their frequencies differ by at most one."""
    rounds = [generator.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate(rounds)[:count]
