"""The Keras model of an `Architecture` that grows with it."""

from kgrow.network.network import GrowingNetwork

__all__ = ["GrowingNetwork"]
