"""`SwitchGroup`: the gates of cells that are opened and closed together, with their prior."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.bayes import GAMMA_THRESHOLD, GateGraph, decide, dependent_gamma, shrunk, switch

# Of what is not gated at all: as open as a gate can be.
OPEN = 1e6


class SwitchGroup:
    r"""Gates w of repeated cells: one scalar per cell, one switch for all of them.

    A pair of nodes may have a zero gate :math:`w^0` too, which closes all its operations at once. A map is multiplied
    by :math:`w^0 w`, behind its normalisation: in front of the operations, where the source has the zero gate, the
    normalisation would take it back and the data could say nothing about it.

    What reads a node normalises it again, so the penalty could shrink all gates into a node without any loss, down to
    the last one. `is_anchored` keeps the largest gate, and the largest zero gate, into every node of every cell at 1.

    Args:
        graph: Of the gates, and behind them of what is always open; see `genotype.gate_graph`.
        num_gates: How many of its edges have gates.
        num_cells: Cells that share the switches.
        has_zero_gates: Whether pairs of nodes have gates of their own.
        is_anchored: Whether gates are measured against the largest one into their node, and the last path comes back if
            all are closed; otherwise the cell may vanish.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, Algorithm 1.
    """

    def __init__(
        self, graph: GateGraph, num_gates: int, num_cells: int, *, has_zero_gates: bool = True, is_anchored: bool = True
    ):
        self.graph, self.num_gates, self.is_anchored = graph, num_gates, is_anchored
        self.pairs = graph.pairs[:num_gates]
        self.gates = tf.Variable(tf.ones((num_cells, num_gates), keras.backend.floatx()))
        num_pairs = self.pairs.max() + 1
        self.zero_gates = (
            tf.Variable(tf.ones((num_cells, num_pairs), keras.backend.floatx())) if has_zero_gates else None
        )
        self.gamma, self._omega = np.ones(num_gates), _constant(num_gates)
        self.zero_gamma, self._zero_omega = np.ones(num_pairs), _constant(num_pairs)
        self.is_open = np.ones(num_gates, bool)
        self._mask = _constant(num_gates)
        self.was_readmitted = False
        targets = {node: number for number, node in enumerate(dict.fromkeys(end for _, end in graph.edges))}
        ends = np.array([targets[end] for _, end in graph.edges[:num_gates]])
        self._ends = ends, ends[np.unique(self.pairs, return_index=True)[1]]  # of gates, of zero gates

    @property
    def variables(self) -> list[Any]:
        """The gates (cells, gates), and the zero gates (cells, pairs) if there are any."""
        return [self.gates] if self.zero_gates is None else [self.gates, self.zero_gates]

    def products(self, values: list[Any]) -> Any:
        """Returns what maps are multiplied by, (..., cells, gates).

        Args:
            values: Of `variables`, with the same leading axes or none.
        """
        masked = values[0] * self._mask
        return masked * tf.gather(values[1], self.pairs, axis=-1) if len(values) > 1 else masked

    def shrink(self, step: Any) -> None:
        """Takes the proximal step of the penalty; a gate is closed in all cells at once.

        Args:
            step: Learning rate times the price of a gate.
        """
        omegas = self._omega, self._zero_omega
        for variable, omega, ends in zip(self.variables, omegas, self._ends, strict=False):
            smaller = shrunk(variable, omega, (0,), step)
            variable.assign(_anchored(smaller, variable, ends) if self.is_anchored else smaller)

    def update(self, curvatures: list[np.ndarray], dependency: str) -> bool:
        """Turns the switches and closes what the data do not support.

        Args:
            curvatures: Of `variables`, over the price of a gate.
            dependency: See `bayes.dependent_gamma`.

        Returns:
            Whether a gate was closed.
        """
        omega, switches = switch(self.gates.numpy(), curvatures[0], self.gamma)
        self._omega.assign(omega)
        # What is closed is in no network: its curvature is 0, which elsewhere stands for no evidence either way.
        switches = np.where(self.is_open, switches, 0.0)
        zero_switches = None
        if self.zero_gates is not None:
            zero_omega, self.zero_gamma = switch(self.zero_gates.numpy(), curvatures[1], self.zero_gamma)
            self._zero_omega.assign(zero_omega)
            zero_switches = _with_open(self.zero_gamma, self.graph.pairs.max() + 1)
        all_switches = _with_open(switches, len(self.graph))
        self.gamma = dependent_gamma(self.graph, all_switches, zero_switches, dependency)[: self.num_gates]
        return self.close()

    def close(self) -> bool:
        """Closes the gates of small gamma and what is cut off by that; returns whether any was open."""
        before = self.is_open
        gamma = _with_open(self.gamma, len(self.graph))
        alive = np.append(before, np.ones(len(self.graph) - self.num_gates, bool))
        if self.is_anchored:
            decision = decide(self.graph, gamma, alive)
            kept, self.was_readmitted = decision.kept, self.was_readmitted or decision.readmitted
        else:
            kept = self.graph.connected(alive & (gamma > GAMMA_THRESHOLD))
        self.is_open = kept[: self.num_gates]
        self._mask.assign(self.is_open.astype(float))
        self.gates.assign(self.gates * self._mask)
        if self.zero_gates is not None:  # one that has nothing behind it must not be the largest
            behind = np.bincount(self.pairs, self.is_open) > 0
            self.zero_gates.assign(tf.where(behind, self.zero_gates, tf.zeros_like(self.zero_gates)))
        return bool(np.any(before & ~self.is_open))


def _constant(length: int) -> Any:
    return tf.Variable(tf.ones(length, keras.backend.floatx()), trainable=False)


def _anchored(gates: Any, before: Any, ends: np.ndarray) -> Any:
    """Divides gates (cells, gates) by the largest one into the same node; a step too long for all of them is not taken.

    Args:
        gates: After the step.
        before: Before it.
        ends: Number of the node that each gate leads to.
    """
    largest = tf.math.unsorted_segment_max(tf.abs(tf.transpose(gates)), ends, int(ends.max()) + 1)
    divisors = tf.transpose(tf.gather(largest, ends))
    return tf.where(divisors > 0, tf.math.divide_no_nan(gates, divisors), before)


def _with_open(values: np.ndarray, length: int) -> np.ndarray:
    return np.append(values, np.full(length - len(values), OPEN))
