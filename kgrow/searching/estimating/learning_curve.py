"""Extrapolation of learning curves by families of functions that are fitted to the first epochs."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import curve_fit

# Fewer epochs are not informative: a fit of four parameters needs one more, and a fifth of them is held out.
MIN_EPOCHS = 7
HELD_OUT = 0.2
# A curve has left its first value if it stays this far above it for this many epochs; a flat start is as long.
RISE, RISE_EPOCHS = 0.05, 5
# Rounding, and the resolution of a large validation split: smaller residuals count as zero.
SMALLEST_NOISE = 1e-4
MAX_EVALUATIONS = 400


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of functions of the epoch, counted from 1.

    Args:
        function: Function of the epoch and its parameters.
        start: Initial parameters of least squares.
        first: First epoch at which it is finite.
    """

    function: Callable[..., np.ndarray]
    start: tuple[float, ...]
    first: int = 1


FAMILIES: dict[str, Family] = {
    "vapor_pressure": Family(lambda x, a, b, c: np.exp(a + b / x + c * np.log(x)), (-0.6, -0.5, 0.04)),
    "pow3": Family(lambda x, c, a, alpha: c - a * x**-alpha, (0.84, 0.52, 0.5)),
    "log_log": Family(lambda x, a, b: np.log(a * np.log(x) + b), (0.3, 1.5)),
    "hill3": Family(lambda x, top, eta, kappa: top * x**eta / (kappa**eta + x**eta), (0.8, 0.85, 2.5)),
    "log_power": Family(lambda x, a, b, c: a / (1 + (x / np.exp(b)) ** c), (0.8, 0.5, -0.5)),
    "pow4": Family(lambda x, c, a, b, alpha: c - (a * x + b) ** -alpha, (0.84, 2.0, 1.0, 0.5)),
    "mmf": Family(lambda x, top, low, kappa, delta: top - (top - low) / (1 + (kappa * x) ** delta), (0.8, 0.1, 0.5, 1)),
    "exp4": Family(lambda x, c, a, b, alpha: c - np.exp(-a * x**alpha + b), (0.8, 0.8, -0.3, 0.5)),
    "janoschek": Family(lambda x, top, low, k, delta: top - (top - low) * np.exp(-k * x**delta), (0.8, 0.1, 0.4, 0.7)),
    "weibull": Family(
        lambda x, top, low, k, delta: top - (top - low) * np.exp(-((k * x) ** delta)), (0.8, 0.1, 0.3, 1)
    ),
    "ilog2": Family(lambda x, c, a: c - a / np.log(x), (0.8, 0.4), first=2),
}


@dataclasses.dataclass(frozen=True)
class Fit:
    """A family fitted to a curve.

    Args:
        family: Family of the fit.
        parameters: Parameters found by least squares.
        noise: Standard deviation of the residuals.
        log_likelihood: Log-likelihood of the held-out epochs.
    """

    family: Family
    parameters: np.ndarray
    noise: float
    log_likelihood: float

    def at(self, epochs: np.ndarray | float) -> np.ndarray:
        """Returns the accuracy at epochs counted from 1."""
        with np.errstate(all="ignore"):
            return self.family.function(np.asarray(epochs, float), *self.parameters)


