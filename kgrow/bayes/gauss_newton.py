"""The diagonal of the Gauss-Newton matrix."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow.bayes.curvature import Batch, Curvature, Model
from kgrow.bayes.likelihood import Likelihood
from kgrow.bayes.outer_products import mean_squares


@dataclasses.dataclass(frozen=True)
class GaussNewton(Curvature):
    r"""Exact diagonal of :math:`\sum_n J_n^\top H_n J_n`, H_n being the Hessian in the outputs of one example.

    It is never negative. It equals the diagonal of the Hessian almost everywhere if the outputs are piecewise linear in
    each single parameter (ReLU, max pooling, frozen normalization, every parameter used in one place). It costs one
    backward pass per class and head.

    References:
        Schraudolph, "Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent", Neural Computation 2002.
    """

    def diagonal(self, model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> list[np.ndarray]:
        """See `Curvature.diagonal`."""
        return mean_squares(model, batches, lambda outputs, _: likelihood.factors(outputs))
