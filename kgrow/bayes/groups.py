"""Groups of weights in a kernel, and the common switch of each group. NumPy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow._checks import lookup
from kgrow.bayes.prior import floored

# By name, the axes over which a group runs, for kernels (height, width, channels, filters) and (inputs, outputs).
CONV_CATEGORIES: dict[str, tuple[int, ...]] = {
    "element": (),
    "shape": (3,),
    "row": (1, 3),
    "column": (0, 3),
    "channel": (0, 1, 3),
    "stack_shape": (2, 3),
    "stack_row": (1, 2, 3),
    "stack_column": (0, 2, 3),
    "filter": (0, 1, 2),
    "layer": (0, 1, 2, 3),
}
DENSE_CATEGORIES: dict[str, tuple[int, ...]] = {"element": (), "in_neuron": (1,), "out_neuron": (0,), "layer": (0, 1)}

# Steps on small batches keep a group from being exactly 0. A group is off when its prior variance is less than this
# part of the variance 1 / h that the data leave: at the fixed point its evidence is then within a tenth of its price
# (experiment 0038).
SMALLEST_SUPPORT = 0.1


@dataclasses.dataclass(frozen=True)
class Category:
    """One way to cut a kernel into groups.

    Args:
        name: `"element"`, `"shape"`, `"row"`, `"column"`, `"channel"`, `"stack_shape"`, `"stack_row"`,
            `"stack_column"`, `"filter"` or `"layer"` for a convolution, `"element"`, `"in_neuron"`, `"out_neuron"` or
            `"layer"` for Dense.
        shape: Shape of the kernel.

    Example:
        >>> Category("filter", (3, 3, 16, 32)).group_shape
        (1, 1, 1, 32)
    """

    name: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shape) not in (2, 4):
            raise ValueError(f"`shape` must be that of a kernel, of 2 or 4 sides, but got {self.shape}.")
        lookup(self._table, self.name, "category")

    @property
    def _table(self) -> dict[str, tuple[int, ...]]:
        return CONV_CATEGORIES if len(self.shape) == 4 else DENSE_CATEGORIES

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes over which a group runs."""
        return self._table[self.name]

    @property
    def group_shape(self) -> tuple[int, ...]:
        """Shape of an array with one value per group; it broadcasts against the kernel."""
        return tuple(1 if axis in self.axes else side for axis, side in enumerate(self.shape))

    def total(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum over every group, float64 of `group_shape`."""
        return np.sum(np.asarray(values, np.float64), axis=self.axes, keepdims=True)

    def norms(self, kernel: np.ndarray) -> np.ndarray:
        """Returns the Euclidean norm of every group, float64 of `group_shape`."""
        return np.sqrt(self.total(np.square(np.asarray(kernel, np.float64))))


@dataclasses.dataclass(frozen=True, eq=False)
class GroupPrior:
    """The switches of a kernel's groups. It is immutable: an update makes a new one.

    Args:
        category: Category of the groups.
        gamma: Variance of the weights of every group, of the category's `group_shape`.
        omega: Weight of every group in the penalty, of the same shape.
        support: gamma times the mean curvature h of every group, of the same shape; at the fixed point the evidence
            over the price, less 1.
    """

    category: Category
    gamma: np.ndarray
    omega: np.ndarray
    support: np.ndarray

    @staticmethod
    def fresh(category: Category) -> GroupPrior:
        """Returns the prior before the first loop: every gamma and omega is 1, and no group has evidence against it."""
        ones = np.ones(category.group_shape)
        return GroupPrior(category, ones, ones, np.inf * ones)

    def updated(self, kernel: np.ndarray, curvature: np.ndarray, alive: np.ndarray) -> GroupPrior:
        r"""Returns the prior after a loop of training.

        :math:`\gamma_g = \|W_g\|_2 / \omega_g` with the omega under which the weights were trained, then
        :math:`\omega_g = \sqrt{\sum_{i \in g} h_i / (1 + \gamma_g h_i)}`, in the order of the source's Algorithm 2:
        every loop is a majorize-minimize step.

        Args:
            kernel: Weights of the kernel.
            curvature: Second derivative of the loss over its price (h = H / lambda) in every weight.
            alive: Mask of the weights that are left, bool of the kernel's shape. A group consists of these weights
                only.
        """
        curvature = floored(np.where(alive, curvature, 0.0))
        gamma = self.category.norms(kernel) / self.omega
        omega = np.sqrt(self.category.total(curvature / (1.0 + gamma * curvature)))
        support = gamma * self.category.total(curvature) / np.maximum(self.category.total(alive), 1.0)
        return GroupPrior(self.category, gamma, omega, support)

    def kept(self, kernel: np.ndarray) -> np.ndarray:
        """Returns which groups are on, bool of `group_shape`: not 0, and supported by the data.

        A group without curvature is off: its weights do not change the output of the network.
        """
        return (self.category.norms(kernel) > 0) & (self.support >= SMALLEST_SUPPORT)


def keep_mask(priors: Sequence[GroupPrior], kernel: np.ndarray) -> np.ndarray:
    """Returns the weights that every category keeps, bool of the kernel's shape."""
    mask = np.ones(np.shape(kernel), bool)
    for prior in priors:
        mask &= prior.kept(kernel)
    return mask