def extrapolate(
    accuracies: np.ndarray, horizon: int, seed: int | Sequence[int] = 0, num_draws: int = 50
) -> np.ndarray | None:
    r"""Draws possible future accuracies of a curve.

    Every family is fitted by least squares, with larger weights for later epochs, :math:`10^{i / n}`; fits that fail or
    leave [0, 1] are dropped. The weight of a family is the likelihood of the last fifth of the epochs when it is fitted
    to those before. Each draw takes a family, adds residuals drawn with replacement, fits again and adds noise.
    The published method draws from the posterior of a weighted sum of all families instead, which takes minutes.

    Args:
        accuracies: Accuracy after each epoch since the last structural event, each in [0, 1]. Growth, pruning and steps
            of the learning rate break a curve: it must not extend across one.
        horizon: Epoch to predict, counted like the accuracies, from 1.
        seed: Random seed of the draws.
        num_draws: Number of draws; each costs a fit.

    Returns:
        Accuracies at the horizon, float64 (num_draws,); None if there are too few epochs or nothing fits.

    References:
        Domhan, Springenberg and Hutter, "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by
        Extrapolation of Learning Curves", IJCAI 2015.
    """
    curve = np.asarray(accuracies, float)
    skipped = _flat_start(curve)
    curve, horizon = curve[skipped:], horizon - skipped  # a curve that begins late begins at its own first epoch
    epochs = np.arange(1, len(curve) + 1, dtype=float)
    if len(curve) < MIN_EPOCHS:
        return None
    fits = [fit for fit in (_fitted(family, epochs, curve, horizon) for family in FAMILIES.values()) if fit]
    if not fits:
        return None
    scores = np.array([fit.log_likelihood for fit in fits])
    weights = np.exp(scores - scores.max())
    random = np.random.default_rng(seed)
    chosen = random.choice(len(fits), num_draws, p=weights / weights.sum())
    return np.array([_draw(fits[index], epochs, curve, horizon, random) for index in chosen])


def _flat_start(curve: np.ndarray) -> int:
    """Returns the number of epochs before the curve leaves its first value; a few are not a flat start."""
    above = curve - curve[:1] > RISE
    starts = (i for i in range(len(curve) - RISE_EPOCHS + 1) if above[i : i + RISE_EPOCHS].all())
    flat = next(starts, 0) - 1
    return flat if flat >= RISE_EPOCHS else 0


def _fitted(family: Family, epochs: np.ndarray, curve: np.ndarray, horizon: int) -> Fit | None:
    held_out = max(1, round(HELD_OUT * len(curve)))
    before = _least_squares(family, family.start, epochs[:-held_out], curve[:-held_out])
    if before is None:
        return None
    whole = _least_squares(family, before.parameters, epochs, curve)
    if whole is None or not _is_accuracy(whole.at(np.append(epochs[epochs >= family.first], horizon))):
        return None
    errors = curve[-held_out:] - before.at(epochs[-held_out:])
    if not np.isfinite(errors).all():
        return None
    likelihood = -0.5 * np.sum(errors**2) / before.noise**2 - held_out * math.log(before.noise)
    return dataclasses.replace(whole, log_likelihood=float(likelihood))


def _least_squares(family: Family, start: np.ndarray | tuple, epochs: np.ndarray, curve: np.ndarray) -> Fit | None:
    deviations = 10 ** (-0.5 * np.arange(len(curve)) / len(curve))  # weights 10^(i / n)
    seen = epochs >= family.first
    epochs, curve, deviations = epochs[seen], curve[seen], deviations[seen]
    freedom = len(curve) - len(start)
    if freedom < 1:
        return None
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a covariance that is not used
            found, _ = curve_fit(family.function, epochs, curve, start, deviations, maxfev=MAX_EVALUATIONS)
    except (RuntimeError, ValueError):  # no convergence, or a value that is not a number
        return None
    fit = Fit(family, found, SMALLEST_NOISE, 0.0)
    residuals = curve - fit.at(epochs)
    if not np.isfinite(residuals).all():
        return None
    return dataclasses.replace(fit, noise=max(SMALLEST_NOISE, math.sqrt(np.sum(residuals**2) / freedom)))


def _draw(fit: Fit, epochs: np.ndarray, curve: np.ndarray, horizon: int, random: np.random.Generator) -> float:
    seen = epochs >= fit.family.first
    fitted = fit.at(epochs[seen])
    again = fitted + random.choice(curve[seen] - fitted, len(fitted))
    refitted = _least_squares(fit.family, fit.parameters, epochs[seen], again)
    noise = random.normal(0.0, fit.noise)
    at_horizon = fit.at(horizon) if refitted is None else refitted.at(horizon)
    value = at_horizon if _is_accuracy(at_horizon) else fit.at(horizon)
    return float(np.clip(value + noise, 0.0, 1.0))


def _is_accuracy(values: np.ndarray) -> bool:
    return bool(np.all((values >= 0) & (values <= 1)))
