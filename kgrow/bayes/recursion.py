"""The diagonal of the Hessian by a recursion over layers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_name
from kgrow._keras import tf
from kgrow.bayes.curvature import Batch, Curvature, Model
from kgrow.bayes.graph import Graph
from kgrow.bayes.likelihood import Likelihood
from kgrow.bayes.linear_nodes import Conv
from kgrow.bayes.nodes import Derivatives

CONV_REDUCTIONS = ("exact", "thesis")


@dataclasses.dataclass(frozen=True)
class DiagonalRecursion(Curvature):
    r"""Passes the Hessian's diagonal backwards from layer to layer; costs one backward pass in all.

    For h = W'a and a = f(h'): :math:`\mathrm{diag} H_W = a^2 \otimes H_h` and
    :math:`H_{h'} = f'^2 \odot (W^2 H_h) + f'' \odot \partial L / \partial a`, for every example separately, averaged
    last. It drops the off-diagonal entries of each layer. It is exact for the last Dense layer, and for squared error
    also for the one before it. For earlier layers, and for convolutions, which mix positions, it is an approximation
    that can be negative.

    Args:
        conv_reduction: `"exact"`: the Hessian in a kernel is the sum over positions. `"thesis"`: their mean, smaller by
            the number of positions, as in the source's equation 4-13.

    References:
        Botev, Ritter and Barber, "Practical Gauss-Newton Optimization for Deep Learning", ICML 2017,
        https://arxiv.org/abs/1706.03662; for convolutions Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for
        Neural Architecture Search", ICML 2019, https://arxiv.org/abs/1905.04919.
    """

    conv_reduction: str = "exact"

    def __post_init__(self) -> None:
        check_name(CONV_REDUCTIONS, self.conv_reduction, "conv_reduction")

    def diagonal(self, model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> list[np.ndarray]:
        """See `Curvature.diagonal`.

        Raises:
            TypeError: If the model is not a `Graph`.
        """
        if not isinstance(model, Graph):
            raise TypeError(
                f"`model` must be a Graph, but got {type(model).__name__}. The recursion needs every single operation; "
                "MonteCarloFisher takes any model."
            )
        totals = [np.zeros(parameter.shape) for parameter in model.parameters]
        for batch in batches:
            for total, part in zip(totals, self._batch(model, likelihood, batch), strict=True):
                total += part.numpy()
        num_examples = sum(len(inputs) for inputs, _ in batches)
        return [total / num_examples for total in totals]

    def _batch(self, graph: Graph, likelihood: Likelihood, batch: Batch) -> list[Any]:
        """Returns the sum over the examples of a batch."""
        inputs, targets = batch
        values = graph.values(inputs)
        derivatives: list[Derivatives | None] = [None] * len(values)
        for head, derivative in zip(graph.heads, _at_outputs(graph, likelihood, values, targets), strict=True):
            derivatives[head] = _add(derivatives[head], derivative)
        found = []
        for index in reversed(range(len(graph.nodes))):
            node, sources, output = graph.nodes[index], graph.sources[index], derivatives[index + 1]
            if output is None:  # no node reads it
                output = Derivatives(tf.zeros_like(values[index + 1]), tf.zeros_like(values[index + 1]))
            before, hessian = node.backward([values[source] for source in sources], output)
            for source, derivative in zip(sources, before, strict=True):  # derivatives of a value read twice are summed
                derivatives[source] = _add(derivatives[source], derivative)
            if node.parameter is not None:
                averaged = isinstance(node, Conv) and self.conv_reduction == "thesis"
                found.append(hessian / math.prod(values[index + 1].shape[1:3]) if averaged else hessian)
        return found[::-1]


def _at_outputs(graph: Graph, likelihood: Likelihood, values: Sequence[Any], targets: Any) -> list[Derivatives]:
    outputs = [values[head] for head in graph.heads]
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = tf.reduce_sum(likelihood.loss(outputs, targets))
    pairs = zip(tape.gradient(loss, outputs), likelihood.diagonal(outputs), strict=True)
    return [Derivatives(gradient, hessian) for gradient, hessian in pairs]


def _add(first: Derivatives | None, second: Derivatives) -> Derivatives:
    if first is None:
        return second
    return Derivatives(first.gradient + second.gradient, first.hessian + second.hessian)


def check_curvature(curvature: Curvature) -> None:
    """Raises TypeError unless it is a `Curvature` that takes any model, not only a `Graph`."""
    if not isinstance(curvature, Curvature) or isinstance(curvature, DiagonalRecursion):
        raise TypeError(
            f"`curvature` must be a Curvature that takes any model, such as MonteCarloFisher(), but got {curvature!r}."
        )
