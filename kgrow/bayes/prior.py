r"""A switch on every gate, and its closed-form update from the data. NumPy only.

A gate w has the prior N(0, gamma); gamma is learned with w. The last term of the objective
:math:`2 \mathrm{NLL}(w) + w^2 / \gamma + \log(1 + \gamma h)` is concave; its tangent has the slope
:math:`\alpha = h / (1 + \gamma h)`. With the tangent in its place the minimum of the objective is at
:math:`\gamma = |w| / \sqrt\alpha`. This leaves the penalty :math:`\omega |w|`, :math:`\omega = \sqrt\alpha`: a lasso
with new weights in every loop. For a loss :math:`\frac{1}{2} H (w - w_0)^2` it ends at
:math:`\gamma = \max(0, w_0^2 - \lambda / H)`: a gate is pruned if its evidence :math:`w_0^2 H` is below the price
:math:`\lambda` of a gate, in nats per example. For a mean loss over N examples that price is 1 / N if the prior is
taken literally; a larger price gives the data less weight.

`switch` is one turn of that loop for gates, `groups.GroupPrior` for groups of weights. Cell searches train their gates
without the penalty and use `settled_gates`: the end of the loop for a single gate. With dependency the loop of the
source ends at a slightly different point, because the gates before a gate lower its gamma, and this gamma feeds back
into its omega. In a chain of two the loop closes gates with less evidence than 1.166 prices; the separate fixed points,
joined afterwards, close those below 1.133.

References:
    Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
    https://arxiv.org/abs/1905.04919, Algorithm 1; Wipf and Nagarajan, "A New View of Automatic Relevance
    Determination", NeurIPS 2007.
"""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np

from kgrow._checks import check_name
from kgrow.bayes.gates import GateGraph

DEPENDENCIES = ("none", "own_zero", "predecessors", "both")
# The entropy of N(0, gamma), half of log(2 pi e gamma), is 0 here. Gates start at 1, which sets the unit of gamma.
GAMMA_THRESHOLD = 1.0 / (2.0 * math.pi * math.e)
SMALLEST_CURVATURE = 1e-12
# Switch of a gate without evidence for or against it.
LARGEST_GAMMA = 1e6
# Part of the whole price: the price before the first of several loops.
LOWEST_SHARE = 1e-3
BISECTIONS = 60  # enough to halve an interval down to rounding
STARTS = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 41)])  # start points, as fractions of the optimum's upper bound


def floored(curvature: np.ndarray) -> np.ndarray:
    """Returns a positive curvature, as the closed form needs it; negative values become zero, with a warning.

    Args:
        curvature: Curvature of any shape.
    """
    negative = int(np.sum(curvature < 0))
    if negative:
        warnings.warn(
            f"{negative} of {np.size(curvature)} curvatures are negative and count as 0. GaussNewton and "
            "MonteCarloFisher never are.",
            stacklevel=2,
        )
    return np.maximum(curvature, SMALLEST_CURVATURE)


