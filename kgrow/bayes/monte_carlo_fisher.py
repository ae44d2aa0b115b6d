"""The Fisher information from labels drawn from the model."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow._checks import check_positive_int, check_seed
from kgrow._rules import check_fields
from kgrow.bayes.curvature import Batch, Curvature, Model
from kgrow.bayes.likelihood import Likelihood
from kgrow.bayes.outer_products import mean_squares


@dataclasses.dataclass(frozen=True)
class MonteCarloFisher(Curvature):
    r"""Mean square of the gradient for labels drawn from the model; the default estimator.

    :math:`E_{y \sim p} (\partial \ell / \partial w)^2` estimates the Gauss-Newton diagonal without bias. It is never
    negative and costs one backward pass per draw. The error falls with the square root of the number of draws and
    examples.

    Args:
        num_draws: Number of labels drawn for every example.
        seed: Random seed of the draws.

    References:
        Kunstner, Balles and Hennig, "Limitations of the Empirical Fisher Approximation for Natural Gradient Descent",
        NeurIPS 2019, https://arxiv.org/abs/1905.12558.
    """

    num_draws: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, {"num_draws": check_positive_int, "seed": check_seed})

    def diagonal(self, model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> list[np.ndarray]:
        """See `Curvature.diagonal`."""
        generator = np.random.default_rng(self.seed)
        totals = mean_squares(
            model, batches, lambda outputs, _: (likelihood.draw(outputs, generator) for _ in range(self.num_draws))
        )
        return [total / self.num_draws for total in totals]
