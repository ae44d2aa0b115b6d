"""The architecture as data: what the network is, and what can be counted on it without building one."""

from kgrow.architecture.architecture import Architecture, Block, Cell, Head
from kgrow.architecture.countable import Countable
from kgrow.architecture.operation import Operation
from kgrow.architecture.scaling import Scaling

__all__ = ["Architecture", "Block", "Cell", "Countable", "Head", "Operation", "Scaling"]
