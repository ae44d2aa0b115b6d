"""The diagonal of the Hessian from random signs."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow._checks import check_positive_int, check_seed
from kgrow._keras import tf
from kgrow._rules import check_fields
from kgrow.bayes.curvature import Batch, Curvature, Model
from kgrow.bayes.hessian import gradients
from kgrow.bayes.likelihood import Likelihood


@dataclasses.dataclass(frozen=True)
class Hutchinson(Curvature):
    r"""Mean of :math:`v \odot H v` over random signs v; unbiased and noisy, and can be negative.

    Args:
        num_probes: Number of sign vectors per batch; each costs one Hessian product.
        seed: Random seed of the signs.

    References:
        Bekas, Kokiopoulou and Saad, "An Estimator for the Diagonal of a Matrix", Applied Numerical Mathematics 2007.
    """

    num_probes: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, {"num_probes": check_positive_int, "seed": check_seed})

    def diagonal(self, model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> list[np.ndarray]:
        """See `Curvature.diagonal`."""
        generator = np.random.default_rng(self.seed)
        totals = [np.zeros(parameter.shape) for parameter in model.parameters]
        for gradient in gradients(model, likelihood, batches):
            for _ in range(self.num_probes):
                signs = [generator.choice([-1.0, 1.0], total.shape) for total in totals]
                vectors = [tf.constant(s, p.dtype) for s, p in zip(signs, model.parameters, strict=True)]
                products = gradient.hessian_product(vectors)
                for total, sign, product in zip(totals, signs, products, strict=True):
                    total += sign * product.numpy()
        return [total / self.num_probes for total in totals]
