"""The Keras model that interprets an `Architecture` and grows with it."""

from kgrow.network.network import GrowingNetwork

__all__ = ["GrowingNetwork"]
