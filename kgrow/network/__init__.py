"""The Keras model of an `Architecture` that grows with it."""

from kgrow.network.block_layer import BFLOAT16, FLOAT32
from kgrow.network.network import GrowingNetwork

__all__ = ["BFLOAT16", "FLOAT32", "GrowingNetwork"]
