"""The exact diagonal of the Hessian."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow._keras import tf
from kgrow.bayes.curvature import Batch, Curvature, Model
from kgrow.bayes.hessian import gradients
from kgrow.bayes.likelihood import Likelihood


@dataclasses.dataclass(frozen=True)
class ExactDiagonal(Curvature):
    """One Hessian product per parameter: suits some hundred gates, not kernels. The result can be negative."""

    def diagonal(self, model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> list[np.ndarray]:
        """See `Curvature.diagonal`."""
        totals = [np.zeros(parameter.shape) for parameter in model.parameters]
        for gradient in gradients(model, likelihood, batches):
            for index, total in enumerate(totals):
                for place in np.ndindex(total.shape):
                    units = [np.zeros(other.shape) for other in totals]
                    units[index][place] = 1.0
                    vectors = [tf.constant(u, p.dtype) for u, p in zip(units, model.parameters, strict=True)]
                    total[place] += gradient.hessian_product(vectors)[index].numpy()[place]
        return totals
