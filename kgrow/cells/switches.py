"""`SwitchGroup`: the gates of cells that open and close together, with their prior."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.bayes import GAMMA_THRESHOLD, GateGraph, decide, dependent_gamma, settled_gates
from kgrow.bayes.prior import LARGEST_GAMMA

# Dependency that gives the strength of a single gate: its switch, together with the zero gate that closes it.
WITHOUT_PREDECESSORS = {"both": "own_zero", "own_zero": "own_zero", "predecessors": "none", "none": "none"}


class SwitchGroup:
    r"""Gates w of repeated cells: one scalar per cell, one switch for all of them.

    A pair of nodes may also have a zero gate :math:`w^0`, which closes all its operations at once. A map is multiplied
    by :math:`w^0 w` after its normalization. The source puts the zero gate before the operations; there the
    normalization would cancel it and the data would give no evidence about it.

    A layer that reads a node normalizes it again, so the common size of all gates into a node has no effect, and a
    penalty would shrink them all without any loss. Gates are therefore trained without it, and each is measured in
    units of itself: its evidence :math:`w^2 h` has no unit, and its switch settles at the gamma of a gate of 1 with
    this curvature.

    Gates close by their gamma, which depends on the gates before them, but are ranked by their *strength*, which does
    not. A gamma is at most the sum of those before it, each at most one half. An inner gate of unlimited evidence
    therefore has no larger gamma than an input gate of 22 times its price, and cells ranked by gamma have a depth of
    one.

    Args:
        graph: Graph of the gates, followed by the edges that are always open; see `edges.gate_graph`.
        num_gates: Number of its edges that have gates.
        num_cells: Number of cells that share the switches.
        has_zero_gates: Whether pairs of nodes have gates of their own.
        keeps_path: Whether the last path is restored if all are closed; otherwise the cell may vanish.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, Algorithm 1. `settled_gates` is where its loop ends without dependency; with
        it the loop would close a few gates more, see `kgrow.bayes.prior`.
    """

    def __init__(
        self, graph: GateGraph, num_gates: int, num_cells: int, *, has_zero_gates: bool = True, keeps_path: bool = True
    ):
        self.graph, self.num_gates, self.keeps_path = graph, num_gates, keeps_path
        self.pairs = graph.pairs[:num_gates]
        self.gates = tf.Variable(tf.ones((num_cells, num_gates), keras.backend.floatx()))
        shape = (num_cells, int(self.pairs.max()) + 1)
        self.zero_gates = tf.Variable(tf.ones(shape, keras.backend.floatx())) if has_zero_gates else None
        self.gamma, self.strength = np.ones(num_gates), np.ones(num_gates)
        self.is_open = np.ones(num_gates, bool)
        self._mask = tf.Variable(tf.ones(num_gates, keras.backend.floatx()), trainable=False)
        self.was_readmitted = False

    @property
    def variables(self) -> list[Any]:
        """The gates (cells, gates), and the zero gates (cells, pairs) if there are any."""
        return [self.gates] if self.zero_gates is None else [self.gates, self.zero_gates]

    def state(self) -> dict[str, np.ndarray]:
        """Returns gates and switches."""
        gates = {f"gates_{index}": variable.numpy() for index, variable in enumerate(self.variables)}
        switches = {"gamma": self.gamma, "strength": self.strength, "is_open": self.is_open}
        return {**gates, **switches, "was_readmitted": np.array(self.was_readmitted)}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns the values that `state` returned."""
        for index, variable in enumerate(self.variables):
            variable.assign(state[f"gates_{index}"])
        self.gamma, self.strength = state["gamma"], state["strength"]
        self.was_readmitted = bool(state["was_readmitted"])
        self._open_only(state["is_open"])

    def products(self, values: list[Any]) -> Any:
        """Returns the factors of the maps, (..., cells, gates).

        Args:
            values: Values of `variables`, with the same leading axes or none.
        """
        masked = values[0] * self._mask
        return masked * tf.gather(values[1], self.pairs, axis=-1) if len(values) > 1 else masked

    def update(self, curvatures: list[np.ndarray], price: float, dependency: str, most: int | None = None) -> bool:
        """Updates the switches and closes gates that the data do not support; gates without curvature stay open.

        Args:
            curvatures: Curvature of `variables`, in nats per image.
            price: Price lambda of a gate, in nats per image.
            dependency: Dependency of gates; see `bayes.dependent_gamma`.
            most: Number of gates that may stay open, the strongest first; None for all.

        Returns:
            Whether a gate was closed.
        """
        switches, *zeros = (
            settled_gates(variable.numpy(), curvature, price)
            for variable, curvature in zip(self.variables, curvatures, strict=True)
        )
        zero_switches = _with_open(zeros[0], self.graph.pairs.max() + 1) if zeros else None
        all_switches = _with_open(np.where(self.is_open, switches, 0.0), len(self.graph))
        self.gamma = dependent_gamma(self.graph, all_switches, zero_switches, dependency)[: self.num_gates]
        own = WITHOUT_PREDECESSORS[dependency]
        self.strength = dependent_gamma(self.graph, all_switches, zero_switches, own)[: self.num_gates]
        return self.close(most)

    def close(self, most: int | None = None) -> bool:
        """Closes the gates of small gamma and the gates this cuts off; returns whether any of them was open.

        Args:
            most: Number of gates that may stay open; see `update`.
        """
        before = self.is_open
        gamma, strength = (_with_open(values, len(self.graph)) for values in (self.gamma, self.strength))
        alive = np.append(before, np.ones(len(self.graph) - self.num_gates, bool))
        if self.keeps_path:
            decision = decide(self.graph, gamma, strength, alive)
            kept, self.was_readmitted = decision.kept, self.was_readmitted or decision.readmitted
        else:
            kept = self.graph.connected(alive & (gamma > GAMMA_THRESHOLD))
        self._open_only(self._at_most(most or self.num_gates, kept)[: self.num_gates])
        return bool(np.any(before & ~self.is_open))

    def _at_most(self, most: int, kept: np.ndarray) -> np.ndarray:
        """Returns the gates left after removing the weakest one by one, each with all gates that need it.

        A removal that would take too many gates is skipped if others are possible; a last path of more than `most`
        gates is kept whole.
        """
        order = np.argsort(self.strength, kind="stable")
        for fewest, gate in itertools.product((most, 1), order):
            without = self.graph.connected(kept & (np.arange(len(kept)) != gate))
            if kept[: self.num_gates].sum() > most and without[: self.num_gates].sum() >= fewest:
                kept = without
        return kept

    def _open_only(self, is_open: np.ndarray) -> None:
        self.is_open = is_open
        self._mask.assign(is_open.astype(float))


def _with_open(values: np.ndarray, length: int) -> np.ndarray:
    """Returns the values, followed by those of edges without a gate: fully open."""
    return np.append(values, np.full(length - len(values), LARGEST_GAMMA))
