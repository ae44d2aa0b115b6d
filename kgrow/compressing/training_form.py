"""Changes of an architecture for fine-tuning, and their reversal."""

from __future__ import annotations

import dataclasses

from kgrow.graph import Architecture
from kgrow.graph.keras_models import KerasModel
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork

LARGEST_MOMENTUM = 0.9


def for_training(given: KerasModel) -> KerasModel:
    """Returns a model with a lower momentum of the moving statistics.

    Keras' default momentum of 0.99 would leave a few epochs' statistics far behind the weights.
    """
    architecture = given.weighted.architecture
    architecture = architecture.with_nodes(
        {
            node.name: dataclasses.replace(node, operator=node.operator.with_momentum(LARGEST_MOMENTUM))
            for node in architecture.nodes
        }
    )
    return dataclasses.replace(given, weighted=Weighted(architecture, given.weighted.weights))


def with_momentum_of(network: GrowingNetwork, given: KerasModel) -> KerasModel:
    """Returns the given model with the weights of the trained network."""
    architecture: Architecture = given.weighted.architecture
    return dataclasses.replace(given, weighted=Weighted.of(architecture, network.state()))