def switch(weights: np.ndarray, curvature: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Returns the penalty weight and the switch of every gate: equations 4-2 to 4-4.

    :math:`\alpha_g = h_g / (1 + \gamma h_g)`, :math:`\omega = \sqrt{\sum_g \alpha_g}`, :math:`s = \|w\|_2 / \omega`.
    A gate that is repeated in several cells has one gamma and one omega for all of them; `proximal.shrunk` over the
    axis of the cells closes it in all of them at once.

    Args:
        weights: Weights of the gates, (num_cells, num_gates), or (num_gates,) if nothing is repeated.
        curvature: Second derivative of the loss over its price (h = H / lambda), of the shape of `weights`.
        gamma: gamma after the previous loop, (num_gates,).

    Returns:
        omega and s, float64 (num_gates,); s is at most 1e6, also where the curvature is 0.
    """
    weights, floor = np.atleast_2d(weights), floored(np.atleast_2d(curvature))
    omega = np.sqrt(np.sum(floor / (1.0 + gamma * floor), axis=0))
    silent = np.all(floor <= SMALLEST_CURVATURE, axis=0)
    return omega, np.where(silent, LARGEST_GAMMA, np.minimum(np.linalg.norm(weights, axis=0) / omega, LARGEST_GAMMA))


def settled(weights: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    r"""Returns the gamma at the fixed point of `switch` if the loss is a quadratic function of the gates.

    Under the penalty the minimum of the loss is at :math:`\gamma h_g w_g / (1 + \gamma h_g)`, which leaves
    :math:`\sum_g h_g (w_g^2 h_g - 1 - \gamma h_g) / (1 + \gamma h_g)^2 = 0`: the derivative of all cells' evidence for
    gamma is zero. One cell has :math:`\gamma = \max(0, w^2 - 1 / h)`; several equal cells have the same.

    Args:
        weights: Gates at the minimum of the loss without a penalty, (num_cells, num_gates) or (num_gates,).
        curvature: Second derivative of the loss over its price (h = H / lambda), of the shape of `weights`.

    Returns:
        gamma, float64 (num_gates,); 0 for a gate without curvature, although the data give no evidence against it.
    """
    weights, curvature = np.atleast_2d(weights).astype(float), floored(np.atleast_2d(curvature))
    evidence = weights**2 * curvature

    def slope(gamma: np.ndarray) -> np.ndarray:
        return np.sum(curvature * (evidence - 1.0 - gamma * curvature) / (1.0 + gamma * curvature) ** 2, axis=0)

    def cost(gamma: np.ndarray) -> np.ndarray:  # -2 log evidence of w ~ N(0, gamma + 1 / h), up to a constant
        return np.sum(np.log1p(gamma * curvature) + evidence / (1.0 + gamma * curvature), axis=0)

    # Unequal cells can have several optima: bisection starts around the best of many points.
    points = np.max(weights**2, axis=0) * STARTS[:, None]
    best = np.argmin([cost(point) for point in points], axis=0)
    places = np.arange(points.shape[1])
    low, high = points[np.maximum(best - 1, 0), places], points[np.minimum(best + 1, len(points) - 1), places]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        rises = slope(middle) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return np.where(cost(low) < cost(np.zeros(len(low))), low, 0.0)


def settled_gates(gates: np.ndarray, curvature: np.ndarray, price: float) -> np.ndarray:
    """Returns the switches of gates in units of the gates themselves: each gate counts as 1 with the same evidence.

    Args:
        gates: Gates, (num_cells, num_gates) or (num_gates,).
        curvature: Second derivative of the loss, in nats per example, of the shape of `gates`.
        price: Price lambda of a gate, in nats per example.

    Returns:
        See `settled`; 1e6 for a gate without curvature, because nothing is evidence against it.
    """
    switches = settled(np.ones(np.shape(gates)), np.square(gates, dtype=float) * curvature / price)
    silent = np.all(np.atleast_2d(curvature) <= SMALLEST_CURVATURE, axis=0)
    return np.where(silent, LARGEST_GAMMA, switches)


def share_of_price(loop: int, num_loops: int) -> float:
    """Returns the price in a loop as a fraction of the price in the last one; it rises by a constant factor.

    The remaining gates gain evidence as training adapts to the removal of the others; at the whole price at once most
    would be removed.

    Args:
        loop: Number of the loop, from 1 to `num_loops`.
        num_loops: Number of loops that alternate pruning and training.
    """
    return float(LOWEST_SHARE ** (1.0 - loop / num_loops))


def dependent_gamma(
    graph: GateGraph, switches: np.ndarray, zero_switches: np.ndarray | None = None, dependency: str = "both"
) -> np.ndarray:
    r"""Returns the gamma of every gate; it is small if the gate or all its inputs are: equations 3-5, 3-6.

    :math:`\gamma_{jk} = (1 / \sum_i \tilde s_{ij} + 1 / s_{jk} + 1 / s^0_{jk})^{-1}` with
    :math:`\tilde s = (1 / s^0 + 1 / s)^{-1}`. The sum over predecessors is infinite for a gate that reads a source. It
    is made of switches and not of gammas, so the order of the gates does not matter.

    Args:
        graph: Graph of the gates.
        switches: Switches s, (num_gates,).
        zero_switches: Switch s of the zero gate of every pair of nodes, (num_pairs,); None if there are none.
        dependency: Dependency to use; `"predecessors"` leaves zero gates out, `"own_zero"` the predecessors, `"none"`
            both.
    """
    check_name(DEPENDENCIES, dependency, "dependency")
    with np.errstate(divide="ignore"):  # 1 / 0 is infinite: a gate that is off stays off
        precision = 1.0 / np.asarray(switches, float)
        if zero_switches is not None and dependency in ("own_zero", "both"):
            precision = precision + (1.0 / np.asarray(zero_switches, float))[graph.pairs]
        if dependency in ("none", "own_zero"):
            return 1.0 / precision
        sums = [np.sum(1.0 / precision[before]) for before in graph.predecessors]
        fed = np.array(
            [
                0.0 if source in graph.sources else 1.0 / total
                for total, (source, _) in zip(sums, graph.edges, strict=True)
            ]
        )
    return 1.0 / (precision + fed)


@dataclasses.dataclass(frozen=True)
class Decision:
    """The gates that stay.

    Args:
        kept: Kept gates, bool (num_gates,); each lies on a path from a source to the sink.
        readmitted: Whether the sink had lost its last path and the strongest one was restored.
    """

    kept: np.ndarray
    readmitted: bool


def decide(
    graph: GateGraph, gamma: np.ndarray, strength: np.ndarray | None = None, alive: np.ndarray | None = None
) -> Decision:
    """Closes the gates of low entropy, then all gates that are no longer on a path from a source to the sink.

    Predecessors that are all closed can still add up to a gamma above the threshold, so the second step is needed.

    Args:
        graph: Graph of the gates.
        gamma: gamma of the gates, (num_gates,).
        strength: Strength of each single gate, (num_gates,), which selects the last path: a gamma is smaller the deeper
            its gate is. None takes gamma.
        alive: Gates that are still open, bool (num_gates,); None for all. They must contain a path to the sink.
    """
    alive = np.ones(len(graph), bool) if alive is None else alive
    kept = graph.connected(alive & (gamma > GAMMA_THRESHOLD))
    if kept.any():
        return Decision(kept, readmitted=False)
    return Decision(graph.widest_path(gamma if strength is None else strength, alive), readmitted=True)
